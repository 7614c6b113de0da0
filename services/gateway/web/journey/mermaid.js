// A journey as a Mermaid sequence diagram, to paste into a ticket.
import { duration } from "../lib/format.js";
import { isStopped, outcome } from "./calls.js";

const TEXT_MAX = 80;

// Text that ends no statement and starts no markup.
const plain = (text) => String(text).replace(/[^\p{L}\p{N} ./:_,+*()[\]→-]/gu, " ").replace(/\s+/g, " ").trim().slice(0, TEXT_MAX);

export function mermaid(steps) {
  const ids = new Map();
  const id = (name) => {
    if (!ids.has(name)) ids.set(name, `p${ids.size}`);
    return ids.get(name);
  };
  const lines = [];
  steps.forEach((step, n) => {
    const [from, to] = [id(step.from), id(step.to)];
    const took = step.end === null ? "" : duration(step.end - step.start);
    const say = (at, order, line) => lines.push({ at, order, line });
    const again = step.attempt > 1 ? ` (attempt ${step.attempt})` : "";
    const name = `${plain(step.name) || "?"}${again}`;
    if (isStopped(step)) say(step.start, n, `${from}-x${to}: ${name}: ${plain(outcome(step))}`);
    else if (step.style === "wait") say(step.start, n, `Note over ${to}: waits ${took}`);
    else if (step.style === "work") say(step.start, n, `Note over ${from}: ${name} ${took}`);
    else if (step.style === "call") {
      say(step.start, n, `${from}->>${to}: ${name}`);
      // Answers of one moment go home from the inside out.
      if (step.end !== null) say(step.end, 2 * steps.length - n, `${to}-->>${from}: ${plain(outcome(step))} after ${took}`);
    } else say(step.start, n, `${from}-)${to}: ${name}`);
  });
  lines.sort((a, b) => a.at - b.at || a.order - b.order);
  const participants = [...ids].map(([name, short]) => `  participant ${short} as ${plain(name) || "?"}`);
  return ["sequenceDiagram", ...participants, ...lines.map(({ line }) => `  ${line}`), ""].join("\n");
}
