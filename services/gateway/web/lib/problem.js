// <agora-problem>: a problem document as text, with the way to its journey.
import { h, put } from "./dom.js";
import { Problem } from "./api.js";
import { list } from "./known.js";

class AgoraProblem extends HTMLElement {
  connectedCallback() {
    this.role = "alert";
  }

  show(error, advice = "") {
    if (!error) return put(this);
    const { document = {}, traceId } = error instanceof Problem ? error : {};
    const errors = list(document.errors);
    put(this,
      h("div", { class: "problem" },
        h("p", {}, h("strong", {}, error.message), document.status ? ` (${document.status})` : ""),
        document.detail && h("p", {}, document.detail),
        errors.length > 0 && h("ul", {}, errors.slice(0, 20).map((it) => h("li", {}, h("code", {}, it.pointer), ` ${it.detail}`))),
        advice && h("p", {}, advice),
        traceId && h("p", { class: "quiet" }, "Trace ", h("a", { href: `#/journey/${traceId}` }, traceId)),
      ),
    );
  }

  // Shows what the work throws, unless nobody waits for it any more.
  async attempt(work, signal) {
    try {
      await work();
      this.show(null);
    } catch (error) {
      if (!signal?.aborted) this.show(error);
    }
  }

  // The same for what was pressed: what was shown before is gone at once.
  press(work) {
    this.show(null);
    return this.attempt(work);
  }
}

customElements.define("agora-problem", AgoraProblem);
