// <agora-tour>: stops that do one thing each, and say what they saw. What they are is in `tour.json`.
import { h, put } from "../lib/dom.js";
import { call } from "../lib/api.js";
import { list, observatory } from "../lib/observatory.js";
import { Part } from "../lib/part.js";
import { refusesFaults, whyNoFaults } from "../break/rules.js";
import { switchesOf } from "../break/switches.js";
import { ACTIONS } from "./actions.js";

const why = (isThere, lacking, closed) => {
  if (!isThere) return "This stop needs the observatory.";
  const switches = lacking.length > 0 && `This stop needs what only \`agora up\` can switch: ${lacking.join(", ")}.`;
  return [switches, ...closed.map(whyNoFaults)].filter(Boolean).join(" ");
};

// The stop that is being done, also from another view. Two at a time would mend what the other broke.
let underWay = null;

class AgoraTour extends Part {
  #problem = h("agora-problem");
  #stops = h("ol", { class: "stops" });
  #needing = [];

  start() {
    put(this,
      h("h1", {}, "Tour"),
      h("p", { class: "lead" }, "Each stop shows one thing in a minute, and says why, where to read on, and whether it happened."),
      this.#problem, this.#stops);
    this.on(observatory, "change", () => this.#allow());
    this.#load();
  }

  #load() {
    const { signal } = this;
    this.#problem.attempt(async () => {
      const { data } = await call("/page/tour/tour.json", { signal });
      put(this.#stops, data.stops.map((stop, n) => h("li", {}, this.#stop(stop, n))));
      this.#allow();
    }, signal);
  }

  #stop(stop, n) {
    const log = h("ol", { class: "log" });
    const failed = h("agora-problem");
    const end = h("p", { role: "status" });
    const button = h("button", { class: "main", "aria-label": `Do it: ${stop.title}`, onclick: () => this.#do(stop, { log, failed, end, button }) }, "Do it");
    const missing = h("p", { class: "quiet", hidden: true });
    // What is broken is broken through the observatory.
    if (stop.needs || stop.faults) this.#needing.push({ button, missing, needs: list(stop.needs), faults: list(stop.faults) });
    return h("article", { class: "card", id: `stop-${stop.id}` },
      h("h2", {}, `${n + 1}. ${stop.title}`),
      h("p", {}, stop.will),
      h("p", { class: "quiet" }, stop.why),
      h("p", { class: "quiet" }, "By hand: ", stop.press),
      h("p", { class: "quiet" }, "In the code: ", stop.code.map((path, at) => [at > 0 && ", ", h("code", {}, path)]), "; to read: ", h("code", {}, stop.pattern)),
      h("div", { class: "row" }, button, end), missing, h("div", { role: "log", "aria-label": `What was seen: ${stop.title}` }, log), failed);
  }

  #allow() {
    const isThere = observatory.is === "present";
    const switches = switchesOf(observatory.state).filter((it) => !it.absent).map((it) => it.name);
    for (const { button, missing, needs, faults } of this.#needing) {
      const lacking = needs.filter((name) => !switches.includes(name));
      const closed = faults.filter((service) => refusesFaults(observatory.state, service));
      button.disabled = !isThere || lacking.length > 0 || closed.length > 0;
      missing.hidden = !button.disabled;
      missing.textContent = why(isThere, lacking, closed);
    }
  }

  async #do(stop, { log, failed, end, button }) {
    if (button.ariaBusy === "true") return;
    if (underWay) return failed.show(new Error(`“${underWay}” is still under way`));
    underWay = stop.title;
    button.ariaBusy = "true";
    put(log);
    failed.show(null);
    end.textContent = "…";
    end.className = "waiting";
    const say = (text, traceId) => log.append(h("li", {}, text, traceId && [" ", h("a", { href: `#/journey/${traceId}` }, "Its journey")]));
    try {
      await ACTIONS[stop.id](say);
      end.textContent = "✓ It happened.";
      end.className = "ok";
    } catch (error) {
      end.textContent = "✕ It did not happen.";
      end.className = "error";
      failed.show(error);
    }
    underWay = null;
    button.ariaBusy = "false";
  }
}

customElements.define("agora-tour", AgoraTour);
