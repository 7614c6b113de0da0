// The space-time diagram as numbers: a lane for each place, time downwards. A pure function of the steps.
//
// Time is to scale; events closer than a line of text are spread, and idle time is folded. Order is never changed.
import { isStopped, YOU } from "./calls.js";

export const LANE = 148;
export const LEFT = 76;
const TOP = 24;
const PX_PER_MS = 12;
// Least distance to the event before, of one with a label and of one without.
const LABEL = 22;
const NEAR = 7;
const FOLD = 84;
const BAR = 10;
const NESTED = 5;
const NESTED_MAX = 5;

// Lanes: who began, services as they come in, then the places between.
function lanesOf(steps) {
  const services = new Set();
  const places = new Set();
  for (const step of steps) {
    (step.style === "delivery" ? places : services).add(step.from);
    (["publish", "wait"].includes(step.style) || ["db", "mail"].includes(step.kind) ? places : services).add(step.to);
  }
  const names = [...services].sort((a, b) => (b === YOU) - (a === YOU));
  for (const place of places) if (!services.has(place)) names.push(place);
  return names.map((name, n) => ({ name, x: LEFT + n * LANE + LANE / 2 }));
}

// Where each moment is. `labelled` are those at which something begins.
function scale(moments, labelled) {
  const sorted = [...new Set(moments)].sort((a, b) => a - b);
  const at = new Map();
  const folds = [];
  let y = TOP;
  sorted.forEach((moment, n) => {
    if (n > 0) {
      const us = moment - sorted[n - 1];
      const true_px = (us / 1000) * PX_PER_MS;
      const least = labelled.has(moment) ? LABEL : NEAR;
      const px = Math.min(Math.max(true_px, least), FOLD);
      if (true_px > FOLD) folds.push({ y: y + px / 2, us });
      y += px;
    }
    at.set(moment, y);
  });
  return { at: (moment) => at.get(moment), folds, last: y, sorted };
}

// The diagram. Everything drawn names its step by place in `steps`.
export function layout(steps) {
  const lanes = lanesOf(steps);
  const x = new Map(lanes.map((lane) => [lane.name, lane.x]));
  const labelled = new Set();
  const moments = [];
  for (const step of steps) {
    labelled.add(step.start);
    moments.push(step.start, step.end, step.sent, step.served?.end);
  }
  const time = scale(moments.filter((moment) => Number.isFinite(moment)), labelled);
  // What is still open goes on to the end of what is known.
  const bottom = time.last + (steps.some((step) => step.end === null) ? LABEL : 0);
  const at = (moment) => (Number.isFinite(moment) ? time.at(moment) : bottom);

  const begin = time.sorted[0] ?? 0;
  const bars = [];
  const arrows = [];
  const open = new Map();
  // Of things that begin together, each has its own line.
  const taken = new Map();
  steps.forEach((step, n) => {
    const y = at(step.start);
    const shift = taken.get(step.start) ?? 0;
    taken.set(step.start, shift + 1);
    const bar = (lane, from, until, waiting) => {
      const others = (open.get(lane) ?? []).filter((other) => other.until > from && other.from <= from);
      const depth = Math.min(others.length, NESTED_MAX);
      bars.push({ n, x: x.get(lane) - BAR / 2 + depth * NESTED, y: from, width: BAR, height: Math.max(until - from, 4), waiting, isOpen: step.end === null });
      open.set(lane, [...others, { from, until }]);
    };
    const arrow = (type, x1, y1, x2, y2, label = "") => arrows.push({ n, type, x1, y1, x2, y2, label, shift: label ? shift : 0 });
    const [from, to] = [x.get(step.from), x.get(step.to)];
    const until = at(step.end);
    if (step.style === "work") bar(step.from, y, until, false);
    else if (step.style === "wait") {
      arrow("publish", from, y, to, y, step.name);
      bar(step.to, y, until, true);
    } else if (step.style === "publish") {
      const wait = step.cause?.style === "wait" ? x.get(step.cause.to) : from;
      arrow("publish", wait, y, to, y, step.name);
    } else if (step.style === "delivery") {
      const sent = step.sent === null ? y : at(step.sent);
      // Work lies in a queue and is fetched; a fact is on its way.
      if (step.kind === "queue" && sent < y) {
        bar(step.from, sent, y, true);
        arrow("message", from, y, to, y, step.name);
      } else arrow("message", from, sent, to, y, step.name);
      bar(step.to, y, until, false);
    } else if (isStopped(step)) arrow("refused", from, y, from + (to - from) * 0.6, y, step.name);
    else {
      arrow("call", from, y, to, y, step.name);
      bar(step.to, y, step.served ? Math.max(at(step.served.end), y) : until, false);
      if (step.end !== null && from !== to) arrow("answer", to, until, from, until);
    }
  });
  const ticks = [...new Set(steps.map((step) => step.start))].map((moment) => ({ y: at(moment), us: moment - begin }));
  return { lanes, bars, arrows, folds: time.folds, ticks, width: LEFT + lanes.length * LANE, height: bottom + 30 };
}
