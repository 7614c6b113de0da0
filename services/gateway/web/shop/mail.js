// Whether the mail about a purchase was sent, as its trace tells.
import { call } from "../lib/api.js";
import { list, observatory, ROOT } from "../lib/observatory.js";
import { pause } from "../lib/sse.js";

const LOOK_MS = 1_000;

export const isSent = (trace) => list(trace?.hops).some((hop) => hop?.kind === "mail" && hop.outcome === "ok");

export async function mailed(traceId, signal, looksMax) {
  for (let looks = 0; looks < looksMax && observatory.is === "present" && !signal.aborted; looks += 1) {
    try {
      const { data } = await call(`${ROOT}/traces/${traceId}`, { signal });
      if (isSent(data)) return true;
    } catch { /* Not there yet, or no more. */ }
    if (looks + 1 < looksMax) await pause(LOOK_MS, signal);
  }
  return false;
}
