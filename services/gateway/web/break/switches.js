// Switches of whoever runs the system, as the state has them. Pure functions.
import { list } from "../lib/known.js";

const SWITCHES_MAX = 60;

const KINDS = { engine: "Engines", link: "Databases", service: "Services", load: "Load", message: "Messages" };

// All of them; none where nobody has said where they are.
export const switchesOf = (state) => list(state?.switches).filter((it) => it?.name && typeof it.on === "boolean").slice(0, SWITCHES_MAX);

export const isBroken = (it) => it.on !== it.usual;

// The kinds that there are; one that nobody knows is shown by its own name.
export function kinds(switches) {
  const all = [...new Set([...Object.keys(KINDS), ...switches.map((it) => it.kind)])];
  return all.map((kind) => ({ title: KINDS[kind] ?? String(kind), switches: switches.filter((it) => it.kind === kind) })).filter((it) => it.switches.length > 0);
}

export function positionOf(it) {
  const [off, back] = it.kind === "service" ? ["Stop", "Start again"] : ["Take away", "Give back"];
  if (it.kind === "message") return it.on ? { sign: "⚡", word: "sent", press: "Take away", kind: "warn" } : { sign: "·", word: "not sent", press: "Send", kind: "quiet" };
  if (it.usual) return it.on ? { sign: "✓", word: "there", press: off, kind: "ok" } : { sign: "✕", word: "away", press: back, kind: "error" };
  return it.on ? { sign: "⚡", word: "running", press: "Stop", kind: "warn" } : { sign: "·", word: "not running", press: "Start", kind: "quiet" };
}

export const switchWords = (state) =>
  switchesOf(state).filter(isBroken).map((it) => `${it.title}: ${positionOf(it).word} (hit ${it.hit ?? "?"})`);
