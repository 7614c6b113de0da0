import assert from "node:assert/strict";
import { test } from "node:test";
import { steps } from "../../web/journey/calls.js";
import { layout } from "../../web/journey/layout.js";
import { mermaid } from "../../web/journey/mermaid.js";
import { broken, hop, purchase } from "./trace.js";

// Every number of a drawing, wherever it is.
function numbers(value) {
  if (typeof value === "number") return [value];
  return value && typeof value === "object" ? Object.values(value).flatMap(numbers) : [];
}

test("a lane for each: who asks, the services, the places between", () => {
  const names = layout(steps(purchase)).lanes.map((lane) => lane.name);
  assert.deepEqual(names, ["you", "gateway", "orders", "products", "notifications", "orders outbox", "order-events", "stock-events", "email.jobs"]);
});

test("time goes down, and never up again", () => {
  const list = steps(purchase);
  const { arrows, bars } = layout(list);
  const begins = list.map((_, n) => Math.min(...[...arrows, ...bars].filter((it) => it.n === n).map((it) => it.y2 ?? it.y)));
  begins.forEach((y, n) => n > 0 && assert.ok(y >= begins[n - 1], list[n].name));
  for (const arrow of arrows) assert.ok(arrow.y2 >= arrow.y1);
});

test("a call is horizontal, a message slopes, waiting is hatched", () => {
  const list = steps(purchase);
  const { arrows, bars } = layout(list);
  for (const { type, y1, y2 } of arrows) if (type === "call" || type === "answer") assert.equal(y1, y2);
  const facts = arrows.filter(({ n, type }) => type === "message" && list[n].kind === "kafka");
  assert.equal(facts.length, 2);
  for (const { y1, y2 } of facts) assert.ok(y2 > y1);
  const waits = bars.filter((bar) => bar.waiting).map(({ n }) => list[n].kind);
  assert.deepEqual(waits, ["outbox", "queue"]);
});

test("what waits longer is drawn longer, until it is folded with its length", () => {
  const wait = (ms) => layout(steps({ hops: [
    hop("1", null, "producer", "outbox", ["a", "a outbox"], "e", [0, ms * 1000]),
  ] }));
  const height = (ms) => wait(ms).bars[0].height;
  assert.ok(height(2) < height(4) && height(4) < height(6));
  assert.deepEqual(wait(6).folds, []);
  assert.deepEqual(wait(60_000).folds.map((fold) => fold.us), [60e6]);
  assert.ok(height(60_000) < 200);
});

test("a refused call does not arrive, and an open one goes on to the end", () => {
  const list = steps(broken);
  const drawn = layout(list);
  const refused = drawn.arrows.find(({ type }) => type === "refused");
  const target = drawn.lanes.find((lane) => lane.name === "products").x;
  assert.ok(Math.abs(target - refused.x2) > 20);
  const open = drawn.bars.find((bar) => bar.isOpen);
  assert.ok(open.y + open.height >= Math.max(...drawn.bars.map((bar) => bar.y + bar.height)));
});

test("hostile traces give finite drawings", () => {
  const years = 3e15;
  for (const hops of [
    [],
    [{}],
    [{ side: "consumer" }, { side: "producer" }, { side: "server", id: "a", parent: "a" }],
    [hop("1", null, "client", "http", ["__proto__", "constructor"], "toString", [-years, years])],
    Array.from({ length: 500 }, (_, n) => hop(`${n}`, `${(n * 7) % 500}`, "client", "http", [`s${n}`, `t${n}`], "n", [n % 3, 1])),
  ]) {
    const drawn = layout(steps({ hops }));
    assert.ok(numbers(drawn).every(Number.isFinite), JSON.stringify(hops).slice(0, 200));
  }
});

test("the Mermaid text has a line for each step", () => {
  const text = mermaid(steps(purchase));
  assert.match(text, /^sequenceDiagram\n {2}participant p0 as you\n {2}participant p1 as gateway\n/);
  assert.match(text, /p0->>p1: POST \/api\/orders/);
  assert.match(text, /-\): agora.order.placed.v1|-\)p\d+: agora.order.placed.v1/);
  assert.match(text, /Note over p\d+: waits 6 ms/);
  assert.match(mermaid(steps(broken)), /-xp\d+: GET \/v1\/products: refused/);
});

test("a name ends no statement of the Mermaid text", () => {
  const name = "a; end\nalt <script>alert(1)</script> %%{init: {}}%% #35; `\"";
  const text = mermaid(steps({ hops: [hop("1", null, "client", "http", [name, name], name, [0, 1])] }));
  assert.equal(text.trim().split("\n").length, 4);
  assert.doesNotMatch(text.replaceAll(/-?->>/g, ""), /[;<>#%{}`"]/);
});
