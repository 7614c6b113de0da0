// <agora-detail>: what travelled in one step.
import { h, put } from "../lib/dom.js";
import { duration } from "../lib/format.js";
import { outcome } from "./calls.js";

const FIELDS_MAX = 60;

const pairs = (object) => (object && typeof object === "object" ? Object.entries(object).slice(0, FIELDS_MAX) : []);
const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

function table(entries) {
  return h("dl", {}, entries.filter(([, value]) => (value ?? "") !== "")
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, shown(value)))));
}

class AgoraDetail extends HTMLElement {
  show(step, begin) {
    this.hidden = !step;
    if (!step) return put(this);
    // Of a message, what its sender knew of it stands there, too.
    const ends = [...step.hops, ...(step.source?.hops ?? [])].filter((hop) => pairs(hop.detail).length > 0)
      .flatMap((hop) => [h("h3", {}, `What ${shown(hop.service)} recorded (${shown(hop.side)})`), table(pairs(hop.detail))]);
    put(this,
      h("h2", {}, step.name),
      table([
        ["From", step.from],
        ["To", step.to],
        ["Kind", step.kind],
        ["Outcome", outcome(step)],
        ["Began", `${duration(step.start - begin)} after the beginning`],
        ["Took", step.end === null ? "still open" : duration(step.end - step.start)],
        ["On its way", Number.isFinite(step.sent) ? duration(step.start - step.sent) : null],
        ["Attempt", step.attempt],
        ["Span", step.id],
      ]),
      ...ends,
    );
  }
}

customElements.define("agora-detail", AgoraDetail);
