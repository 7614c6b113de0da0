// <agora-edge>: the switch of one edge, what it hit, and the breaker behind it.
import { h, put } from "../lib/dom.js";
import { rate } from "../lib/format.js";
import { lamp } from "../lib/lamp.js";
import { observatory } from "../lib/observatory.js";
import { DELAY_MAX_MS, KINDS, refusesFaults, rulesOf, ruling, whyNoFaults } from "./rules.js";

class AgoraEdge extends HTMLElement {
  #edge = null;
  #met = h("strong", { class: "number" });
  #rate = h("span", { class: "quiet" });
  #lamp = h("span");
  #problem = h("agora-problem");
  #missing = h("p", { class: "quiet", hidden: true });
  #kinds = [];
  #percent = h("input", { type: "number", min: 1, max: 100, value: 100 });
  #delay = h("input", { type: "number", min: 1, max: DELAY_MAX_MS, value: 500 });

  show(edge) {
    if (!this.#edge) this.#build(edge);
    this.#edge = edge;
    const rule = rulesOf(observatory.state, edge.from).find((it) => it.target === edge.to);
    for (const [kind, button] of this.#kinds) button.ariaPressed = String(kind === (rule?.kind ?? "none"));
    this.#allow(!refusesFaults(observatory.state, edge.from));
    this.classList.toggle("broken", Boolean(rule));
    this.#met.textContent = rule ? `hit ${rule.broken}` : "";
    const shed = Number(edge.shed) || 0;
    this.#rate.textContent = `${rate(edge.per_second)} calls/s, ${rate(edge.errors_per_second)} errors/s${shed > 0 ? `, ${shed} found no place` : ""}`;
    put(this.#lamp, "breaker ", lamp(edge.breaker, edge.window));
  }

  #build({ from, to }) {
    const name = `${from} → ${to}`;
    this.#kinds = KINDS.map((kind) => [kind, h("button", { onclick: () => this.#press(kind) }, kind === "none" ? "works" : kind)]);
    this.#missing.textContent = whyNoFaults(from);
    put(this,
      h("h3", {}, name), this.#rate,
      h("div", { class: "row", role: "group", "aria-label": name }, this.#kinds.map(([, button]) => button), this.#met),
      h("div", { class: "row" },
        h("label", {}, "share, % ", this.#percent), h("label", {}, "delay, ms ", this.#delay)),
      this.#missing, this.#lamp, this.#problem);
  }

  #allow(isAllowed) {
    this.#missing.hidden = isAllowed;
    for (const part of [...this.#kinds.map(([, button]) => button), this.#percent, this.#delay]) part.disabled = !isAllowed;
  }

  #press(kind) {
    const rule = { kind, percent: this.#percent.value, delay_ms: this.#delay.value };
    this.#problem.press(() => observatory.change(...ruling(this.#edge, rule)));
  }
}

customElements.define("agora-edge", AgoraEdge);
