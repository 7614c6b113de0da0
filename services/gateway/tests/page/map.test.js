import assert from "node:assert/strict";
import { test } from "node:test";
import { engineWords, needs } from "../../web/map/engine.js";
import { NODE, place, WIDTH } from "../../web/map/place.js";

const service = (name) => ({ name, replica: "1", ready: true, reason: null });
const edge = (from, to, per_second = 1) => ({ from, to, per_second, errors_per_second: 0, breaker: "closed" });
const state = {
  services: ["gateway", "orders", "products", "users"].map(service),
  edges: [edge("gateway", "orders"), edge("gateway", "products", 2), edge("gateway", "products-grpc", 3), edge("orders", "products"), edge("orders", "users"), edge("users", "orders")],
  lag: [{ group: "products", topic: "order-events", messages: 4 }],
  queues: [{ queue: "email.jobs", depth: 0 }, { queue: "order-events.products.dead", depth: 0 }, { queue: "order-events.orders.dead", depth: 1 }],
};

test("who asks stands left of who is asked, and nothing stands on another", () => {
  const { nodes, height } = place(state);
  const at = new Map(nodes.map((node) => [node.id, node]));
  assert.ok(at.get("gateway").x < at.get("orders").x && at.get("orders").x < at.get("products").x);
  for (const one of nodes) {
    assert.ok(one.x >= 0 && one.x + NODE.width <= WIDTH && one.y >= 0 && one.y + NODE.height <= height, one.id);
    for (const other of nodes) {
      if (one !== other) assert.ok(Math.abs(one.x - other.x) >= NODE.width || Math.abs(one.y - other.y) >= NODE.height, `${one.id}, ${other.id}`);
    }
  }
});

test("two clients of one service are one line", () => {
  const { nodes, edges } = place(state);
  assert.ok(!nodes.some(({ id }) => id === "products-grpc"));
  const lines = edges.filter(({ from, to }) => from === "gateway" && to === "products");
  assert.deepEqual(lines.map(({ of }) => of.per_second), [5]);
});

test("of two clients of one service the worse breaker is shown", () => {
  const breaker = (...states) => {
    const clients = states.map((it, n) => ({ ...edge("gateway", n === 0 ? "products" : "products-grpc"), breaker: it }));
    return place({ ...state, edges: clients }).edges.find(({ kind }) => kind === "call").of.breaker;
  };
  for (const better of ["half_open", "closed", "none", null]) {
    assert.equal(breaker(better, "open"), "open");
    assert.equal(breaker("open", better), "open");
  }
  assert.equal(breaker(null, null), null);
});

test("what no client says is not known", () => {
  const unknown = (to) => ({ from: "gateway", to, per_second: null, errors_per_second: null, breaker: null });
  const rate = (...edges) => place({ ...state, edges }).edges.find(({ kind }) => kind === "call").of.per_second;
  assert.equal(rate(unknown("products"), unknown("products-grpc")), null);
  assert.equal(rate(unknown("products"), edge("gateway", "products-grpc", 3)), 3);
});

test("dead letters are drawn where there are some", () => {
  const queues = place(state).nodes.filter(({ kind }) => kind === "queue").map(({ id }) => id);
  assert.deepEqual(queues, ["email.jobs", "order-events.orders.dead"]);
});

test("engines stand below, each with lines from who needs it", () => {
  const use = (service, on, state = "up") => ({ service, on, state });
  const depends = [use("orders", "postgres"), use("users", "postgres", "down"), use("orders", "users"), use("orders", "dead letters"), use("orders", "kafka", null)];
  const { nodes, edges, height } = place({ ...state, depends });
  const engines = nodes.filter(({ kind }) => kind === "engine");
  assert.deepEqual(engines.map(({ id }) => id), ["postgres", "kafka"]);
  const lowest = Math.max(...nodes.filter(({ kind }) => kind !== "engine").map(({ y }) => y));
  for (const { x, y } of engines) assert.ok(y >= lowest + NODE.height && y + NODE.height <= height && x >= 0 && x + NODE.width <= WIDTH);
  const uses = edges.filter(({ kind }) => kind === "use");
  assert.deepEqual(uses.map(({ from, to }) => `${from} ${to}`), ["orders postgres", "users postgres", "orders kafka"]);
  assert.equal(engineWords({ depends }, "postgres"), "✕ away: users");
  assert.equal(engineWords({ depends }, "kafka"), "not known");
  // The table of services says the same.
  assert.equal(needs({ depends }, "users"), ", postgres away");
  assert.equal(needs({ depends }, "orders"), ", postgres there, users there, kafka not known");
  // Letters that lie there are counted elsewhere.
  assert.equal(needs({ depends: [use("orders", "dead letters of jobs", "degraded")] }, "orders"), "");
  assert.equal(engineWords({ depends: [use("orders", "postgres")] }, "postgres"), "✓ there");
});

test("hostile states are drawn within bounds", () => {
  const many = Array.from({ length: 5_000 }, (_, n) => edge(`s${n}`, `s${(n * 7 + 1) % 5_000}`));
  for (const hostile of [null, {}, { services: 7, edges: [null, {}, 7], lag: "x", queues: [{}] }, { edges: many }, { depends: many.map(({ from, to }) => ({ service: from, on: to })) }, { depends: [null, 7, {}] }, { edges: [edge("a", "a"), edge("__proto__", "constructor")] }]) {
    const { nodes, height } = place(hostile);
    assert.ok(nodes.length <= 40 && Number.isFinite(height));
    for (const { x, y } of nodes) assert.ok(Number.isFinite(x) && Number.isFinite(y));
  }
});
