// <agora-banner>: what is broken on purpose, on every view, and the way out of it.
import { h, put } from "../lib/dom.js";
import { faults } from "../lib/known.js";
import { observatory, ruleText } from "../lib/observatory.js";
import { Part } from "../lib/part.js";
import { switchWords } from "./switches.js";

const SHOWN_MAX = 5;

class AgoraBanner extends Part {
  #words = h("ul");
  #title = h("strong");
  #problem = h("agora-problem");
  #bar = h("div", { class: "banner", hidden: true },
    this.#title, this.#words,
    h("button", { onclick: () => this.#problem.press(() => observatory.change("/faults", { method: "DELETE" })) }, "Mend all"),
    this.#problem);

  start() {
    this.role = "region";
    this.ariaLabel = "What is broken on purpose";
    put(this, this.#bar);
    this.on(observatory, "change", () => this.#show());
  }

  #show() {
    // While the observatory is away, what was last known still holds.
    if (!observatory.state) return;
    const rules = faults(observatory.state).map((rule) => `${ruleText(rule)} (hit ${rule.broken})`);
    const all = [...switchWords(observatory.state), ...rules];
    this.#bar.hidden = all.length === 0;
    this.#title.textContent = `⚡ Broken on purpose: ${all.length}`;
    const more = all.length > SHOWN_MAX ? [`and ${all.length - SHOWN_MAX} more`] : [];
    put(this.#words, ...[...all.slice(0, SHOWN_MAX), ...more].map((it) => h("li", {}, it)));
  }
}

customElements.define("agora-banner", AgoraBanner);
