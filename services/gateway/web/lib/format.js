// How numbers, money and times are written.

export function money(minor, currency) {
  const amount = Number(minor);
  try {
    const format = new Intl.NumberFormat("en", { style: "currency", currency });
    return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${amount} ${currency}`;
  }
}

// A duration in microseconds with three digits and a unit.
export function duration(us) {
  if (!Number.isFinite(us)) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  const short = (value) => (value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
  if (us < 1e6) return `${short(us / 1e3)} ms`;
  if (us < 120e6) return `${short(us / 1e6)} s`;
  return `${Math.round(us / 60e6)} min`;
}

export const rate = (value) => (Number.isFinite(value) ? value.toFixed(value < 10 ? 1 : 0) : "–");

export const time = (date) => new Date(date).toLocaleTimeString("en-GB");

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

export function clip(text, length) {
  const whole = String(text ?? "");
  return whole.length > length ? `${whole.slice(0, length - 1)}…` : whole;
}
