// <agora-good>: one thing on the shelf.
import { h, put } from "../lib/dom.js";
import { money } from "../lib/format.js";
import { basket } from "./basket.js";
import { picture } from "./picture.js";

class AgoraGood extends HTMLElement {
  #left = h("small", { class: "quiet" });
  #add = h("button", {}, "Add");

  show(good) {
    this.#add.ariaLabel = `Add ${good.name} to the basket`;
    this.#add.addEventListener("click", () => basket.add(good, 1));
    put(this,
      picture(good.id),
      h("div", { class: "about" },
        h("h3", {}, good.name),
        h("p", { class: "quiet" }, good.description),
        h("p", { class: "price" }, money(good.price, good.currency), " ", this.#left)),
      this.#add,
    );
    this.update(good);
    return this;
  }

  update(good) {
    this.#left.textContent = good.available > 0 ? `${good.available} left` : "sold out";
    this.#add.disabled = good.available <= 0;
  }
}

customElements.define("agora-good", AgoraGood);
