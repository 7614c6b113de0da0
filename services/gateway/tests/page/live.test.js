// What is shown of a system at work: of now, and whole.
import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, json, made, never, settle } from "./dom.js";

globalThis.cancelAnimationFrame = () => {};
await import("../../web/lib/problem.js");
await import("../../web/journey/view.js");
await import("../../web/shop/orders.js");
const { observatory } = await import("../../web/lib/observatory.js");
const { session } = await import("../../web/shop/session.js");

// An event stream that says this, and then what `said` gets, until it is not wanted any more.
function stream(signal, first, said = []) {
  const bytes = (text) => new TextEncoder().encode(text);
  const body = new ReadableStream({
    start(control) {
      if (first) control.enqueue(bytes(first));
      said.push((text) => control.enqueue(bytes(text)));
      signal.addEventListener("abort", () => control.error(signal.reason));
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

const STATE = "event:state\ndata:{}\n\n";

// Follows the state for so many seconds: how the observatory was at each.
async function follows(t, seconds, events, eachSecond = () => {}) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.fetch = async (path, { signal }) => (path.endsWith("/events") ? events(signal) : json({}));
  document.hidden = false;
  const view = new AbortController();
  observatory.follow(view.signal);
  await settle();
  const was = [];
  for (let n = 0; n < seconds; n += 1) {
    eachSecond();
    t.mock.timers.tick(1_000);
    await settle();
    was.push(observatory.is);
  }
  // No timer is left.
  document.hidden = true;
  view.abort();
  await settle();
  return was;
}

test("a state that comes stays", async (t) => {
  const said = [];
  const was = await follows(t, 40, (signal) => stream(signal, STATE, said), () => said.at(-1)(STATE));
  assert.deepEqual(new Set(was), new Set(["present"]));
  assert.equal(said.length, 1, "one stream is enough");
});

test("a state that comes no more is not shown as that of now", async (t) => {
  const was = await follows(t, 16, (signal) => stream(signal, STATE));
  assert.deepEqual([was[0], was.at(-1)], ["present", "away"]);
  assert.equal(observatory.state, null);
});

test("nor is one whose stream is refused again and again", async (t) => {
  let streams = 0;
  const was = await follows(t, 16, () => (streams += 1, json({ title: "Away" }, 503)));
  assert.deepEqual([was[0], was.at(-1)], ["present", "away"]);
  assert.ok(streams < 10, `it was asked for ${streams} times`);
});

test("a journey has what came before its stream began", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked = [];
  globalThis.fetch = async (path, { signal }) => {
    asked.push(path);
    if (path.endsWith("/state")) return json({});
    return path.includes("/hops?") ? stream(signal) : json({ hops: [] });
  };
  document.hidden = false;
  await observatory.look();
  const journey = document.createElement("agora-journey");
  journey.what = "a".repeat(32);
  journey.connectedCallback();
  await settle();
  t.mock.timers.tick(200);
  await settle();
  journey.disconnectedCallback();
  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  const hops = asked.findIndex((path) => path.includes("/hops?"));
  assert.ok(asked.slice(hops + 1).some((path) => path.includes("/traces/")), asked.join(" "));
});

test("a trace that is not over is open, however long it has taken so far", async () => {
  const trace = (more) => ({ trace_id: "a".repeat(32), name: "one", started_at: 1, duration_us: 5_000, hops: 2, outcome: "ok", services: [], ...more });
  globalThis.fetch = async () => json({ traces: [trace({ ended_at: null }), trace({ ended_at: 2, duration_us: 0 })] });
  const before = made.length;
  const traces = enter("agora-traces");
  await settle();
  traces.disconnectedCallback();
  const cells = made.slice(before).filter(({ tag }) => tag === "td").flatMap(({ children }) => children);
  assert.ok(cells.includes("open") && cells.includes("0 µs") && !cells.includes("5 ms"), cells.join(" | "));
});

test("one step on is one on from the chosen step, wherever that is now", () => {
  const player = enter("agora-player");
  const on = made.findLast((it) => it.attributes.get("aria-label") === "One step on");
  const went = [];
  player.addEventListener("place", (event) => went.push(event.detail.n));
  const step = (name) => ({ from: "a", to: "b", name });
  player.show([step("one"), step("two"), step("three")], null);
  on.dispatchEvent(new Event("click"));
  on.dispatchEvent(new Event("click"));
  // Another came before it.
  player.show([step("zero"), step("one"), step("two"), step("three")], 2);
  on.dispatchEvent(new Event("click"));
  player.disconnectedCallback();
  assert.deepEqual(went, [0, 1, 3]);
});

test("whoever has signed out is not signed in again by an order that was waited for", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const order = { id: "1", status: "pending", items: [], total_amount: 1, currency: "EUR", created_at: "2026-11-29T12:00:00Z" };
  const asked = [];
  globalThis.fetch = async (path) => {
    asked.push(path);
    if (path === "/api/sessions") return json({ access_token: "t", expires_in: 900 });
    if (path === "/api/users/me") return json({ id: "u", name: "Ada" });
    if (path.endsWith("/events")) return json({ title: "Expired" }, 401);
    return json({ orders: [{ ...order }] });
  };
  document.hidden = false;
  const orders = enter("agora-orders");
  await session.token();
  await settle();
  assert.ok(asked.some((path) => path.endsWith("/events")), "the order is followed");
  session.signOut();
  const before = asked.length;
  for (let seconds = 0; seconds < 20; seconds += 1) {
    t.mock.timers.tick(1_000);
    await settle();
  }
  orders.disconnectedCallback();
  assert.equal(session.user, null);
  assert.deepEqual(asked.slice(before), []);
});
