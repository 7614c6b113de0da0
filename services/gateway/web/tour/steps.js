// What the stops of the tour have in common: what a customer does, and what is broken meanwhile.
import { call, hex, stream } from "../lib/api.js";
import { list, observatory } from "../lib/observatory.js";
import { pause } from "../lib/sse.js";
import { ruling } from "../break/rules.js";
import { session } from "../shop/session.js";

const GOODS_MAX = 100;
const PATIENCE_MS = 60_000;
const LOOK_MS = 400;
// Dashboards at once: more than a half-open breaker lets through.
const CALM = 12;

export const many = (n, work) => Promise.all(Array.from({ length: n }, work));

export const must = (holds, what) => {
  if (!holds) throw new Error(`This did not happen: ${what}.`);
};

export async function goods() {
  const { data } = await call(`/api/products?page_size=${GOODS_MAX}`);
  return data.products.filter((good) => good.available > 1).sort((a, b) => b.available - a.available);
}

export async function plenty() {
  const [good] = await goods();
  must(good, "there is something to buy");
  return good;
}

export const buy = (good, quantity, key = hex(16)) =>
  session.call("/api/orders", { body: { items: [{ product_id: good.id, quantity }] }, headers: { "idempotency-key": key } });

export async function decided(id) {
  const reading = new AbortController();
  const signal = AbortSignal.any([reading.signal, AbortSignal.timeout(PATIENCE_MS)]);
  try {
    for await (const event of stream(`/api/orders/${id}/events`, { token: await session.token(), signal })) {
      const change = JSON.parse(event.data);
      if (change.status !== "pending") return change;
    }
  } finally {
    reading.abort();
  }
  must(false, "the order is decided");
}

// Breaks an edge for as long as something is done.
export async function broken(from, to, rule, work) {
  const put = (rule) => observatory.change(...ruling({ from, to }, rule));
  await put(rule);
  try {
    return await work();
  } finally {
    await put({ kind: "none" });
  }
}

export const set = (name, on) => observatory.change(`/switches/${name}`, { body: { on } });

export async function away(name, work) {
  await set(name, false);
  try {
    return await work();
  } finally {
    await set(name, true);
  }
}

export async function again(what, find) {
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    const found = await find();
    if (found) return found;
    await pause(LOOK_MS);
  }
  must(false, what);
}

// Waits until no breaker is in the way any more.
export const calm = () =>
  again("the dashboard is whole again", async () => {
    const asked = await many(CALM, () => session.call(`/api/dashboard/${session.user.id}`));
    return asked.every(({ data }) => !data.partial);
  });

// Waits until the state shows something; what it shows.
export const until = (what, show) =>
  again(what, async () => {
    await observatory.look();
    return observatory.state && show(observatory.state);
  });

// How much a list of the state says of one thing; no number where that is not known.
export function count(entries, name, of, what) {
  const said = list(entries).find((it) => it?.[name] === of)?.[what];
  return said === null ? NaN : Number(said) || 0;
}

export const edge = (state, to) => list(state?.edges).find((it) => it?.from === "gateway" && it.to === to);

export async function timed(work) {
  const began = performance.now();
  const done = await work();
  return { done, ms: Math.round(performance.now() - began) };
}

export const inSeconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
