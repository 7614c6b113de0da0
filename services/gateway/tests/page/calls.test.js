import assert from "node:assert/strict";
import { test } from "node:test";
import { HOPS_MAX, isBad, isStopped, outcome, reached, steps } from "../../web/journey/calls.js";
import { broken, hop, purchase } from "./trace.js";

const place = (list, name, style) => list.findIndex((step) => step.name === name && step.style === style);

test("both ends of a call are one step", () => {
  const list = steps(purchase);
  assert.equal(list.length, 10);
  const [call] = list.filter((step) => step.name === "POST /v1/orders");
  assert.deepEqual([call.from, call.to, call.hops.length], ["gateway", "orders", 2]);
  assert.equal(call.served.end - call.served.start, 18_700);
});

test("every step of a purchase comes after its cause", () => {
  const list = steps(purchase);
  for (const step of list) {
    if (step.cause) assert.ok(list.indexOf(step.cause) < list.indexOf(step), step.name);
  }
  assert.ok(place(list, "agora.order.placed.v1", "publish") < place(list, "agora.order.placed.v1", "delivery"));
});

test("a message knows how long it was on its way", () => {
  const delivery = steps(purchase).find((step) => step.style === "delivery");
  assert.equal(delivery.start - delivery.sent, 33_000 - 26_800);
  assert.deepEqual([delivery.source.style, delivery.source.to], ["publish", delivery.from]);
});

test("a message that is delivered again has waited since the attempt before", () => {
  const to = (of, service, [start, end], attempt) => hop(of, "1", "consumer", "kafka", ["topic", service], "event", [start, end], { attempt });
  const list = steps({ hops: [
    hop("1", null, "producer", "kafka", ["a", "topic"], "event", [0, 2]),
    to("2", "b", [5, 10], 1),
    to("3", "c", [6, 90], 1),
    to("4", "b", [110, 120], 2),
    to("5", "b", [320, 330], 3),
  ] });
  const waits = list.filter((step) => step.style === "delivery").map((step) => [step.to, step.attempt, step.start - step.sent]);
  assert.deepEqual(waits, [["b", 1, 3], ["c", 1, 4], ["b", 2, 100], ["b", 3, 200]]);
});

test("attempts, faults, breakers and what is open are told in words", () => {
  const [, first, refused, open, second] = steps(broken);
  assert.match(outcome(first), /timed out, left hanging on purpose/);
  assert.match(outcome(second), /timed out, attempt 2/);
  assert.match(outcome(refused), /refused by the breaker, breaker open/);
  assert.equal(outcome(open), "under way");
});

test("an answer that refuses has arrived, a breaker's refusal has not left", () => {
  const at = ["a", "b"];
  const [answered, stopped] = steps({ hops: [
    hop("1", null, "client", "http", at, "one", [0, 1], { outcome: "refused", status: "404" }),
    hop("2", null, "client", "http", at, "two", [1, 2], { outcome: "refused" }),
  ] });
  assert.deepEqual([isStopped(answered), outcome(answered)], [false, "refused, 404"]);
  assert.deepEqual([isStopped(stopped), outcome(stopped)], [true, "refused by the breaker"]);
});

test("a call that found no place was not refused by the breaker", () => {
  const [full] = steps({ hops: [hop("1", null, "client", "http", ["a", "b"], "one", [0, 1], { outcome: "no_place" })] });
  assert.deepEqual([isStopped(full), isBad(full)], [true, true]);
  assert.equal(outcome(full), "found no place: too many calls under way");
});

test("the observatory's words: who asks first, whose outbox, what a message says", () => {
  const [asked, wait, publish] = steps({ hops: [
    hop("1", null, "server", "http", ["client", "gateway"], "POST /", [0, 9]),
    hop("2", "1", "internal", "outbox", ["orders", "outbox"], "order-events", [1, 3]),
    hop("3", "2", "producer", "kafka", ["orders", "order-events"], "order-events publish", [2, 3], { detail: { ce_type: "order.placed" } }),
  ] });
  assert.equal(asked.from, "you");
  assert.deepEqual([wait.style, wait.to], ["wait", "orders outbox"]);
  assert.deepEqual([publish.style, publish.name], ["publish", "order.placed"]);
});

test("a method is named without its package", () => {
  const named = (name) => steps({ hops: [hop("1", null, "client", "grpc", ["a", "b"], name, [0, 1])] })[0].name;
  assert.equal(named("agora.products.v1.CatalogService/Quote"), "CatalogService/Quote");
  assert.equal(named("GET /v1.0/x"), "GET /v1.0/x");
});

test("clocks that are years off do not put an effect before its cause", () => {
  const year = 365 * 86_400 * 1e6;
  const list = steps({ hops: [
    hop("1", null, "server", "http", [null, "a"], "begin", [0, 10]),
    hop("2", "1", "client", "http", ["a", "b"], "past", [-30 * year, -31 * year]),
    hop("3", "2", "client", "http", ["b", "c"], "future", [30 * year, null]),
  ] });
  assert.deepEqual(list.map((step) => step.name), ["begin", "past", "future"]);
  for (const step of list) assert.ok(step.end === null || step.end >= step.start);
});

test("circles and missing parents leave every step where it can be seen", () => {
  const at = ["a", "b"];
  const list = steps({ hops: [
    hop("1", "3", "client", "http", at, "one", [0, 1]),
    hop("2", "1", "client", "http", at, "two", [0, 1]),
    hop("3", "2", "client", "http", at, "three", [0, 1]),
    hop("4", "4", "client", "http", at, "itself", [0, 1]),
    hop("5", "nobody", "client", "http", at, "orphan", [0, 1]),
  ] });
  assert.deepEqual(new Set(list.map((step) => step.name)), new Set(["one", "two", "three", "itself", "orphan"]));
});

test("garbage is no reason to fail", () => {
  for (const trace of [null, undefined, 7, "x", {}, { hops: "no" }, { hops: [null, 7, "x", [], {}] }]) {
    assert.ok(Array.isArray(steps(trace)));
  }
  const [step] = steps({ hops: [{ id: {}, parent: [], name: 7, from: null, started_at: "soon", ended_at: NaN, attempt: -1e9, detail: 3 }] });
  assert.ok(Number.isFinite(step.start) && step.attempt === 1);
});

test("a long chain, huge names and many hops are bounded", () => {
  const chain = Array.from({ length: 20_000 }, (_, n) => hop(`${n}`, n ? `${n - 1}` : null, "client", "http", ["a", "b"], "x".repeat(10_000), [n, n + 1]));
  const list = steps({ hops: chain });
  assert.equal(list.length, HOPS_MAX);
  assert.ok(list.every((step) => step.name.length <= 200));
});

test("slow motion reaches each step at its own time", () => {
  const list = steps(purchase);
  assert.deepEqual([0, 1].map((share) => reached(list, share)), [0, list.length - 1]);
  const all = Array.from({ length: 1_001 }, (_, n) => reached(list, n / 1_000));
  assert.deepEqual(all, [...all].sort((a, b) => a - b));
  assert.equal(reached([], 0.5), 0);
});
