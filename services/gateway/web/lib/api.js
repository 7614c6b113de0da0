// Calls of the shop's public API, and of the observatory behind it.
import { events } from "./sse.js";
import { watcherToken } from "./watcher.js";

const PATIENCE_MS = 30_000;

export const hex = (n) => Array.from(crypto.getRandomValues(new Uint8Array(n)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// What the gateway did not do, as it says it; or that it could not be asked.
export class Problem extends Error {
  constructor(document, traceId) {
    super(document.title || "It did not work");
    this.document = document;
    this.status = document.status || 0;
    this.traceId = document.trace_id || traceId;
  }
}

// Who asks: of the observatory its watcher.
const bearer = (path, token) => (path.startsWith("/observatory/") ? watcherToken() : token);

// The events of a stream, asked for as `call` does.
export const stream = (path, { token, signal, opened }) => events(path, { token: bearer(path, token), signal, opened, refused: problem });

// One call. The page chooses the trace's id, so that a journey can be opened whatever comes of the call.
export async function call(path, { body, method = body === undefined ? "GET" : "POST", token, headers = {}, signal } = {}) {
  const traceId = hex(16);
  const asked = { accept: "application/json", traceparent: `00-${traceId}-${hex(8)}-01`, ...headers };
  const shown = bearer(path, token);
  if (shown) asked.authorization = `Bearer ${shown}`;
  if (body !== undefined) asked["content-type"] = "application/json";
  const patience = AbortSignal.timeout(PATIENCE_MS);
  let answer, text;
  try {
    answer = await fetch(path, {
      method,
      headers: asked,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      cache: "no-store",
      redirect: "error",
    });
    // It may also break off here.
    if (answer.ok) text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    const title = error.name === "TimeoutError" ? "The gateway did not answer in time" : "The gateway cannot be reached";
    throw new Problem({ title, status: 0 }, traceId);
  }
  if (!answer.ok) throw await problem(answer, traceId);
  return { data: text ? JSON.parse(text) : null, traceId, headers: answer.headers };
}

export async function problem(answer, traceId) {
  let document = {};
  try {
    const read = await answer.json();
    if (read && typeof read === "object") document = read;
  } catch { /* No problem document: the status says it. */ }
  return new Problem({ title: `Status ${answer.status}`, ...document, status: answer.status }, traceId);
}
