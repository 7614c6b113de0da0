import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, json, made, never, settle } from "./dom.js";

const customer = { token: "t", user: { id: "u", name: "Ada" }, ends: Date.now() + 3_600_000 };
sessionStorage.setItem("agora.session", JSON.stringify(customer));
await import("../../web/lib/problem.js");
await import("../../web/journey/traces.js");
await import("../../web/shop/orders.js");
await import("../../web/tour/view.js");

// Answers by path; what was asked for.
function serve(answer) {
  const asked = [];
  globalThis.fetch = async (path) => {
    asked.push(path);
    // One that asks without a pause is stopped here.
    return asked.length > 50 ? never() : answer(path);
  };
  return asked;
}

test("the last traces are asked for one request at a time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const asked = serve(never);
  const traces = enter("agora-traces");
  for (let seconds = 0; seconds < 60; seconds += 1) {
    t.mock.timers.tick(1_000);
    await settle();
  }
  traces.disconnectedCallback();
  assert.equal(asked.length, 1);
});

test("an order whose stream is refused is not followed again and again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const order = { id: "1", status: "pending", items: [], total_amount: 1, currency: "EUR", created_at: "2026-11-29T12:00:00Z" };
  for (const status of [404, 401]) {
    const asked = serve((path) => (path.endsWith("/events") ? json({ title: "Refused" }, status) : json({ orders: [{ ...order }] })));
    const orders = enter("agora-orders");
    await settle();
    const followed = asked.filter((path) => path.endsWith("/events"));
    assert.equal(followed.length, 1, `${status}`);
    orders.disconnectedCallback();
  }
});

test("a stop of the tour waits for none, and none is done beside it", async () => {
  const stop = (id) => ({ id, title: `Stop ${id}`, press: "", will: "", why: "", code: [], pattern: "" });
  const asked = serve((path) => (path.endsWith("tour.json") ? json({ stops: [stop("purchase"), stop("twice")] }) : never()));
  const tour = enter("agora-tour");
  await settle();
  const press = (id) => made.findLast((it) => it.attributes.get("aria-label") === `Do it: Stop ${id}`).dispatchEvent(new Event("click"));
  press("purchase");
  await settle();
  const before = asked.length;
  assert.ok(before > 1, "the first is under way");
  press("twice");
  await settle();
  assert.equal(asked.length, before);
  // Nor from the view that is shown when somebody comes back.
  tour.disconnectedCallback();
  enter("agora-tour");
  await settle();
  press("twice");
  await settle();
  assert.equal(asked.length, before + 1, "only what the stops are");
});
