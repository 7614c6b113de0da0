// <agora-spark>: a short history as a line; the number itself stands beside it.
import { put, s } from "./dom.js";

const WIDTH = 72;
const HEIGHT = 18;
const POINTS_MAX = 60;

class AgoraSpark extends HTMLElement {
  #values = [];

  // What is not known is no part of the history.
  push(value) {
    if (value === null) return;
    this.#values = [...this.#values, Number(value) || 0].slice(-POINTS_MAX);
    const most = Math.max(1e-9, ...this.#values);
    const step = WIDTH / (POINTS_MAX - 1);
    const first = POINTS_MAX - this.#values.length;
    const points = this.#values.map((it, n) => `${((first + n) * step).toFixed(1)},${(HEIGHT - 1 - (it / most) * (HEIGHT - 2)).toFixed(1)}`);
    put(this,
      s("svg", { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
        s("polyline", { points: points.join(" ") })));
  }
}

customElements.define("agora-spark", AgoraSpark);
