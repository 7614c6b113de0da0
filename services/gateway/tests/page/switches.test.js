import assert from "node:assert/strict";
import { test } from "node:test";
import { isBroken, kinds, positionOf, switchesOf, switchWords } from "../../web/break/switches.js";

const kafka = { name: "kafka", kind: "engine", title: "Kafka", on: false, usual: true, hit: 3, absent: null };
const load = { name: "load", kind: "load", title: "20 orders a second", on: true, usual: false, hit: 40, absent: null };
const orders = { name: "orders", kind: "service", title: "Service orders", on: true, usual: true, hit: 0, absent: null };

test("broken is what is not where it usually is", () => {
  assert.deepEqual([kafka, load, orders].map(isBroken), [true, true, false]);
  assert.deepEqual(switchWords({ switches: [orders, kafka, load] }), ["Kafka: away (hit 3)", "20 orders a second: running (hit 40)"]);
  assert.deepEqual(switchWords({ switches: [{ ...kafka, hit: null }] }), ["Kafka: away (hit ?)"]);
});

test("what is shown says what a press does", () => {
  assert.equal(positionOf(kafka).press, "Give back");
  assert.equal(positionOf(orders).press, "Stop");
  assert.equal(positionOf({ ...load, on: false }).press, "Start");
  const poison = { ...load, name: "poison", kind: "message" };
  assert.deepEqual([true, false].map((on) => positionOf({ ...poison, on }).press), ["Take away", "Send"]);
});

test("kinds are in their order, and one that nobody knows comes last", () => {
  const odd = { ...kafka, name: "x", kind: "weather" };
  assert.deepEqual(kinds([odd, orders, load, kafka]).map((it) => it.title), ["Engines", "Services", "Load", "weather"]);
});

test("a state without switches has none", () => {
  for (const state of [null, {}, { switches: null }, { switches: [null, { name: "a" }] }]) assert.deepEqual(switchesOf(state), []);
});
