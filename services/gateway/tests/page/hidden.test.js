import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, json, never, settle } from "./dom.js";

await import("../../web/lib/problem.js");
await import("../../web/journey/view.js");
const { observatory } = await import("../../web/lib/observatory.js");

test("a trace that nobody looks at takes no connection", async () => {
  const streams = [];
  globalThis.fetch = async (path, { signal }) => {
    if (path.endsWith("/state")) return json({});
    if (path.includes("/hops?")) streams.push(signal);
    return never();
  };
  await observatory.look();
  const journey = document.createElement("agora-journey");
  journey.what = "a".repeat(32);
  journey.connectedCallback();
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [false]);

  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [true]);

  document.hidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [true, false]);

  journey.disconnectedCallback();
  assert.ok(streams.every(({ aborted }) => aborted));
  // No timer is left.
  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
});

test("an order that waits takes no connection where nobody looks", async () => {
  const customer = { token: "t", user: { id: "u", name: "Ada" }, ends: Date.now() + 3_600_000 };
  sessionStorage.setItem("agora.session", JSON.stringify(customer));
  await import("../../web/shop/orders.js");
  const order = { id: "1", status: "pending", items: [], total_amount: 1, currency: "EUR", created_at: "2026-11-29T12:00:00Z" };
  const streams = [];
  let isAway = false;
  globalThis.fetch = async (path, { signal }) => {
    if (!path.endsWith("/events")) return isAway ? json({ title: "Away" }, 503) : json({ orders: [{ ...order }] });
    streams.push(signal);
    return new Promise((_, refuse) => signal.addEventListener("abort", () => refuse(signal.reason)));
  };
  const look = async (hidden) => {
    document.hidden = hidden;
    document.dispatchEvent(new Event("visibilitychange"));
    await settle();
    return streams.map(({ aborted }) => aborted);
  };
  document.hidden = false;
  const orders = enter("agora-orders");
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [false]);
  assert.deepEqual(await look(true), [true]);
  // What has become of it meanwhile is asked for.
  assert.deepEqual(await look(false), [true, false]);
  // It is followed again if nothing can be asked for at first, as where a machine wakes up before its network.
  isAway = true;
  await look(true);
  const again = await look(false);
  await look(true);
  orders.disconnectedCallback();
  assert.deepEqual(again, [true, true, false]);
});
