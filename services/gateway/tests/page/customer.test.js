import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, json, made, never, settle } from "./dom.js";

const customer = { token: "t", user: { id: "u", name: "Ada" }, ends: Date.now() + 3_600_000 };
const order = (status) => ({ id: "1", status, items: [], total_amount: 1, currency: "EUR", created_at: "2026-11-29T12:00:00Z" });
const TRACE = "a".repeat(32);
sessionStorage.setItem("agora.session", JSON.stringify(customer));
sessionStorage.setItem("agora.traces", JSON.stringify([["1", TRACE]]));
await import("../../web/lib/problem.js");
await import("../../web/shop/orders.js");
const { basket } = await import("../../web/shop/basket.js");
const { call } = await import("../../web/lib/api.js");
const { observatory } = await import("../../web/lib/observatory.js");
const { noted } = await import("../../web/shop/placed.js");
const { session } = await import("../../web/shop/session.js");

test("an answer that breaks off is one that did not come", async () => {
  const broken = new ReadableStream({ start: (body) => body.error(new TypeError("terminated")) });
  globalThis.fetch = async () => new Response(broken, { status: 201 });
  // Whoever bought is told to buy again, with the same key.
  await assert.rejects(call("/api/orders", { body: {} }), { status: 0, message: "The gateway cannot be reached" });
  globalThis.fetch = async () => new Response(null, { status: 204 });
  assert.equal((await call("/x", { method: "DELETE" })).data, null);
});

test("that the mail was sent is seen from another view, and stays", async () => {
  globalThis.fetch = async (path) => {
    if (path.endsWith("/state")) return json({});
    if (path.includes("/traces/")) return json({ hops: [{ kind: "mail", outcome: "ok" }] });
    return json({ orders: [order("confirmed")] });
  };
  await observatory.look();
  const isMailed = async () => {
    const before = made.length;
    const orders = enter("agora-orders");
    await settle();
    orders.disconnectedCallback();
    return made.slice(before).some((it) => it.attributes.has("data-mailed"));
  };
  assert.ok(await isMailed());
  // The trace is gone by now.
  globalThis.fetch = async (path) => (path.includes("/traces/") ? json({ title: "Gone" }, 404) : json({ orders: [order("confirmed")] }));
  assert.ok(await isMailed());
  // No timer is left.
  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
});

test("what was bought has its journey, whatever view is shown by then", async () => {
  let answer;
  globalThis.fetch = () => new Promise((resolve) => (answer = resolve));
  basket.add({ id: "g", name: "Kettle", price: 1, currency: "EUR" }, 1);
  const element = enter("agora-basket");
  made.findLast((it) => it.attributes.get("id") === "buy").dispatchEvent(new Event("click"));
  await settle();
  element.disconnectedCallback();
  answer(json({ ...order("pending"), id: "2" }, 201));
  await settle();
  assert.match(noted("2")[0], /^[0-9a-f]{32}$/);
});

test("whoever has signed out sees no orders, and is not signed in again", async () => {
  let answer;
  globalThis.fetch = () => new Promise((resolve) => (answer = resolve));
  const orders = enter("agora-orders");
  await settle();
  session.signOut();
  const before = made.length;
  answer(json({ orders: [order("confirmed")] }));
  await settle();
  assert.ok(!made.slice(before).some(({ tag }) => tag === "agora-order"));
  orders.disconnectedCallback();

  sessionStorage.setItem("agora.session", JSON.stringify(customer));
  const { session: other } = await import("../../web/shop/session.js?again");
  const asked = [];
  globalThis.fetch = (path) => {
    asked.push(path);
    return path === "/x" ? new Promise((resolve) => (answer = resolve)) : never();
  };
  const calling = other.call("/x");
  await settle();
  other.signOut();
  answer(json({ title: "Sign in" }, 401));
  await assert.rejects(calling, { status: 401 });
  assert.deepEqual([asked, other.user], [["/x"], null]);
});
