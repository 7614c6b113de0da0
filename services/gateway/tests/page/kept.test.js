import assert from "node:assert/strict";
import { test } from "node:test";
import { keep, kept } from "../../web/lib/kept.js";

test("what is kept is found again", () => {
  const values = new Map();
  globalThis.sessionStorage = { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value) };
  assert.equal(kept("a"), null);
  keep("a", { lines: [1] });
  assert.deepEqual(kept("a"), { lines: [1] });
  keep("a", null);
  assert.equal(kept("a"), null);
});

test("a browser that keeps nothing, or something else, is no reason to fail", () => {
  globalThis.sessionStorage = { getItem: () => "{\"half", setItem: () => { throw new Error("full"); } };
  keep("a", 1);
  assert.equal(kept("a"), null);
  Object.defineProperty(globalThis, "sessionStorage", { configurable: true, get: () => { throw new Error("not allowed"); } });
  keep("a", 1);
  assert.equal(kept("a"), null);
});
