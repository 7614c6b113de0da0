// Whether there is an observatory, and the state of the system that it tells.
import { call, stream } from "./api.js";
import { known, list } from "./known.js";

// Between two looks where no view follows the state as a stream: a browser has few connections to one host.
const LOOK_MS = 4_000;
// A state is repeated after 10 s at most: after so long the last one is not that of now.
const SILENT_MS = 15_000;
// While there is no observatory, or none that can be read. It may be started.
const ABSENT_MS = 60_000;
const IS_ABSENT = ["absent", "closed", "unreadable"];

const IS = { 404: "absent", 401: "closed", 403: "closed" };

const whatIs = (error) => IS[error.status] ?? (error.isUnreadable || error instanceof SyntaxError ? "unreadable" : "away");

export const ROOT = "/observatory";

class Observatory extends EventTarget {
  // "unknown", "absent", "closed" (for administrators), "away" (does not answer), "unreadable" or "present".
  is = "unknown";
  state = null;
  #last = null;
  #timer = 0;
  #followers = 0;
  #stream = null;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.#arrange());
  }

  async look() {
    clearTimeout(this.#timer);
    try {
      this.#tell("present", (await call(`${ROOT}/state`)).data);
    } catch (error) {
      this.#tell(whatIs(error), null);
    }
    this.#arrange();
  }

  async change(path, how) {
    await call(`${ROOT}${path}`, how);
    await this.look();
  }

  // Follows the state second by second until the signal is aborted.
  follow(signal) {
    this.#followers += 1;
    signal.addEventListener("abort", () => ((this.#followers -= 1), this.#arrange()), { once: true });
    if (this.is === "present") this.#arrange();
    else this.look();
  }

  #tell(is, state) {
    this.is = is;
    this.state = known(state, this.#last);
    this.#last = this.state ?? this.#last;
    this.dispatchEvent(new Event("change"));
  }

  #arrange() {
    clearTimeout(this.#timer);
    const isStreamed = this.#followers > 0 && this.is === "present" && !document.hidden;
    if (isStreamed && !this.#stream) this.#read();
    if (!isStreamed) {
      this.#stream?.abort();
      this.#stream = null;
      if (!document.hidden) this.#timer = setTimeout(() => this.look(), IS_ABSENT.includes(this.is) ? ABSENT_MS : LOOK_MS);
    }
  }

  async #read() {
    const reading = new AbortController();
    this.#stream = reading;
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => reading.abort(), SILENT_MS);
    };
    heard();
    let is = "away";
    try {
      for await (const event of stream(`${ROOT}/state/events`, reading)) {
        if (event.type !== "state") continue;
        heard();
        this.#tell("present", JSON.parse(event.data));
      }
    } catch (error) {
      is = whatIs(error);
    }
    clearTimeout(timer);
    if (this.#stream === reading) {
      this.#stream = null;
      reading.abort();
      this.#tell(is, null);
      this.#arrange();
    }
  }
}

export const observatory = new Observatory();

export { list };

export function ruleText(rule) {
  const share = rule.percent === undefined || rule.percent === 100 ? "every call" : `${rule.percent} % of the calls`;
  const what = { delay: `delayed by ${rule.delay_ms} ms`, fail: "failed", hang: "left hanging" }[rule.kind] ?? String(rule.kind);
  return `${rule.service} → ${rule.target}: ${share} ${what}`;
}
