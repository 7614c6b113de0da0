import assert from "node:assert/strict";
import { test } from "node:test";
import { newest, patiently } from "../../web/shop/newest.js";

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

test("a stream that is refused is not asked for again and again", async () => {
  const { signal } = new AbortController();
  const refusing = (...statuses) => {
    const asked = [];
    const read = async () => {
      const status = statuses[asked.length];
      asked.push(status);
      if (status !== 200) throw Object.assign(new Error("refused"), { status });
      return "read";
    };
    return { read, asked };
  };
  const paused = [];
  const pause = async ({ status }) => paused.push(status);
  // An order that is gone, and one that is another's.
  for (const status of [404, 403]) {
    const { read, asked } = refusing(status);
    await assert.rejects(patiently(read, signal, pause));
    assert.deepEqual(asked, [status]);
  }
  assert.deepEqual(paused, []);
  // A token that was refused, a gateway that is away, too many calls: each waits before the next.
  const { read } = refusing(401, 0, 429, 503, 200);
  assert.equal(await patiently(read, signal, pause), "read");
  assert.deepEqual(paused, [401, 0, 429, 503]);
});

test("who is gone asks for nothing more", async () => {
  const gone = new AbortController();
  let asked = 0;
  const read = async () => {
    asked += 1;
    gone.abort();
    throw Object.assign(new Error("away"), { status: 0 });
  };
  await assert.rejects(patiently(read, gone.signal, async () => {}));
  await patiently(read, gone.signal, async () => {});
  assert.equal(asked, 1);
});
