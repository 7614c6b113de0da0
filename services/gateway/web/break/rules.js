// Rules of faults as a service takes them. Pure functions.
import { faults, list } from "../lib/known.js";

export const KINDS = ["none", "delay", "fail", "hang"];
export const DELAY_MAX_MS = 600_000;

// How the rule for an edge is set; `kind: "none"` takes it away. The others stay.
export function ruling({ from, to }, { kind, percent, delay_ms }) {
  const path = `/faults/${encodeURIComponent(from)}/${encodeURIComponent(to)}`;
  if (kind === "none") return [path, { method: "DELETE" }];
  const whole = (value, most, otherwise) => Math.min(most, Math.max(1, Math.round(Number(value)) || otherwise));
  return [path, { method: "PUT", body: { kind, percent: whole(percent, 100, 100), ...(kind === "delay" && { delay_ms: whole(delay_ms, DELAY_MAX_MS, 500) }) } }];
}

// Whether a service takes no rules: the state has those of all that do. One that is not ready may only not have been heard.
export const refusesFaults = (state, service) =>
  list(state?.services).some((it) => it?.name === service && it.ready === true) && !list(state.faults).some((it) => it?.service === service);

export const whyNoFaults = (service) => `${service} was started without ALLOW_FAULTS, so it takes no faults.`;

export const rulesOf = (state, service) => faults(state).filter((it) => it.service === service);
