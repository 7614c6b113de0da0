// Stops at which something is away, slow or fails.
import { call } from "../lib/api.js";
import { list, observatory, ROOT } from "../lib/observatory.js";
import { rulesOf } from "../break/rules.js";
import { session } from "../shop/session.js";
import { again, away, broken, buy, calm, count, decided, edge, inSeconds, many, must, plenty, set, timed, until } from "./steps.js";

const ORDERS = 3;
const MAILS = 32;
const MAIL_MS = 3_000;
const QUEUE = "email.jobs";
// Calls that go well first, for the breaker, and then those of which a share fails.
const CALLS = { before: 40, after: 240, atOnce: 6 };
const SHARE = 30;
// Retries of a hundred calls, beside one a second and what earlier calls have paid for; the calls of others pay, too.
const BUDGET = { percent: 10, others: 5 };

const waiting = (state) => count(state.outbox, "service", "orders", "waiting");

// How long it took until all of the orders were confirmed.
async function confirmed(orders) {
  const { done: ends, ms } = await timed(() => Promise.all(orders.map(({ data }) => decided(data.id))));
  must(ends.every(({ status }) => status === "confirmed"), "all are confirmed");
  return inSeconds(ms);
}

export async function kafka(say) {
  const good = await plenty();
  const { orders, fourth } = await away("kafka", async () => {
    say("Kafka is away.");
    const bought = await many(ORDERS, () => buy(good, 1));
    say(`${ORDERS} orders are accepted, each is ${bought[0].data.status}.`, bought[0].traceId);
    const rows = await until("the outbox grows", (state) => waiting(state) >= ORDERS && waiting(state));
    say(`${rows} events wait in the outbox of orders.`);
    const { data } = await session.call(`/api/orders/${bought[0].data.id}`);
    must(data.status === "pending", "the order waits");
    return { orders: bought, fourth: await placedAndCancelled(good, say) };
  });
  say("Kafka is back.");
  say(`${await confirmed(orders)} later all of them are confirmed.`);
  await until("the outbox drains", (state) => waiting(state) === 0);
  say("The outbox is empty.");
  const [placed, cancelled] = await Promise.all(fourth.map((trace) => again("the event is published", () => published(trace))));
  say(`Of the fourth order, event ${placed.sequence} is published, and then event ${cancelled.sequence}.`);
  must(placed.sequence < cancelled.sequence && placed.ended_at <= cancelled.started_at, "the events of an order are published in order");
}

// An order that is cancelled at once: the traces of both.
async function placedAndCancelled(good, say) {
  const order = await buy(good, 1);
  const { traceId } = await session.cancel(order.data.id);
  say("A fourth order is accepted, and cancelled at once: two events of it wait.", traceId);
  return [order.traceId, traceId];
}

// The first event that orders has published in a trace, once there is one.
async function published(trace) {
  const { data } = await call(`${ROOT}/traces/${trace}`).catch(() => ({ data: null }));
  const isIt = (hop) => hop.kind === "kafka" && hop.side === "producer" && hop.service === "orders" && hop.outcome === "ok";
  return list(data?.hops).filter(isIt).sort((a, b) => a.sequence - b.sequence)[0];
}

export async function stop(say) {
  const good = await plenty();
  const { data: order, traceId } = await away("kafka", async () => {
    const bought = await buy(good, 1);
    say("The order is accepted. Kafka is away, so that nobody can have been told.", bought.traceId);
    await set("orders", false);
    return bought;
  });
  try {
    say("Service orders is stopped; Kafka is back.", traceId);
    const refused = await session.call(`/api/orders/${order.id}`).catch((error) => error);
    must(refused.status >= 502, "nobody answers for orders");
    say(`Asked for the order, the gateway says ${refused.status}.`, refused.traceId);
  } finally {
    await set("orders", true);
  }
  say("It is started again.");
  const { status } = await decided(order.id);
  say(`The order is ${status}.`);
  must(status === "confirmed", "the order is confirmed");
  await calm();
}

export async function mail(say) {
  const good = await plenty();
  await broken("notifications", "mail", { kind: "delay", percent: 100, delay_ms: MAIL_MS }, async () => {
    const orders = await many(MAILS, () => buy(good, 1));
    say(`${MAILS} orders, all confirmed ${await confirmed(orders)} after the last was accepted.`, orders[0].traceId);
    const depth = await until("the queue grows", (state) => count(state.queues, "queue", QUEUE, "depth"));
    say(`${depth} mails wait in the queue.`);
    await until("the queue is worked off", (state) => count(state.queues, "queue", QUEUE, "depth") === 0);
    say("The queue is empty: every mail was sent, each as slow as before.");
  });
}

export async function budget(say) {
  const ask = async (n) => {
    let refused = 0;
    for (let asked = 0; asked < n; asked += CALLS.atOnce) {
      const answers = await many(CALLS.atOnce, () => call("/api/products?page_size=1").catch((error) => error));
      refused += answers.filter((it) => it instanceof Error).length;
    }
    return refused;
  };
  const began = performance.now();
  must((await ask(CALLS.before)) === 0, "calls go well before anything is broken");
  await observatory.look();
  const left = edge(observatory.state, "products")?.retries_left ?? 0;
  await broken("gateway", "products", { kind: "fail", percent: SHARE }, async () => {
    const refused = await ask(CALLS.after);
    const failed = await until("the rule hits calls", () => rulesOf(observatory.state, "gateway").find((rule) => rule.target === "products")?.broken);
    const seconds = Math.ceil((performance.now() - began) / 1000);
    const repeated = Math.max(0, failed - refused);
    say(`${CALLS.after} calls: ${failed} attempts failed, ${repeated} of them were repeated, ${refused} reached the caller.`);
    const allowed = Math.ceil(((CALLS.before + CALLS.after) * BUDGET.percent) / 100) + left + seconds + BUDGET.others;
    must(refused > 0 && repeated <= allowed, `no more than ${allowed} retries are paid for`);
  });
  // Should the breaker have opened, it closes before the next stop.
  await again("products answers again", async () => (await ask(CALLS.atOnce)) === 0);
}
