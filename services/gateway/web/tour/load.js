// Stops that need a message or a load that is no good.
import { call } from "../lib/api.js";
import { list, ROOT } from "../lib/observatory.js";
import { again, broken, buy, calm, decided, edge, must, plenty, set, timed, until } from "./steps.js";

const LETTERS = `${ROOT}/dead-letters/products`;
const LOADS = ["load-100", "load-20"];
// More than may be under way at 120 orders a second; what is left of an attempt (3 s) is enough for an order.
const DELAY_MS = 2_700;

const load = (on) => Promise.all(LOADS.map((name) => set(name, on)));

const letters = async () => list((await call(`${LETTERS}?limit=1000`)).data.dead_letters);

export async function poison(say) {
  let id;
  try {
    id = await parkedTwice(say);
  } finally {
    await set("poison", false);
  }
  must((await letters()).every((it) => it.event_id !== id), "the letter is taken away");
  say("It is taken away.");
}

// Sees the message parked, and again once it was sent again: the id of its event.
async function parkedTwice(say) {
  const known = new Set((await letters()).map((it) => it.event_id));
  let parked, back;
  await set("poison", true);
  say("An order of no piece of anything is on order-events.");
  await until("the message is parked", async () => (parked = (await letters()).find((it) => !known.has(it.event_id))));
  say(`Parked at attempt ${parked.attempts}: ${parked.reason}`, parked.trace_id);
  const { data, traceId } = await buy(await plenty(), 1);
  const { status } = await decided(data.id);
  say(`An order behind it is ${status}.`, traceId);
  must(status === "confirmed", "its neighbours go on");
  await call(`${LETTERS}/redrive`, { body: { id: parked.event_id } });
  say("Sent again, to products alone.");
  await until("it is parked again", async () => (back = (await letters()).find((it) => it.event_id === parked.event_id && it.redriven > parked.redriven)));
  say(`Parked again, after it was sent again ${back.redriven} time(s): nobody has mended it.`);
  return parked.event_id;
}

export async function shedding(say) {
  const shed = (state) => edge(state, "orders")?.shed ?? NaN;
  const { before } = await until("the state says how many found no place", (state) => Number.isFinite(shed(state)) && { before: shed(state) });
  await again("what was bought before is given back", () => load(true).then(() => true, () => false));
  try {
    await broken("gateway", "orders", { kind: "delay", percent: 100, delay_ms: DELAY_MS }, async () => {
      say(`120 orders a second, each of which takes ${DELAY_MS / 1000} s.`);
      const refused = await until("calls find no place", (state) => shed(state) - before);
      say(`${refused} calls to orders found no place within half a second: 503, with Retry-After.`);
      const { ms } = await timed(() => call("/api/products?page_size=1"));
      say(`Meanwhile the catalogue answers after ${ms} ms.`);
    });
  } finally {
    await load(false);
  }
  say("The load is off and the delay is mended. What was bought is given back.");
  await calm();
}
