// Hops become steps: the two ends of a call become one, and every step has a cause that began before it, whatever the trace
// says: it may be cut, have circles, or come from clocks that are years off.
import { list } from "../lib/known.js";

export const HOPS_MAX = 1_000;
const TEXT_MAX = 200;
// Who begins what nobody else began; the observatory calls it the client.
export const YOU = "you";
const CLIENT = "client";

const text = (value, otherwise = "") => (typeof value === "string" && value !== "" ? value.slice(0, TEXT_MAX) : otherwise);
const number = (value) => (Number.isFinite(value) ? value : null);

function clean(hop) {
  const side = text(hop.side, "internal");
  const service = text(hop.service, "?");
  // Of what is sent, the sender is known; of what is received, the receiver.
  const sends = side === "client" || side === "producer" || side === "internal";
  const stranger = side === "server" ? YOU : "?";
  const from = text(hop.from, sends ? service : stranger);
  return {
    id: text(hop.id),
    parent: text(hop.parent),
    side,
    kind: text(hop.kind, "call"),
    // Of a message, what it says; of a method, its service without the package.
    name: (text(hop.detail?.ce_type) || text(hop.name, "(no name)")).replace(/^[\w.]*\.(?=\w+\/)/, ""),
    from: side === "server" && from === CLIENT ? YOU : from,
    to: text(hop.to, sends ? "?" : service),
    service,
    attempt: Math.max(1, Math.min(99, Math.round(number(hop.attempt) ?? 1))),
    outcome: text(hop.outcome) || null,
    status: text(hop.status) || null,
    fault: text(hop.fault) || null,
    breaker: text(hop.breaker) || null,
    start: number(hop.started_at),
    end: number(hop.ended_at),
    hop,
  };
}

// The cause of each; none where following it leads back.
function causes(all) {
  const byId = new Map();
  for (const it of all) if (it.id && !byId.has(it.id)) byId.set(it.id, it);
  const cause = new Map();
  for (const it of all) {
    const parent = byId.get(it.parent);
    if (!parent || parent === it) continue;
    let above = parent;
    while (above && above !== it) above = cause.get(above);
    if (!above) cause.set(it, parent);
  }
  return cause;
}

// From cause to effect. Without recursion: a chain may be long.
function inOrder(all, cause) {
  const effects = new Map();
  for (const it of all) {
    const of = cause.get(it) ?? null;
    if (!effects.has(of)) effects.set(of, []);
    effects.get(of).push(it);
  }
  const ordered = [];
  const open = (effects.get(null) ?? []).toReversed();
  while (open.length > 0) {
    const it = open.pop();
    ordered.push(it);
    open.push(...(effects.get(it) ?? []).toReversed());
  }
  return ordered;
}

// No effect before its cause, no end before its beginning.
function straighten(ordered, cause) {
  const begin = ordered.map((it) => it.start).filter((start) => start !== null).sort((a, b) => a - b)[0] ?? 0;
  for (const it of ordered) {
    const earliest = cause.get(it)?.start ?? begin;
    it.start = Math.max(it.start ?? earliest, earliest);
    if (it.end !== null) it.end = Math.max(it.end, it.start);
  }
}

const STYLES = { client: "call", server: "call", producer: "publish", consumer: "delivery" };

// The steps of a trace, by their beginnings. Each: from, to, kind, style (`call`, `publish`, `delivery`, `wait`, `work`), name,
// attempt, outcome, status, fault, breaker, start, end (microseconds; no end: still open), `sent` (when what is delivered was
// on its way), `hops` (what was recorded: one or two of them).
export function steps(trace) {
  const hops = list(trace?.hops).filter((hop) => hop && typeof hop === "object");
  const all = hops.slice(0, HOPS_MAX).map(clean);
  const cause = causes(all);
  const ordered = inOrder(all, cause);
  straighten(ordered, cause);

  const stepOf = new Map();
  const found = [];
  for (const it of ordered) {
    const above = cause.get(it);
    const caller = above && stepOf.get(above);
    const isTwin = it.side === "server" && above?.side === "client" && caller.hops.length === 1;
    if (isTwin) {
      caller.hops.push(it.hop);
      caller.served = it;
      // Whom we asked is who answered.
      if (caller.to === "?") caller.to = it.to;
      caller.fault ??= it.fault;
      caller.status ??= it.status;
      stepOf.set(it, caller);
      continue;
    }
    const isWait = it.kind === "outbox";
    const step = {
      ...it,
      style: isWait ? "wait" : STYLES[it.side] ?? (it.from === it.to || it.to === "?" ? "work" : "call"),
      cause: caller ?? null,
      served: null,
      hops: [it.hop],
    };
    delete step.hop;
    // Each service has its own.
    if (isWait) Object.assign(step, { from: step.service, to: `${step.service} outbox` });
    if (step.style === "work") step.to = step.from;
    if (step.style === "delivery") {
      const source = (step.source = sourceOf(step, found));
      // Since when it was on its way: it was published, or the attempt before this one ended.
      const last = step.attempt > 1 && found.findLast((it) => it.style === "delivery" && it.cause === step.cause && it.to === step.to);
      step.sent = source && Math.min(Math.max(source.end ?? source.start, last?.end ?? 0), step.start);
    }
    stepOf.set(it, step);
    found.push(step);
  }
  return found.sort((a, b) => a.start - b.start);
}

// Who sent it: the publication that caused it, or the last one to the same place.
function sourceOf(delivery, before) {
  const isSource = (step) => step.style === "publish" && step.to === delivery.from;
  let above = delivery.cause;
  while (above && !isSource(above)) above = above.cause;
  return above ?? before.findLast((step) => isSource(step) && step.start <= delivery.start) ?? null;
}

const WORDS = { ok: "done", error: "failed", refused: "refused", no_place: "found no place: too many calls under way", timeout: "timed out", cancelled: "cancelled" };
const FAULTS = { delay: "delayed on purpose", fail: "failed on purpose", hang: "left hanging on purpose" };

// Whether it was stopped before it left, by the breaker or for want of a place: a refusal with a status is an answer.
export const isStopped = (step) => ["refused", "no_place"].includes(step.outcome) && !step.status && step.hops.length === 1;

export function outcome(step) {
  const parts = [isStopped(step) && step.outcome === "refused" ? "refused by the breaker" : WORDS[step.outcome] ?? (step.end === null ? "under way" : step.outcome ?? "done")];
  if (step.status) parts.push(step.status);
  if (step.attempt > 1) parts.push(`attempt ${step.attempt}`);
  if (step.fault) parts.push(FAULTS[step.fault] ?? `fault ${step.fault}`);
  if (step.breaker && step.breaker !== "closed") parts.push(`breaker ${step.breaker.replace("_", " ")}`);
  return parts.join(", ");
}

export const isBad = (step) => ["error", "refused", "no_place", "timeout", "cancelled"].includes(step.outcome);

export function span(steps) {
  const first = steps[0]?.start ?? 0;
  return [first, Math.max(first, ...steps.map((step) => step.end ?? step.start))];
}

// The step that a share of the journey's time has come to.
export function reached(steps, share) {
  const [first, last] = span(steps);
  return Math.max(0, steps.findLastIndex((step) => step.start - first <= share * (last - first)));
}
