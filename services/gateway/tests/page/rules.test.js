import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesFaults, rulesOf, ruling } from "../../web/break/rules.js";
import { faults } from "../../web/lib/known.js";

const before = [
  { target: "orders", kind: "hang", percent: 100, broken: 7 },
  { target: "users", kind: "delay", percent: 50, delay_ms: 20, broken: 0 },
];

test("the rule of an edge is set and taken away by itself", () => {
  const edge = { from: "gateway", to: "a/b" };
  assert.deepEqual(ruling(edge, { kind: "fail", percent: "30" }), ["/faults/gateway/a%2Fb", { method: "PUT", body: { kind: "fail", percent: 30 } }]);
  assert.deepEqual(ruling(edge, { kind: "none" }), ["/faults/gateway/a%2Fb", { method: "DELETE" }]);
});

test("numbers that nobody can mean are bounded", () => {
  const of = (percent, delay_ms) => ruling({ from: "a", to: "b" }, { kind: "delay", percent, delay_ms })[1].body;
  assert.deepEqual(of("", ""), { kind: "delay", percent: 100, delay_ms: 500 });
  assert.deepEqual(of("1e9", "-4"), { kind: "delay", percent: 100, delay_ms: 1 });
});

test("a state without rules has none", () => {
  for (const state of [null, {}, { faults: [null, { service: "a" }] }]) assert.deepEqual(rulesOf(state, "a"), []);
  assert.equal(rulesOf({ faults: [{ service: "a", rules: before }] }, "a").length, 2);
});

test("what replicas have is one rule, with all that it hit", () => {
  const hang = (target, broken) => ({ target, kind: "hang", percent: 100, broken });
  const of = (...rules) => ({ service: "a", rules });
  // One has been started anew since, one does not say, and another service calls the same.
  const state = { faults: [of(), of(hang("b", 2)), { service: "a", rules: null }, of(hang("b", 3), hang("c", 0)), { service: "x", rules: [hang("b", 9)] }] };
  assert.deepEqual(rulesOf(state, "a").map(({ target, broken }) => [target, broken]), [["b", 5], ["c", 0]]);
  assert.equal(faults(state).length, 3);
});

test("a service that was started without faults takes no rules", () => {
  const ready = (name) => ({ name, ready: true });
  const faults = [{ service: "a", rules: [] }];
  assert.equal(refusesFaults({ services: [ready("a"), ready("b")], faults }, "a"), false);
  assert.equal(refusesFaults({ services: [ready("a"), ready("b")], faults }, "b"), true);
  // Nothing was heard of it: it may take some.
  for (const state of [null, {}, { services: [null, { name: "b", ready: false }], faults }]) assert.equal(refusesFaults(state, "b"), false);
});
