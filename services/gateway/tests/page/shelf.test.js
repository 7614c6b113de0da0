import assert from "node:assert/strict";
import { test } from "node:test";
import { isSame } from "../../web/shop/shelf.js";

const goods = (...ids) => ids.map((id) => ({ id }));

test("a list is the same if each good is at its place, not if there are as many", () => {
  assert.ok(isSame(["a", "b"], goods("a", "b")));
  for (const other of [goods("a", "c"), goods("b", "a"), goods("a"), goods("a", "b", "c")]) assert.ok(!isSame(["a", "b"], other));
});
