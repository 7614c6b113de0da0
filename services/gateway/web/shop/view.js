// <agora-shop>: the shelf, the basket, the orders.
import { h, put } from "../lib/dom.js";
import { Part } from "../lib/part.js";
import { call } from "../lib/api.js";
import { session } from "./session.js";
import { isSame } from "./shelf.js";
import "./basket.js";
import "./good.js";
import "./orders.js";

const GOODS_MAX = 100;

class AgoraShop extends Part {
  #who = h("div", { class: "who" });
  #shelf = h("ul", { class: "shelf", "aria-busy": "true" });
  #problem = h("agora-problem");
  #orders = h("agora-orders");
  #goods = new Map();

  start() {
    put(this,
      h("section", { class: "goods", "aria-labelledby": "goods" },
        h("h1", { id: "goods" }, "Shop"),
        h("p", { class: "lead" }, "Buy something, then look at what the purchase sets in motion between five services."),
        this.#problem, this.#shelf),
      h("aside", { "aria-label": "Your purchase" }, this.#who, h("agora-basket"), this.#orders),
    );
    this.on(session, "change", () => this.#showWho());
    this.on(this, "bought", (event) => this.#bought(event.detail));
    this.#showWho();
    this.#load();
  }

  #showWho() {
    const { user } = session;
    const hadFocus = this.#who.contains(document.activeElement);
    put(this.#who,
      user
        ? h("p", {}, "Signed in as ", h("strong", {}, user.name), " ", h("button", { class: "plain", onclick: () => session.signOut() }, "Sign out"))
        : h("button", { id: "sign-in", onclick: () => this.#problem.press(() => session.token()) }, "Sign in as the demo customer"),
    );
    if (hadFocus) this.#who.querySelector("button").focus();
  }

  #bought(order) {
    this.#orders.add(order);
    this.#load();
  }

  async #load() {
    const { signal } = this;
    await this.#problem.attempt(async () => {
      const { data } = await call(`/api/products?page_size=${GOODS_MAX}`, { signal });
      this.#orders.names = new Map(data.products.map((good) => [good.id, good.name]));
      this.#orders.show();
      this.#fill(data.products);
    }, signal);
    this.#shelf.ariaBusy = "false";
  }

  // What is on the shelf already is only told its news: the keyboard stays where it is.
  #fill(goods) {
    if (!isSame([...this.#goods.keys()], goods)) {
      this.#goods = new Map(goods.map((good) => [good.id, this.#goods.get(good.id) ?? h("agora-good").show(good)]));
      put(this.#shelf, ...goods.map((good) => h("li", {}, this.#goods.get(good.id))));
    }
    for (const good of goods) this.#goods.get(good.id).update(good);
  }
}

customElements.define("agora-shop", AgoraShop);
