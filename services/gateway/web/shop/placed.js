// The orders that this tab placed: the trace of each, and whether its mail was sent.
import { keep, kept } from "../lib/kept.js";

const KEY = "agora.traces";
const MAX = 50;

let all = kept(KEY) ?? [];

export function note(id, traceId, isMailed = false) {
  all = [[id, traceId, isMailed], ...all.filter(([of]) => of !== id)].slice(0, MAX);
  keep(KEY, all);
}

export const noted = (id) => all.find(([of]) => of === id)?.slice(1) ?? [];
