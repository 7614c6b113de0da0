// <agora-journey>: one trace as a diagram or a list, or the last traces to choose from.
import { h, pane, put } from "../lib/dom.js";
import { Part } from "../lib/part.js";
import { call, stream } from "../lib/api.js";
import { absent } from "../lib/absent.js";
import { count, duration } from "../lib/format.js";
import { list, observatory, ROOT } from "../lib/observatory.js";
import { soon } from "../lib/sse.js";
import { HOPS_MAX, reached, span, steps } from "./calls.js";
import { legend } from "./diagram.js";
import { mermaid } from "./mermaid.js";
import "./detail.js";
import "./list.js";
import "./player.js";
import "./traces.js";

// Hops that come at once are drawn together, after so long.
const TOGETHER_MS = 100;
// A trace that was just begun is asked for again until it is there.
const NOT_YET_MS = 500;
const NOT_YET_TRIES = 10;
const ID = /^[0-9a-f]{32}$/;

class AgoraJourney extends Part {
  what = "";
  how = new URLSearchParams();
  #visit = new AbortController();
  #live = new AbortController();
  #steps = [];
  #chosen = null;
  #body = h("div");
  #parts = null;

  start() {
    put(this, h("h1", {}, "Journey"), this.#body);
    this.on(observatory, "change", () => {
      const { is } = observatory;
      // What is drawn stays while the observatory does not answer for a moment.
      const stays = this.#steps.length > 0 && ["away", "present"].includes(is);
      if (this.#body.dataset.is !== is && !stays) this.#open();
    });
    this.on(document, "visibilitychange", () => this.#parts && ID.test(this.what) && this.#watch());
    this.on(this, "choose", (event) => this.#choose(event.detail));
    this.signal.addEventListener("abort", () => this.#visit.abort());
    this.#open();
  }

  go(what, how) {
    const isSame = what === this.what && this.#parts;
    this.what = what;
    this.how = how;
    if (isSame) this.#show();
    else this.#open();
  }

  #open() {
    this.#visit.abort();
    this.#visit = new AbortController();
    this.#parts = null;
    this.#steps = [];
    this.#chosen = null;
    this.#body.dataset.is = observatory.is;
    const why = absent();
    if (why) return put(this.#body, why);
    if (this.what === "") return put(this.#body, h("p", { class: "lead" }, "Every request leaves a trace: choose one."), h("agora-traces"));
    this.#frame();
    if (!ID.test(this.what)) return this.#parts.problem.show(new Error("This is no trace's id: it has 32 digits of 0-9 and a-f."));
    this.#watch();
  }

  // Follows it while it is looked at: all tabs share a few connections to one host.
  #watch() {
    this.#live.abort();
    this.#live = new AbortController();
    const signal = AbortSignal.any([this.#visit.signal, this.#live.signal]);
    this.#load(signal);
    if (!document.hidden) this.#follow(signal);
  }

  #frame() {
    const parts = (this.#parts = {
      title: h("h2"),
      facts: h("p", { class: "quiet", role: "status" }),
      problem: h("agora-problem"),
      diagram: pane("agora-diagram", "Diagram"),
      list: pane("agora-steps", "List"),
      player: h("agora-player"),
      detail: h("agora-detail", { class: "card", hidden: true, "aria-live": "polite" }),
      legend: legend(),
      copied: h("span", { role: "status", class: "quiet" }),
      turn: h("a"),
    });
    parts.player.addEventListener("place", (event) => this.#place(event.detail));
    put(this.#body,
      h("p", {}, h("a", { href: "#/journey" }, "← all journeys")),
      parts.title, h("p", { class: "quiet" }, `trace ${this.what}`), parts.facts, parts.problem,
      h("div", { class: "row" }, parts.player, parts.turn, h("button", { id: "copy", onclick: () => this.#copy() }, "Copy as Mermaid"), parts.copied),
      h("div", { class: "journey" }, h("div", {}, parts.diagram, parts.list, parts.legend), parts.detail));
  }

  async #load(signal, tries = 0) {
    try {
      const { data } = await call(`${ROOT}/traces/${this.what}`, { signal });
      this.#parts.problem.show(null);
      const chosen = this.#steps[this.#chosen];
      this.#steps = steps(data);
      if (chosen) this.#keep(chosen);
      this.#parts.title.textContent = typeof data.name === "string" ? data.name.slice(0, 200) : "(no name)";
      this.#facts(data);
      this.#show();
    } catch (error) {
      if (signal.aborted) return;
      if (error.status !== 404 || tries >= NOT_YET_TRIES) return this.#parts.problem.show(error, error.status === 404 && "The observatory keeps the last traces only, and those that it saw.");
      this.#parts.facts.textContent = "Waiting for its first hop…";
      setTimeout(() => signal.aborted || this.#load(signal, tries + 1), NOT_YET_MS);
    }
  }

  // As it happens: each hop that comes is a reason to look again, and so is a stream that begins: what came before is not in it.
  async #follow(signal) {
    const look = soon(TOGETHER_MS, () => signal.aborted || this.#load(signal));
    try {
      for await (const _ of stream(`${ROOT}/hops?trace_id=${this.what}`, { signal, opened: look })) look();
    } catch { /* It does not come by itself then: a reload shows it. */ }
  }

  // What came since may stand before the chosen step, or be its end.
  #keep(chosen) {
    const n = this.#steps.findIndex((it) => it.id === chosen.id && it.side === chosen.side);
    this.#chosen = n < 0 ? null : n;
    if (this.#steps[n]?.end !== chosen.end) this.#tell();
  }

  #tell() {
    this.#parts.detail.show(this.#steps[this.#chosen], this.#steps[0]?.start ?? 0);
  }

  #facts(trace) {
    const all = list(trace.hops).length;
    const [first, last] = span(this.#steps);
    const open = this.#steps.filter((step) => step.end === null).length;
    const facts = [
      count(this.#steps.length, "step"),
      duration(last - first),
      open > 0 && `${open} under way`,
      all > HOPS_MAX && `the first ${HOPS_MAX} of ${all} hops`,
      trace.dropped > 0 && `${count(trace.dropped, "hop")} dropped by the observatory`,
    ].filter(Boolean).join(" · ");
    // It is read out when it is set.
    if (this.#parts.facts.textContent !== facts) this.#parts.facts.textContent = facts;
  }

  #show() {
    const { diagram, list: table, legend: signs, player, turn } = this.#parts;
    const isList = this.how.has("list");
    diagram.hidden = signs.hidden = isList;
    table.hidden = !isList;
    turn.textContent = isList ? "Show as a diagram" : "Show as a list";
    turn.href = `#/journey/${this.what}${isList ? "" : "?list"}`;
    player.show(this.#steps, this.#chosen);
    if (isList) table.show(this.#steps, this.#chosen);
    else {
      diagram.show(this.#steps, this.#parts.title.textContent);
      if (this.#chosen !== null) diagram.at(this.#chosen, false);
    }
  }

  #place({ n, share }) {
    const { diagram } = this.#parts;
    if (share === undefined) this.#mark(n ?? null, true);
    else if (this.how.has("list")) this.#reach(reached(this.#steps, share));
    else diagram.cut(share * diagram.bottom);
  }

  // In a list slow motion goes from step to step. The detail would be read out at each.
  #reach(n) {
    if (n === this.#chosen) return;
    this.#chosen = n;
    this.#parts.list.show(this.#steps, n);
  }

  #choose(n) {
    this.#parts.player.choose(n);
    this.#mark(n, false);
  }

  #mark(n, isCut) {
    this.#chosen = n;
    this.#tell();
    if (this.how.has("list")) this.#parts.list.show(this.#steps, n);
    else this.#parts.diagram.at(n, isCut);
  }

  async #copy() {
    const text = mermaid(this.#steps);
    try {
      await navigator.clipboard.writeText(text);
      this.#parts.copied.textContent = "Copied.";
    } catch {
      // Not allowed here: to be copied by hand.
      put(this.#parts.copied, h("textarea", { rows: 6, readonly: true, "aria-label": "Mermaid" }, text));
    }
  }
}

customElements.define("agora-journey", AgoraJourney);
