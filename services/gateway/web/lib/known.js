// What was broken on purpose stays so until a state says otherwise. Pure.

export const list = (value) => (Array.isArray(value) ? value : []);

// The rules of all services. Replicas have the same ones; what each of them hit is added up.
export function faults(state) {
  const found = new Map();
  for (const of of list(state?.faults)) {
    for (const rule of list(of?.rules)) {
      const key = `${of.service}→${rule.target}`;
      const hit = found.get(key)?.broken ?? 0;
      found.set(key, { service: String(of.service), ...rule, broken: hit + (Number(rule.broken) || 0) });
    }
  }
  return [...found.values()];
}

export function known(state, before) {
  if (!state || typeof state !== "object") return state;
  const faults = list(state.faults).map((of) => {
    if (Array.isArray(of?.rules)) return of;
    const last = list(before?.faults).find((it) => it?.service === of?.service && it?.replica === of?.replica);
    return { ...of, rules: last?.rules ?? null };
  });
  return { ...state, faults, switches: state.switches ?? before?.switches ?? null };
}
