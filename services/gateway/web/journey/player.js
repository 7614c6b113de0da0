// <agora-player>: slow motion, single steps, a scrubber. It says where it is; who draws listens to `place`:
// `{ n }` is a step, `{ share }` a share of the whole, `{}` all of it.
import { h, isCalm, put, tell } from "../lib/dom.js";
import { Part } from "../lib/part.js";

const PLAY_MS = 8_000;
const CALM_STEP_MS = 1_000;

class AgoraPlayer extends Part {
  #steps = [];
  #n = null;
  #playing = 0;
  #timer = 0;
  #play = h("button", { id: "play", onclick: () => (this.#playing ? this.#stop() : this.#begin()) });
  #range = h("input", { type: "range", min: 0, value: 0, "aria-label": "Step", oninput: () => this.#go(Number(this.#range.value)) });

  start() {
    put(this,
      h("button", { "aria-label": "One step back", onclick: () => this.#by(-1) }, "◀"),
      this.#play,
      h("button", { "aria-label": "One step on", onclick: () => this.#by(1) }, "▶"),
      this.#range,
      h("button", { onclick: () => this.#all() }, "Show all"));
    this.signal.addEventListener("abort", () => this.#stop());
    this.#caption();
  }

  // `n` is the chosen step, which has another place where one came before it.
  show(steps, n) {
    this.#steps = steps;
    this.#range.max = Math.max(0, steps.length - 1);
    this.hidden = steps.length === 0;
    if (n !== null) this.#name(n);
  }

  #caption() {
    this.#play.textContent = this.#playing ? "Stop" : "Slow motion";
  }

  #by(steps) {
    const at = this.#n ?? (steps > 0 ? -1 : this.#steps.length);
    this.#go(Math.min(Math.max(at + steps, 0), this.#steps.length - 1));
  }

  #go(n) {
    this.#stop();
    this.#mark(n);
  }

  // To a step that was chosen elsewhere, without hiding what comes after.
  choose(n) {
    this.#stop();
    this.#name(n);
  }

  // Says where it is; whether there is such a step.
  #name(n) {
    this.#range.value = this.#n = n;
    const step = this.#steps[n];
    if (step) this.#range.ariaValueText = `Step ${n + 1} of ${this.#steps.length}: ${step.from} to ${step.to}, ${step.name}`;
    return step;
  }

  #mark(n) {
    if (this.#name(n)) tell(this, "place", { n });
  }

  #all() {
    this.#stop();
    this.#n = null;
    this.#range.ariaValueText = "All steps";
    tell(this, "place", {});
  }

  #begin() {
    const began = performance.now();
    if (isCalm()) {
      let n = 0;
      this.#playing = 1;
      this.#mark(0);
      this.#timer = setInterval(() => (++n < this.#steps.length ? this.#mark(n) : this.#all()), CALM_STEP_MS);
    } else {
      const frame = (now) => {
        const share = (now - began) / PLAY_MS;
        if (share >= 1) return this.#all();
        tell(this, "place", { share: Math.max(0, share) });
        this.#playing = requestAnimationFrame(frame);
      };
      this.#playing = requestAnimationFrame(frame);
    }
    this.#caption();
  }

  #stop() {
    cancelAnimationFrame(this.#playing);
    clearInterval(this.#timer);
    this.#playing = 0;
    this.#caption();
  }
}

customElements.define("agora-player", AgoraPlayer);
