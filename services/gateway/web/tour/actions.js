// What the stops of the tour do. Each takes `say(text, trace)` and throws where something does not happen.
import { hex, call, problem } from "../lib/api.js";
import { list, observatory, ROOT } from "../lib/observatory.js";
import { events } from "../lib/sse.js";
import { replaced, rulesOf } from "../break/rules.js";
import { session } from "../shop/session.js";

const GOODS_MAX = 100;
const DELAY_MS = 600;
const DASHBOARDS = 12;
const AT_ONCE_MS = 1_000;
const PIECES_MAX = 1_000;

const must = (holds, what) => {
  if (!holds) throw new Error(`This did not happen: ${what}.`);
};

async function goods() {
  const { data } = await call(`/api/products?page_size=${GOODS_MAX}`);
  return data.products.filter((good) => good.available > 1).sort((a, b) => b.available - a.available);
}

async function plenty() {
  const [good] = await goods();
  must(good, "there is something to buy");
  return good;
}

const buy = (good, quantity, key = hex(16)) =>
  session.call("/api/orders", { method: "POST", body: { items: [{ product_id: good.id, quantity }] }, headers: { "idempotency-key": key } });

// The order's change that decides it.
async function decided(id) {
  const stream = new AbortController();
  const signal = AbortSignal.any([stream.signal, AbortSignal.timeout(30_000)]);
  try {
    for await (const event of events(`/api/orders/${id}/events`, { token: await session.token(), signal, refused: problem })) {
      const change = JSON.parse(event.data);
      if (change.status !== "pending") return change;
    }
  } finally {
    stream.abort();
  }
  throw new Error("This did not happen: the order is decided.");
}

async function purchase(say) {
  const good = await plenty();
  const { data, traceId } = await buy(good, 1);
  say(`One ${good.name}: the order is ${data.status}.`, traceId);
  const change = await decided(data.id);
  say(`It is ${change.status}.`);
  must(change.status === "confirmed", "the order is confirmed");
}

async function twice(say) {
  const good = await plenty();
  const key = hex(16);
  const first = await buy(good, 1, key);
  say(`First answer: order ${first.data.id}.`, first.traceId);
  const second = await buy(good, 1, key);
  say(`Second answer: order ${second.data.id}, Idempotency-Replayed: ${second.headers.get("idempotency-replayed")}.`, second.traceId);
  must(first.data.id === second.data.id && second.headers.get("idempotency-replayed") === "true", "both answers are about one order");
}

async function race(say) {
  const good = (await goods()).findLast((it) => it.available / 2 < PIECES_MAX);
  must(good, "there is a good of which two can take too much");
  const pieces = Math.floor(good.available / 2) + 1;
  say(`${good.available} of ${good.name} are left. Two orders for ${pieces} each.`);
  const orders = await Promise.all([buy(good, pieces), buy(good, pieces)]);
  const ends = await Promise.all(orders.map(({ data }) => decided(data.id)));
  ends.forEach(({ status, reason }, n) => say(`Order ${n + 1} is ${status}${reason ? `: ${reason}` : ""}.`, orders[n].traceId));
  const won = ends.findIndex(({ status }) => status === "confirmed");
  // The goods go back for the next visitor.
  if (won >= 0) {
    await session.call(`/api/orders/${orders[won].data.id}/cancel`, { method: "POST", body: {} });
    say("The one that was confirmed is cancelled: its goods go back.");
  }
  must(ends.filter(({ status }) => status === "confirmed").length === 1, "exactly one is confirmed");
}

async function token(say) {
  const [head, body, signature] = (await session.token()).split(".");
  const turned = [...signature].reverse().join("");
  try {
    await call("/api/orders", { token: `${head}.${body}.${turned}` });
  } catch (error) {
    say(`${error.status}: ${error.message}.`, error.traceId);
    return must(error.status === 401, "it is refused with 401");
  }
  must(false, "it is refused");
}

// Breaks an edge for as long as something is done.
async function broken(from, to, rule, work) {
  const rules = rulesOf(observatory.state, from);
  const put = (body) => call(`${ROOT}/faults/${from}`, { method: "PUT", body: { rules: body } });
  await put(replaced(rules, to, rule));
  await observatory.look();
  try {
    return await work();
  } finally {
    await put(replaced(rules, to, { kind: "none" }));
    await observatory.look();
  }
}

async function timed(work) {
  const began = performance.now();
  const done = await work();
  return { done, ms: Math.round(performance.now() - began) };
}

async function slow(say) {
  const good = await plenty();
  const before = await timed(() => buy(good, 1));
  say(`Before: ${before.ms} ms.`, before.done.traceId);
  const after = await broken("orders", "products", { kind: "delay", percent: 100, delay_ms: DELAY_MS }, () => timed(() => buy(good, 1)));
  say(`With the delay: ${after.ms} ms.`, after.done.traceId);
  must(after.ms >= DELAY_MS, "the purchase takes as long as the delay at least");
}

async function hang(say) {
  await session.token();
  const dashboard = () => timed(() => session.call(`/api/dashboard/${session.user.id}`));
  const told = ({ done, ms }) => `${ms} ms, ${done.data.partial ? `without ${list(done.data.errors).map((it) => it.part).join(", ")}` : "whole"}`;
  const whole = await dashboard();
  say(`Before: ${told(whole)}.`, whole.done.traceId);
  await broken("gateway", "orders", { kind: "hang", percent: 100 }, async () => {
    const first = await dashboard();
    say(`Hanging: ${told(first)}.`, first.done.traceId);
    await Promise.all(Array.from({ length: DASHBOARDS }, dashboard));
    const last = await dashboard();
    say(`After ${DASHBOARDS} more: ${told(last)}.`, last.done.traceId);
    must(last.done.data.partial && last.ms < AT_ONCE_MS, "the breaker is open and the dashboard comes at once");
  });
  say("Mended. The breaker closes when a probe gets an answer.");
}

export const ACTIONS = { purchase, twice, race, token, slow, hang };
