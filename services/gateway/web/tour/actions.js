// What the stops of the tour do. Each takes `say(text, trace)` and throws where something does not happen.
import { call, hex } from "../lib/api.js";
import { list } from "../lib/observatory.js";
import { session } from "../shop/session.js";
import { budget, kafka, mail, stop } from "./broken.js";
import { poison, shedding } from "./load.js";
import { again, broken, buy, calm, decided, edge, goods, inSeconds, many, must, plenty, timed, until } from "./steps.js";

const DASHBOARDS = 12;
const AT_ONCE_MS = 1_000;
const PIECES_MAX = 1_000;
const BRIEF_S = 3;

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
  const replayed = second.headers.get("idempotency-replayed");
  say(`Second answer: order ${second.data.id}, Idempotency-Replayed: ${replayed}.`, second.traceId);
  must(first.data.id === second.data.id && replayed === "true", "both answers are about one order");
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
    await session.cancel(orders[won].data.id);
    say("The one that was confirmed is cancelled: its goods go back.");
  }
  must(ends.filter(({ status }) => status === "confirmed").length === 1, "exactly one is confirmed");
}

async function token(say) {
  const brief = await session.brief(BRIEF_S);
  const ask = () => call("/api/users/me", { token: brief.access_token });
  const { data } = await ask();
  say(`A token that is good for ${brief.expires_in} s: you are ${data.name}.`);
  const refused = await again("the token expires", () => ask().then(() => null, (error) => error));
  say(`${refused.status}: ${refused.message}.`, refused.traceId);
  must(refused.status === 401, "it is refused with 401");
  const { traceId } = await session.call("/api/users/me");
  say("Another one, and the same call works.", traceId);
}

async function hang(say) {
  await session.token();
  const dashboard = () => timed(() => session.call(`/api/dashboard/${session.user.id}`));
  const told = ({ done, ms }) => `${ms} ms, ${done.data.partial ? `without ${list(done.data.errors).map((it) => it.part).join(", ")}` : "whole"}`;
  const whole = await dashboard();
  say(`Before: ${told(whole)}.`, whole.done.traceId);
  await broken("gateway", "products", { kind: "hang", percent: 100 }, async () => {
    const first = await dashboard();
    say(`Hanging: ${told(first)}.`, first.done.traceId);
    await many(DASHBOARDS, dashboard);
    const last = await dashboard();
    say(`After ${DASHBOARDS} more: ${told(last)}.`, last.done.traceId);
    must(last.done.data.partial && last.ms < AT_ONCE_MS, "the dashboard comes at once, without a part");
    await until("the breaker is open", (state) => edge(state, "products")?.breaker === "open");
    say("The breaker is open.");
  });
  const closed = await timed(() => calm());
  say(`Mended. A probe got an answer, the breaker closed: whole again after ${inSeconds(closed.ms)}.`);
}

async function versions(say) {
  const old = await buy(await plenty(), 1);
  say(`Version 1: a total of ${old.data.total_amount}, and the currency ${old.data.currency}.`, old.traceId);
  const is = await session.call(`/api/orders/${old.data.id}`);
  const deprecation = is.headers.get("deprecation");
  say(`It says: Deprecation ${deprecation}, Sunset ${is.headers.get("sunset")}.`);
  const now = await session.call(`/api/v2/orders/${old.data.id}`);
  say(`Version 2 of the same order: a total of ${now.data.total.amount} ${now.data.total.currency}.`, now.traceId);
  must(now.data.total.amount === old.data.total_amount && now.data.total.currency === old.data.currency, "both tell the same total");
  must(deprecation && !now.headers.get("deprecation"), "only the old one says that it goes");
}

export const ACTIONS = { purchase, twice, hang, budget, kafka, stop, mail, race, versions, token, poison, shedding };
