// Where each node of the map stands: columns by how far it is from who is asked first, engines below. A pure function.
import { list } from "../lib/known.js";
import { isWork } from "./engine.js";

export const WIDTH = 960;
export const NODE = { width: 150, height: 50 };
const ROW = 86;
const NODES_MAX = 40;
const ENGINES_IN_A_ROW = 6;

const text = (value) => String(value ?? "?").slice(0, 60);

export function place(state) {
  const nodes = new Map();
  const node = (id, kind) => {
    if (!nodes.has(id) && nodes.size < NODES_MAX) nodes.set(id, { id, kind, column: 0 });
    return nodes.has(id);
  };
  const names = list(state?.services).map((it) => text(it?.name));
  for (const name of names) node(name, "service");
  // A service may be called in two ways: `products` and `products-grpc`.
  const whose = (client) => (names.includes(client) ? client : names.find((name) => client.startsWith(`${name}-`)) ?? client);
  const edges = [];
  for (const it of list(state?.edges)) {
    const [from, to] = [text(it?.from), whose(text(it?.to))];
    // Who is called and says nothing of itself is an engine.
    if (!node(from, "service") || !node(to, names.includes(to) ? "service" : "engine")) continue;
    const known = edges.find((edge) => edge.from === from && edge.to === to);
    if (known) known.of = both(known.of, it);
    else edges.push({ from, to, kind: "call", of: it });
  }
  for (const it of list(state?.lag)) {
    const [topic, group] = [text(it?.topic), text(it?.group)];
    if (node(topic, "topic") && node(group, "service")) edges.push({ from: topic, to: group, kind: "message", of: it });
  }
  // Where a topic's dead letters go is drawn when something is there.
  const topics = list(state?.lag).map((it) => text(it?.topic));
  const isAside = (queue) => topics.some((topic) => queue.startsWith(`${topic}.`));
  for (const it of list(state?.queues)) {
    const queue = text(it?.queue);
    if (it?.depth > 0 || !isAside(queue)) node(queue, "queue");
  }
  for (const it of list(state?.depends)) {
    const [from, to] = [text(it?.service), text(it?.on)];
    if (names.includes(to) || isWork(to) || !node(from, "service") || !node(to, "engine")) continue;
    if (!edges.some((edge) => edge.from === from && edge.to === to)) edges.push({ from, to, kind: "use", of: it });
  }

  // The longest way from who is called by nobody; a circle ends it.
  const calls = edges.filter((edge) => edge.kind === "call" && edge.from !== edge.to);
  const services = [...nodes.values()].filter((it) => it.kind === "service");
  const COLUMNS_MAX = 3;
  for (let round = 0; round < services.length; round += 1) {
    for (const { from, to } of calls) {
      const next = Math.min(nodes.get(from).column + 1, COLUMNS_MAX - 1);
      const isBack = calls.some((other) => other.from === to && other.to === from) && nodes.get(to).column > 0;
      if (!isBack && nodes.get(to).column < next) nodes.get(to).column = next;
    }
  }
  for (const it of nodes.values()) if (it.kind !== "service") it.column = it.kind === "engine" ? null : COLUMNS_MAX;
  const engines = [...nodes.values()].filter((it) => it.column === null);
  // Who only reads stands with those behind.
  for (const it of services) {
    if (!calls.some(({ from, to }) => [from, to].includes(it.id))) it.column = COLUMNS_MAX - 1;
  }
  const columns = Array.from({ length: COLUMNS_MAX + 1 }, (_, n) => [...nodes.values()].filter((it) => it.column === n));
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const height = rows * ROW + 20;
  const cell = (WIDTH - 20) / Math.min(engines.length, ENGINES_IN_A_ROW);
  engines.forEach((it, n) => {
    it.x = 10 + ((n % ENGINES_IN_A_ROW) + 0.5) * cell - NODE.width / 2;
    it.y = height + Math.floor(n / ENGINES_IN_A_ROW) * ROW;
  });
  columns.forEach((column, n) => {
    const top = (height - column.length * ROW) / 2;
    column.forEach((it, row) => {
      it.x = 10 + n * ((WIDTH - NODE.width - 20) / COLUMNS_MAX);
      it.y = top + row * ROW + (ROW - NODE.height) / 2;
    });
  });
  return { nodes: [...nodes.values()], edges: edges.map((edge) => ({ ...edge, path: path(nodes.get(edge.from), nodes.get(edge.to), edges.some((it) => it.from === edge.to && it.to === edge.from)) })), height: height + Math.ceil(engines.length / ENGINES_IN_A_ROW) * ROW };
}

// From the best to the worst.
const BREAKERS = ["none", "closed", "half_open", "open"];

// Two edges as one: their rates together, the worse of their breakers. What neither says is not known.
function both(one, other) {
  const said = (name) => [one?.[name], other?.[name]].filter((it) => Number.isFinite(it));
  const sum = (name) => (said(name).length > 0 ? said(name).reduce((a, b) => a + b) : null);
  const rank = (it) => BREAKERS.indexOf(it?.breaker);
  const worse = rank(other) > rank(one) ? other : one;
  return { per_second: sum("per_second"), errors_per_second: sum("errors_per_second"), breaker: worse?.breaker ?? null };
}

// A line from border to border; of two that go both ways each bends to its own side.
function path(from, to, isBoth) {
  const middle = ({ x, y }) => [x + NODE.width / 2, y + NODE.height / 2];
  const [fx, fy] = middle(from);
  const [tx, ty] = middle(to);
  const [dx, dy] = [tx - fx, ty - fy];
  const length = Math.hypot(dx, dy) || 1;
  const out = (d, size) => (Math.abs(d) > 1 ? (size / 2 + 6) / Math.abs(d / length) : Infinity);
  const cut = Math.min(out(dx, NODE.width), out(dy, NODE.height), length / 2);
  const [ux, uy] = [dx / length, dy / length];
  // Past a column it goes between two rows.
  const isDown = to.column === null;
  const isFar = Math.abs(from.column - to.column) > 1;
  const bend = isDown ? 0 : isFar ? ROW * 1.4 : isBoth ? 50 : from.column === to.column ? 60 : 0;
  const [mx, my] = [(fx + tx) / 2 - uy * bend, (fy + ty) / 2 + ux * bend];
  const n = (value) => Math.round(value * 10) / 10;
  return { d: `M${n(fx + ux * cut)} ${n(fy + uy * cut)}Q${n(mx)} ${n(my)} ${n(tx - ux * cut)} ${n(ty - uy * cut)}`, x: n(mx / 2 + (fx + tx) / 4), y: n(my / 2 + (fy + ty) / 4) };
}
