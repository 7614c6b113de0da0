// How an engine is, by those who depend on it. Pure functions.
import { clip } from "../lib/format.js";
import { list } from "../lib/known.js";

// Whether it is away from who says so, as where a link is cut.
export const isAway = (use) => ["down", "degraded"].includes(use?.state);

// What has a space in its name is work, such as looking up an address, or dead letters.
export const isWork = (name) => name.includes(" ");

const word = (use) => (isAway(use) ? "away" : use.state === "up" ? "there" : "not known");

export const needs = (state, service) =>
  list(state?.depends).filter((it) => it?.service === service && !isWork(String(it.on))).map((it) => `, ${clip(it.on, 20)} ${word(it)}`).join("");

// In words; nothing where nobody depends on it.
export function engineWords(state, id) {
  const uses = list(state?.depends).filter((it) => it?.on === id);
  const away = uses.filter(isAway).map((it) => it.service);
  if (away.length > 0) return `✕ away: ${clip(away.join(", "), 18)}`;
  if (uses.some((it) => it.state === "up")) return "✓ there";
  return uses.length > 0 ? "not known" : "";
}
