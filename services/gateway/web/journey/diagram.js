// <agora-diagram>: a layout as SVG. A click chooses a step. Signs, never colour alone: what is broken has a word, what waits is
// hatched, what is asked again has its number.
import { h, put, s, tell, tips } from "../lib/dom.js";
import { clip, count, duration } from "../lib/format.js";
import { isBad } from "./calls.js";
import { layout, LANE, LEFT } from "./layout.js";

const HEAD = 30;
const NAME_MAX = 20;
// Width of a letter in the labels, in pixels.
const LETTER = 6.3;

class AgoraDiagram extends HTMLElement {
  #steps = [];
  #drawn = null;
  #cut = null;
  #now = null;

  // Draws the steps; `label` says to those who do not see it what it is.
  show(steps, label) {
    this.#steps = steps;
    const { scrollTop, scrollLeft } = this;
    const drawn = (this.#drawn = layout(steps));
    this.#cut = s("rect", { width: drawn.width, height: drawn.height });
    this.#now = s("line", { class: "now", x1: 0, x2: drawn.width, visibility: "hidden" });
    const size = (height) => ({ width: drawn.width, height, viewBox: `0 0 ${drawn.width} ${height}` });
    put(this,
      s("svg", { class: "heads", "aria-hidden": "true", ...size(HEAD) },
        drawn.lanes.map((lane) =>
          s("text", { x: lane.x, y: 20 }, clip(lane.name, NAME_MAX), s("title", {}, lane.name)))),
      s("svg", { class: "body", role: "img", "aria-label": `${label}: a diagram of ${count(steps.length, "step")}; the list says the same.`, ...size(drawn.height) },
        s("defs", {},
          s("clipPath", { id: "so-far" }, this.#cut),
          s("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
            s("rect", { class: "gap", width: 6, height: 6 }), s("rect", { class: "stripe", width: 2.5, height: 6 })),
          tips("tip")),
        drawn.lanes.map((lane) => s("line", { class: "lane", x1: lane.x, x2: lane.x, y1: 0, y2: drawn.height })),
        this.#scale(drawn),
        s("g", { "clip-path": "url(#so-far)" },
          drawn.bars.map((bar) => this.#bar(bar)),
          drawn.arrows.map((arrow) => this.#arrow(arrow))),
        this.#now),
    );
    // What is drawn anew stays where it was looked at.
    this.scrollTo(scrollLeft, scrollTop);
  }

  #scale(drawn) {
    let last = -Infinity;
    const ticks = drawn.ticks.filter(({ y }) => y - last >= 20 && (last = y));
    return [
      ticks.map(({ y, us }) => s("text", { class: "tick", x: LEFT - 14, y: y + 4 }, duration(us))),
      drawn.folds.map(({ y, us }) =>
        s("g", { class: "fold" },
          s("path", { d: `M${LEFT} ${y - 3}H${drawn.width}M${LEFT} ${y + 3}H${drawn.width}` }),
          s("text", { x: LEFT - 14, y: y + 4 }, `⋮ ${duration(us)}`))),
    ];
  }

  #part(n, ...children) {
    return s("g", { class: "part", "data-n": n, onclick: () => tell(this, "choose", n) }, children);
  }

  #bar({ n, x, y, width, height, waiting, isOpen }) {
    const step = this.#steps[n];
    const kind = waiting ? "waits" : isBad(step) ? "bad" : "works";
    const title = `${step.name}: ${step.end === null ? "still open" : duration(step.end - step.start)}`;
    return this.#part(n,
      s("rect", { class: `bar ${kind}${isOpen ? " open" : ""}`, x, y, width, height, rx: 2 }, s("title", {}, title)));
  }

  #arrow({ n, type, x1, y1, x2, y2, label, shift }) {
    const step = this.#steps[n];
    const bad = isBad(step) && (type === "answer" || type === "refused");
    const away = Math.sign(x2 - x1) || 1;
    const near = (x, by) => x + away * by;
    const signs = [];
    if (label && step.attempt > 1) signs.push(`#${step.attempt}`);
    if (label && step.fault) signs.push(`⚡ ${clip(step.fault, 8)}`);
    if (type === "refused") signs.push(step.outcome === "no_place" ? "no place" : "refused");
    if (type === "answer" && bad) signs.push(`✕ ${step.outcome}`);
    const middle = (x1 + x2) / 2;
    const room = Math.max(Math.abs(x2 - x1), LANE) - 16;
    const words = [...signs, clip(label, Math.max(6, Math.floor(room / LETTER) - signs.join(" ").length))].join(" ").trim();
    const loop = x1 === x2;
    return this.#part(n,
      s("path", { class: "grip", d: loop ? `M${x1} ${y1}h24` : `M${x1} ${y1}L${x2} ${y2}` }),
      s("path", {
        class: `arrow ${type}${bad ? " bad" : ""}`,
        d: loop ? `M${x1 + 5} ${y1}h22v8h-20` : `M${near(x1, 5)} ${y1}L${near(x2, type === "refused" ? 0 : -6)} ${y2}`,
        "marker-end": type === "refused" ? null : `url(#tip-${bad ? "bad" : type === "message" ? type : "call"})`,
      }),
      type === "refused" && s("path", { class: "arrow bad stop", d: `M${x2} ${y2 - 8}v16` }),
      words && s("text", {
        class: `label${bad || step.fault ? " bad" : ""}`,
        x: loop ? x1 + 32 : middle,
        y: (y1 + y2) / 2 - 5 + (y1 === y2 ? 0 : 2) + Math.min(shift, 3) * 11,
        "text-anchor": loop ? "start" : "middle",
      }, words));
  }

  // Shows what was until the step began; all for none. The step is marked.
  at(n, isCut) {
    for (const part of this.querySelectorAll(".part.chosen")) part.classList.remove("chosen");
    const y = n === null ? this.#drawn.height : this.until(n);
    if (n !== null) for (const part of this.querySelectorAll(`.part[data-n="${n}"]`)) part.classList.add("chosen");
    this.cut(isCut ? y : null);
  }

  // Hides what is below; nothing for null.
  cut(y) {
    const to = y ?? this.#drawn.height;
    this.#cut.setAttribute("height", to);
    this.#now.setAttribute("visibility", y === null ? "hidden" : "visible");
    this.#now.setAttribute("y1", to);
    this.#now.setAttribute("y2", to);
    if (y === null) return;
    const { clientHeight, scrollTop } = this;
    if (y > scrollTop + clientHeight - 80 || y < scrollTop + 20) this.scrollTop = y - clientHeight / 2;
  }

  // How far down a step is when it has begun.
  until(n) {
    const of = this.#drawn.arrows.filter((arrow) => arrow.n === n && arrow.type !== "answer").map((arrow) => arrow.y2);
    const bars = this.#drawn.bars.filter((bar) => bar.n === n).map((bar) => bar.y + 4);
    return Math.max(0, ...of, ...bars) + 4;
  }

  get bottom() {
    return this.#drawn.height;
  }
}

customElements.define("agora-diagram", AgoraDiagram);

export const legend = () =>
  h("ul", { class: "legend", "aria-label": "Signs" },
    [
      ["works", "a call, with a bar for its time"],
      ["message", "a message: the slope is its wait"],
      ["waits", "waits in an outbox or a queue"],
      ["bad", "✕ failed · ┤ not sent: breaker, or no place · ⚡ a fault on purpose"],
      ["fold", "⋮ idle time, folded"],
    ].map(([of, words]) => h("li", {}, h("span", { class: `sign ${of}`, "aria-hidden": "true" }), words)));
