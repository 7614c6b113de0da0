// A breaker as a lamp of three states, with its window of calls as ticks.
import { h } from "./dom.js";

const STATES = {
  closed: ["●", "closed", "ok"],
  half_open: ["◐", "half open", "warn"],
  open: ["○", "open", "error"],
  none: ["·", "none", "quiet"],
};
const TICKS_MAX = 20;

const whole = (value) => Math.max(0, Math.round(Number(value) || 0));

export function lamp(state, window) {
  const [sign, word, kind] = STATES[state] ?? ["?", state ? String(state).slice(0, 20) : "not known", "quiet"];
  const calls = Math.min(whole(window?.calls), 1e6);
  const failures = Math.min(whole(window?.failures), calls);
  const shown = Math.min(calls, TICKS_MAX);
  const bad = calls > 0 ? Math.round((failures / calls) * shown) : 0;
  const ticks = Array.from({ length: shown }, (_, n) => h("i", { class: n < bad ? "bad" : null }));
  return h("span", { class: `lamp ${kind}` },
    h("span", { "aria-hidden": "true" }, sign), ` ${word}`,
    calls > 0 && h("span", { class: "ticks", "aria-hidden": "true" }, ticks),
    calls > 0 && h("small", { class: "quiet" }, ` ${failures} of ${calls} failed`));
}
