// <agora-traces>: the last journeys, and a field to open one by its id.
import { h, keepFocus, put, thead } from "../lib/dom.js";
import { Part } from "../lib/part.js";
import { call } from "../lib/api.js";
import { clip, count, duration, time } from "../lib/format.js";
import { list, ROOT } from "../lib/observatory.js";
import { pause } from "../lib/sse.js";

const SHOWN_MAX = 50;
const LOOK_MS = 2_000;

class AgoraTraces extends Part {
  #list = h("tbody");
  #problem = h("agora-problem");
  #known = "";

  start() {
    const field = h("input", { id: "trace-id", size: 34, spellcheck: "false", autocomplete: "off", pattern: "\\s*[0-9a-f]{32}\\s*", required: true });
    const open = (event) => {
      event.preventDefault();
      location.hash = `#/journey/${field.value.trim()}`;
    };
    put(this,
      h("form", { class: "row", onsubmit: open }, h("label", { for: "trace-id" }, "Open a trace by its id (32 of 0-9, a-f)"), field, h("button", {}, "Open")),
      this.#problem,
      h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Last journeys" },
        h("table", {}, h("caption", { class: "unseen" }, "Last journeys, newest first"),
          thead(["Began", "What", "Took", "Hops", "Outcome"]),
          this.#list)));
    this.#follow();
  }

  // One request at a time, however slow it is answered.
  async #follow() {
    const { signal } = this;
    while (!signal.aborted) {
      if (!document.hidden || !this.#known) await this.#look();
      await pause(LOOK_MS, signal);
    }
  }

  #look() {
    const { signal } = this;
    return this.#problem.attempt(async () => {
      const { data } = await call(`${ROOT}/traces?limit=${SHOWN_MAX}`, { signal });
      this.#show(list(data.traces).slice(0, SHOWN_MAX));
    }, signal);
  }

  #show(traces) {
    const now = JSON.stringify(traces);
    if (now === this.#known) return;
    this.#known = now;
    const focusAgain = keepFocus(this.#list, "href");
    put(this.#list, ...traces.map((trace) =>
      h("tr", {},
        h("td", { class: "number" }, time(trace.started_at / 1000)),
        h("td", {}, h("a", { href: `#/journey/${encodeURIComponent(trace.trace_id)}` }, clip(trace.name, 60) || "(no name)"),
          h("br"), h("small", { class: "quiet" }, list(trace.services).slice(0, 12).join(", "))),
        h("td", { class: "number" }, trace.ended_at ? duration(trace.duration_us) : "open"),
        h("td", { class: "number" }, count(trace.hops, "hop")),
        h("td", { class: trace.outcome === "ok" ? "ok" : "error" }, trace.outcome === "ok" ? "✓ ok" : `✕ ${clip(trace.outcome, 20)}`))));
    if (traces.length === 0) put(this.#list, h("tr", {}, h("td", { colspan: 5, class: "quiet" }, "None yet. Buy something in the shop.")));
    focusAgain();
  }
}

customElements.define("agora-traces", AgoraTraces);
