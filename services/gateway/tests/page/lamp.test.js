import assert from "node:assert/strict";
import { test } from "node:test";
import "./dom.js";

const { lamp } = await import("../../web/lib/lamp.js");

const parts = (element) => [element, ...element.children.flatMap((it) => (it.children ? parts(it) : []))];
const words = (element) => element.children.map((it) => (it.children ? words(it) : it)).join("");
const ticks = (element) => parts(element).filter(({ tag }) => tag === "i").map((it) => it.attributes.get("class") ?? "good");

test("each state of a breaker has a word and a sign of its own beside its colour", () => {
  const shown = ["closed", "half_open", "open", "none"].map((state) => lamp(state));
  assert.deepEqual(shown.map(words), ["● closed", "◐ half open", "○ open", "· none"]);
  assert.equal(words(lamp(null)), "? not known");
  // A state that nobody knows is told as it is.
  assert.equal(words(lamp("ajar")), "? ajar");
});

test("a window of calls is as many ticks, those that failed among them", () => {
  const few = lamp("closed", { calls: 4, failures: 1 });
  assert.deepEqual(ticks(few), ["bad", "good", "good", "good"]);
  assert.match(words(few), /1 of 4 failed$/);
  // No more than there is room for, in the same proportion.
  const many = ticks(lamp("open", { calls: 1_000, failures: 500 }));
  assert.deepEqual([many.length, many.filter((it) => it === "bad").length], [20, 10]);
});

test("a window that cannot be is no reason to fail", () => {
  for (const window of [null, {}, { calls: "x" }, { calls: -1 }, { calls: Infinity, failures: NaN }, { calls: 1, failures: 9 }]) {
    const shown = ticks(lamp("open", window));
    assert.ok(shown.length <= 20, `${shown.length} ticks`);
  }
});
