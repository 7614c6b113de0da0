import assert from "node:assert/strict";
import { test } from "node:test";
import { newest } from "../../web/shop/newest.js";

const orders = (...ids) => ids.map((id) => ({ id }));
const ids = (list) => list.map(({ id }) => id);

test("what was placed while the list was read stays on top of it", () => {
  const shown = orders("new", "b", "a");
  assert.deepEqual(ids(newest(orders("b", "a"), shown, new Set(["b", "a"]), 8)), ["new", "b", "a"]);
  // The list was read for the first time.
  assert.deepEqual(ids(newest(orders("b", "a"), orders("new"), new Set(), 8)), ["new", "b", "a"]);
});

test("what the answer has is there once, as it says", () => {
  const read = [{ id: "new", status: "confirmed" }, { id: "a", status: "confirmed" }];
  assert.deepEqual(newest(read, [{ id: "new", status: "pending" }], new Set(), 8), read);
});

test("what was shown before and is not read any more is gone", () => {
  assert.deepEqual(ids(newest(orders("c"), orders("b", "a"), new Set(["b", "a"]), 8)), ["c"]);
});

test("there are never more than are shown", () => {
  assert.deepEqual(ids(newest(orders("c", "b", "a"), orders("new"), new Set(), 3)), ["new", "c", "b"]);
});
