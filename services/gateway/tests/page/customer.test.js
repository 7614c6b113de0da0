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

test("an order of whoever has signed out takes no connection", async () => {
  const streams = [];
  globalThis.fetch = async (path, { signal }) => {
    if (path === "/api/sessions") return json({ access_token: "t", expires_in: 3_600 });
    if (path === "/api/users/me") return json(customer.user);
    if (!path.endsWith("/events")) return json({ orders: [order("pending")] });
    streams.push(signal);
    return new Promise((_, refuse) => signal.addEventListener("abort", () => refuse(signal.reason)));
  };
  document.hidden = false;
  await session.token();
  const orders = enter("agora-orders");
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [false]);
  session.signOut();
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [true]);
  orders.disconnectedCallback();
});

test("a token that lives for seconds is used, and its renewal is no other customer", async () => {
  let signIns = 0;
  globalThis.fetch = async (path) => {
    if (path === "/api/users/me") return json(customer.user);
    if (path !== "/api/sessions") return json({ orders: [] });
    signIns += 1;
    // One that signs in without end is stopped here.
    return signIns > 9 ? never() : json({ access_token: "t", expires_in: 20 });
  };
  let changes = 0;
  session.addEventListener("change", () => (changes += 1));
  const orders = enter("agora-orders");
  await session.token();
  await settle();
  assert.deepEqual([signIns, changes], [1, 1]);
  session.expire();
  await session.token();
  await settle();
  assert.deepEqual([signIns, changes], [2, 1]);
  orders.disconnectedCallback();
});
