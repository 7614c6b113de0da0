// Server-sent events over fetch: a browser's own EventSource sends no token.

// Longest event, in characters.
const EVENT_MAX = 1 << 20;
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 10_000;

// What is too long will be so at the next try, too.
const tooLong = (what) => Object.assign(new Error(`${what} of the stream is too long`), { isFinal: true, isUnreadable: true });

// Reads a stream piece by piece (WHATWG HTML, section 9.2): `push` returns the events that are whole.
export class Parser {
  #rest = "";
  #type = "";
  #data = [];
  #size = 0;
  lastId = "";

  push(text) {
    const events = [];
    this.#rest += text;
    // A carriage return at the end may be the first half of a line's end.
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    if (this.#rest.length > EVENT_MAX) throw tooLong("a line");
    for (const line of lines) {
      if (line !== "") this.#field(line);
      else {
        if (this.#data.length > 0) {
          events.push({ id: this.lastId, type: this.#type || "message", data: this.#data.join("\n") });
        }
        this.#type = "";
        this.#data = [];
        this.#size = 0;
      }
    }
    return events;
  }

  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.lastId = value;
    else if (name === "data") {
      this.#size += value.length;
      if (this.#size > EVENT_MAX) throw tooLong("an event");
      this.#data.push(value);
    }
  }
}

export const pause = (ms, signal) =>
  new Promise((resolve) => {
    // A signal may live for as long as the page: nothing of a pause stays at it.
    const over = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal?.addEventListener("abort", over);
    if (signal?.aborted) over();
  });

// Does some work `ms` after it was asked for: once for all who ask until then, and never twice at a time.
export function soon(ms, work) {
  let isAsked = false;
  let isBusy = false;
  return async () => {
    isAsked = true;
    if (isBusy) return;
    isBusy = true;
    while (isAsked) {
      await pause(ms);
      isAsked = false;
      await work();
    }
    isBusy = false;
  };
}

// The events of a stream, resumed where it broke, until `signal` is aborted, 204 says that no more can come, or the next try
// would be refused as well. `refused(answer)` makes the error of it; `opened` is called each time that a stream begins.
export async function* events(path, { token, signal, refused, opened }) {
  let lastId = "";
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    try {
      const headers = { accept: "text/event-stream" };
      if (token) headers.authorization = `Bearer ${token}`;
      if (lastId) headers["last-event-id"] = lastId;
      const answer = await fetch(path, { headers, signal, cache: "no-store" });
      if (answer.status === 204) return;
      const isFinal = answer.status >= 400 && answer.status < 500 && answer.status !== 429;
      if (isFinal) throw Object.assign(await refused(answer), { isFinal });
      if (answer.ok) {
        opened?.();
        const parser = new Parser();
        parser.lastId = lastId;
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        try {
          for (let part = await reader.read(); !part.done; part = await reader.read()) {
            for (const event of parser.push(part.value)) {
              lastId = event.id;
              wait = FIRST_WAIT_MS;
              yield event;
            }
          }
        } finally {
          reader.cancel().catch(() => {});
        }
      }
    } catch (error) {
      if (error.isFinal) throw error;
      // Broken: asked again below, from where it stopped.
    }
    await pause(wait * (0.5 + Math.random() / 2), signal);
    wait = Math.min(wait * 2, LAST_WAIT_MS);
  }
}
