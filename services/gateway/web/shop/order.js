// <agora-order>: one order and where it stands.
import { h, put, tell } from "../lib/dom.js";
import { money, time } from "../lib/format.js";
import { session } from "./session.js";

const SIGNS = { pending: "…", confirmed: "✓", rejected: "✕", cancelled: "⊘" };

class AgoraOrder extends HTMLElement {
  #problem = h("agora-problem");

  show({ order, traceId, isMailed, names }) {
    const status = String(order.status);
    const items = order.items.map((item) => `${item.quantity} × ${names.get(item.product_id) ?? "something"}`);
    const canCancel = status === "pending" || status === "confirmed";
    put(this,
      h("p", { class: "headline" },
        h("span", { class: `status ${status}`, "data-status": status }, h("span", { "aria-hidden": "true" }, SIGNS[status] ?? "?"), ` ${status}`),
        h("time", { class: "quiet", datetime: order.created_at }, time(order.created_at))),
      h("p", {}, items.join(", "), " · ", h("strong", {}, money(order.total_amount, order.currency))),
      order.reason && h("p", { class: "quiet" }, order.reason),
      isMailed && h("p", { class: "quiet", "data-mailed": true }, "✉ The mail was sent."),
      h("p", { class: "actions" },
        traceId && h("a", { href: `#/journey/${traceId}`, "data-focus": `journey-${order.id}` }, "See its journey"),
        canCancel && h("button", { class: "plain", "aria-label": `Cancel the order of ${items.join(", ")}`, "data-focus": `cancel-${order.id}`, onclick: () => this.#cancel(order.id) }, "Cancel")),
      this.#problem,
    );
  }

  #cancel(id) {
    this.#problem.press(async () => {
      const { data } = await session.cancel(id);
      tell(this, "changed", { order_id: id, status: data.status });
    });
  }
}

customElements.define("agora-order", AgoraOrder);
