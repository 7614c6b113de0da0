// <agora-switch>: something that can be taken away and given back, and what that hit.
import { h, put } from "../lib/dom.js";
import { observatory } from "../lib/observatory.js";
import { isBroken, positionOf } from "./switches.js";

class AgoraSwitch extends HTMLElement {
  #it = null;
  #state = h("span");
  #hit = h("strong", { class: "number" });
  #button = h("button", { onclick: () => this.#press() });
  #problem = h("agora-problem");

  show(it) {
    if (!this.#it) this.#build(it);
    this.#it = it;
    if (it.absent) return;
    const { sign, word, press, kind } = positionOf(it);
    put(this.#state, h("span", { class: kind }, `${sign} ${word}`));
    this.#hit.textContent = isBroken(it) || it.hit > 0 ? `hit ${it.hit ?? "?"}` : "";
    this.#button.textContent = press;
    this.#button.ariaLabel = `${press}: ${it.title}`;
    this.classList.toggle("broken", isBroken(it));
  }

  #build(it) {
    this.id = `switch-${it.name}`;
    put(this, h("h3", {}, it.title), ...(it.absent
      ? [h("p", { class: "quiet" }, it.absent.why), it.absent.command && h("pre", {}, it.absent.command)]
      : [h("div", { class: "row" }, this.#state, this.#button, this.#hit), this.#problem]));
  }

  async #press() {
    if (this.#button.ariaBusy === "true") return;
    this.#button.ariaBusy = "true";
    // A button that stays where it is, such as that of a message, is pressed again.
    const on = isBroken(this.#it) ? this.#it.usual : !this.#it.usual;
    await this.#problem.press(() => observatory.change(`/switches/${this.#it.name}`, { body: { on } }));
    this.#button.ariaBusy = "false";
  }
}

customElements.define("agora-switch", AgoraSwitch);
