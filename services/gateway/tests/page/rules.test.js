import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesFaults, replaced, rulesOf } from "../../web/break/rules.js";

const before = [
  { target: "orders", kind: "hang", percent: 100, broken: 7 },
  { target: "users", kind: "delay", percent: 50, delay_ms: 20, broken: 0 },
];

test("a rule takes the place of the one for its target, the others stay", () => {
  assert.deepEqual(replaced(before, "orders", { kind: "fail", percent: "30" }), [
    { target: "users", kind: "delay", percent: 50, delay_ms: 20 },
    { target: "orders", kind: "fail", percent: 30 },
  ]);
  assert.deepEqual(replaced(before, "users", { kind: "none" }), [{ target: "orders", kind: "hang", percent: 100 }]);
});

test("numbers that nobody can mean are bounded", () => {
  const of = (percent, delay_ms) => replaced([], "a", { kind: "delay", percent, delay_ms })[0];
  assert.deepEqual(of("", ""), { target: "a", kind: "delay", percent: 100, delay_ms: 500 });
  assert.deepEqual(of("1e9", "-4"), { target: "a", kind: "delay", percent: 100, delay_ms: 1 });
});

test("a state without rules has none", () => {
  for (const state of [null, {}, { faults: [null, { service: "a" }] }]) assert.deepEqual(rulesOf(state, "a"), []);
  assert.equal(rulesOf({ faults: [{ service: "a", rules: before }] }, "a").length, 2);
});

test("a service that was started without faults takes no rules", () => {
  const ready = (name) => ({ name, ready: true });
  const faults = [{ service: "a", rules: [] }];
  assert.equal(refusesFaults({ services: [ready("a"), ready("b")], faults }, "a"), false);
  assert.equal(refusesFaults({ services: [ready("a"), ready("b")], faults }, "b"), true);
  // Nothing was heard of it: it may take some.
  for (const state of [null, {}, { services: [null, { name: "b", ready: false }], faults }]) assert.equal(refusesFaults(state, "b"), false);
});
