// What is to be bought, and <agora-basket>, which shows it and buys it.
import { h, keepFocus, put, tell } from "../lib/dom.js";
import { Part } from "../lib/part.js";
import { hex } from "../lib/api.js";
import { money } from "../lib/format.js";
import { keep, kept } from "../lib/kept.js";
import { note } from "./placed.js";
import { session } from "./session.js";

const KEY = "agora.basket";
const PIECES_MAX = 99;

class Basket extends EventTarget {
  #kept = kept(KEY) ?? { lines: [], key: null };

  get lines() {
    return this.#kept.lines;
  }

  // The same until the basket changes or is bought: a repeated attempt, also after a reload, buys once.
  get idempotencyKey() {
    if (!this.#kept.key) this.#keep({ ...this.#kept, key: hex(16) });
    return this.#kept.key;
  }

  add(good, pieces) {
    const { id, name, price, currency } = good;
    const before = this.lines.find((line) => line.good.id === id)?.pieces ?? 0;
    const line = { good: { id, name, price, currency }, pieces: Math.min(before + pieces, PIECES_MAX) };
    // In the order in which they were taken first.
    const lines = before > 0 ? this.lines.map((it) => (it.good.id === id ? line : it)) : [...this.lines, line];
    this.#keep({ lines: lines.filter((it) => it.pieces > 0), key: null });
  }

  empty() {
    this.#keep({ lines: [], key: null });
  }

  #keep(kept) {
    this.#kept = kept;
    keep(KEY, kept);
    this.dispatchEvent(new Event("change"));
  }
}

export const basket = new Basket();

class AgoraBasket extends Part {
  #problem = h("agora-problem");
  #lines = h("div");
  #buying = false;

  start() {
    put(this, h("h2", {}, "Basket"), this.#lines, this.#problem);
    this.on(basket, "change", () => this.#show());
    this.#show();
  }

  #show() {
    const focusAgain = keepFocus(this, "data-focus");
    const { lines } = basket;
    const total = lines.reduce((sum, line) => sum + line.good.price * line.pieces, 0);
    put(this.#lines, lines.length === 0
      ? h("p", { class: "quiet" }, "Empty. Take something from the shelf.")
      : [
        h("ul", { class: "lines" }, lines.map((line) => this.#line(line))),
        h("p", { class: "total" }, h("span", {}, "Total"), h("strong", {}, money(total, lines[0].good.currency))),
        h("button", { class: "main", id: "buy", "data-focus": "buy", "aria-busy": String(this.#buying), onclick: () => this.#buy() },
          this.#buying ? "Buying…" : "Buy"),
      ]);
    focusAgain();
  }

  #line({ good, pieces }) {
    const step = (by, sign, what) =>
      h("button", { class: "step", "aria-label": `${what} ${good.name}`, "data-focus": `${by}${good.id}`, onclick: () => basket.add(good, by) }, sign);
    return h("li", {},
      h("span", { class: "grow" }, good.name),
      step(-1, "−", "One less of"), h("span", { class: "pieces" }, pieces), step(1, "+", "One more of"),
      h("span", { class: "price" }, money(good.price * pieces, good.currency)));
  }

  async #buy() {
    if (this.#buying || basket.lines.length === 0) return;
    this.#setBuying(true);
    this.#problem.show(null);
    const key = basket.idempotencyKey;
    const items = basket.lines.map((line) => ({ product_id: line.good.id, quantity: line.pieces }));
    try {
      const { data, traceId } = await session.call("/api/orders", { body: { items }, headers: { "idempotency-key": key } });
      if (basket.idempotencyKey === key) basket.empty();
      // Also where another view is shown by now.
      note(data.id, traceId);
      tell(this, "bought", data);
    } catch (error) {
      const isOpen = error.status === 0 || error.status >= 500 || error.status === 429;
      this.#problem.show(error, isOpen && "Whether it was bought is not known. Buy again: it has the same idempotency key and is bought once.");
    }
    this.#setBuying(false);
  }

  #setBuying(is) {
    this.#buying = is;
    this.#show();
  }
}

customElements.define("agora-basket", AgoraBasket);
