// <agora-steps>: the steps of a journey as a table, which says what the diagram shows.
import { h, keepFocus, put, tell, thead } from "../lib/dom.js";
import { clip, duration } from "../lib/format.js";
import { isBad, outcome } from "./calls.js";

class AgoraSteps extends HTMLElement {
  show(steps, chosen) {
    const begin = steps[0]?.start ?? 0;
    const row = (step, n) =>
      h("tr", { class: n === chosen ? "chosen" : null },
        h("td", { class: "number" }, duration(step.start - begin)),
        h("td", {}, step.from),
        h("td", {}, step.to),
        h("td", {}, h("button", { class: "plain", "data-n": n, "aria-pressed": String(n === chosen), onclick: () => tell(this, "choose", n) }, clip(step.name, 60))),
        h("td", { class: "number" }, step.style === "delivery" && step.sent !== null && `${duration(step.start - step.sent)} on the way, `,
          step.end === null ? "open" : duration(step.end - step.start)),
        h("td", { class: isBad(step) ? "error" : null }, outcome(step)));
    const focusAgain = keepFocus(this, "data-n");
    put(this,
      h("table", {}, h("caption", { class: "unseen" }, "Steps of the journey"),
        thead(["At", "From", "To", "What", "Took", "Outcome"]),
        h("tbody", {}, steps.map(row))));
    focusAgain();
  }
}

customElements.define("agora-steps", AgoraSteps);
