// Rules of faults as a service takes them. Pure functions.

export const KINDS = ["none", "delay", "fail", "hang"];
export const DELAY_MAX_MS = 600_000;

const list = (value) => (Array.isArray(value) ? value : []);

// The rules of a service with the one for a target replaced; `kind: "none"` takes it away.
export function replaced(rules, target, { kind, percent, delay_ms }) {
  const others = list(rules).filter((rule) => rule.target !== target)
    .map(({ target: of, kind: what, percent: share, delay_ms: delay }) => ({ target: of, kind: what, percent: share, ...(what === "delay" && { delay_ms: delay }) }));
  if (kind === "none") return others;
  const share = Math.min(100, Math.max(1, Math.round(Number(percent)) || 100));
  const rule = { target, kind, percent: share };
  if (kind === "delay") rule.delay_ms = Math.min(DELAY_MAX_MS, Math.max(1, Math.round(Number(delay_ms)) || 500));
  return [...others, rule];
}

// Whether a service takes no rules. The state has those of all that do, and nothing of the others; one that is not ready
// may only not have been heard.
export const refusesFaults = (state, service) =>
  list(state?.services).some((it) => it?.name === service && it.ready === true) && !list(state.faults).some((it) => it?.service === service);

// Why it does not.
export const whyNoFaults = (service) => `${service} was started without ALLOW_FAULTS, so it takes no faults.`;

// The rules of a service, of the state.
export const rulesOf = (state, service) => list(list(state?.faults).find((it) => it?.service === service)?.rules);
