import assert from "node:assert/strict";
import { test } from "node:test";
import { numbers } from "../../web/shop/picture.js";

const first = (id) => Array.from({ length: 12 }, numbers(id));

test("the same id gives the same numbers, another one others", () => {
  assert.deepEqual(first("019a-1"), first("019a-1"));
  assert.notDeepEqual(first("019a-1"), first("019a-2"));
  for (const number of first("")) assert.ok(number >= 0 && number < 1);
});
