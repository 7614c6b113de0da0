// <agora-orders>: the customer's last orders; those that are pending are followed live.
import { h, keepFocus, put } from "../lib/dom.js";
import { Part } from "../lib/part.js";
import { stream } from "../lib/api.js";
import { pause } from "../lib/sse.js";
import { mailed } from "./mail.js";
import { newest, patiently } from "./newest.js";
import { note, noted } from "./placed.js";
import { session } from "./session.js";
import "./order.js";

const SHOWN_MAX = 8;
// Streams at a time. A browser has six connections to one host, for all of its tabs: a hidden one takes none.
const STREAMS_MAX = 2;
// Before a stream that failed is asked for again.
const AGAIN_MS = 5_000;
// Looks for the mail of an order just confirmed.
const LOOKS_MAX = 20;

class AgoraOrders extends Part {
  names = new Map();
  #orders = [];
  #parts = new Map();
  #followed = new Set();
  #seen = new AbortController();
  #title = h("h2", { tabindex: -1 }, "Your orders");
  #list = h("ol", { class: "orders" });
  #empty = h("p", { class: "quiet", hidden: true }, "None yet.");
  #news = h("p", { class: "unseen", role: "status" });
  #problem = h("agora-problem");

  start() {
    put(this, this.#title, this.#empty, this.#list, this.#problem, this.#news);
    this.on(session, "change", () => this.#again());
    this.on(this, "changed", (event) => this.#change(event.detail));
    this.on(document, "visibilitychange", () => this.#again());
    this.#load();
  }

  // For whoever shops or looks now: what was followed before takes no connection.
  #again() {
    this.#seen.abort();
    this.#seen = new AbortController();
    if (!document.hidden) this.#load().then(() => this.#followPending());
  }

  add(order) {
    this.#orders = [order, ...this.#orders.filter((it) => it.id !== order.id)].slice(0, SHOWN_MAX);
    this.#news.textContent = "Your order was placed.";
    this.show();
    // The button that bought it is gone: the keyboard goes on here.
    if (document.activeElement === document.body) this.#title.focus({ preventScroll: true });
  }

  async #load() {
    const { user } = session;
    if (!user) {
      this.#orders = [];
      return this.show();
    }
    const before = new Set(this.#orders.map(({ id }) => id));
    const { signal } = this;
    await this.#problem.attempt(async () => {
      const { data } = await session.call(`/api/orders?page_size=${SHOWN_MAX}`, { signal });
      // Who has signed out meanwhile sees nothing of it.
      if (session.user?.id !== user.id) return;
      this.#orders = newest(data.orders, this.#orders, before, SHOWN_MAX);
      this.show();
      // What was sent while another view was shown.
      for (const { id, status } of this.#orders) if (status === "confirmed") this.#awaitMail(id, 1);
    }, signal);
  }

  show() {
    const focusAgain = keepFocus(this, "data-focus", this.#title);
    this.#empty.hidden = this.#orders.length > 0;
    const parts = this.#orders.map((order) => {
      const part = this.#parts.get(order.id) ?? h("agora-order");
      const [traceId, isMailed] = noted(order.id);
      part.show({ order, traceId, isMailed, names: this.names });
      return [order.id, part];
    });
    this.#parts = new Map(parts);
    put(this.#list, ...parts.map(([, part]) => h("li", {}, part)));
    focusAgain();
    this.#followPending();
  }

  #followPending() {
    if (document.hidden) return;
    for (const order of this.#orders) {
      if (this.#followed.size >= STREAMS_MAX) return;
      if (order.status === "pending" && !order.isRead && !this.#followed.has(order.id)) this.#follow(order);
    }
  }

  async #follow(order) {
    const { id } = order;
    this.#followed.add(id);
    const reading = new AbortController();
    const seen = this.#seen.signal;
    const signal = AbortSignal.any([reading.signal, seen, this.signal]);
    const read = async () => {
      for await (const event of stream(`/api/orders/${id}/events`, { token: await session.token(), signal })) {
        const change = JSON.parse(event.data);
        this.#change(change);
        // It may change once more, by a cancellation: not worth a connection.
        if (change.status !== "pending") break;
      }
    };
    try {
      await patiently(read, signal, (error) => {
        if (error.status === 401) session.expire();
        return pause(AGAIN_MS, signal);
      });
    } catch (error) {
      if (!signal.aborted) this.#problem.show(error);
    }
    reading.abort();
    this.#followed.delete(id);
    // Nothing more would come of it, if it was looked at.
    order.isRead = !seen.aborted;
    if (!this.signal.aborted) this.#followPending();
  }

  #change({ order_id: id, status, reason }) {
    const order = this.#orders.find((it) => it.id === id);
    if (!order || order.status === status) return;
    Object.assign(order, { status, reason });
    this.#news.textContent = `An order is ${status}.`;
    this.show();
    if (status === "confirmed") this.#awaitMail(id, LOOKS_MAX);
  }

  async #awaitMail(id, looks) {
    const [traceId, isMailed] = noted(id);
    if (!traceId || isMailed || !(await mailed(traceId, this.signal, looks))) return;
    note(id, traceId, true);
    this.show();
  }
}

customElements.define("agora-orders", AgoraOrders);
