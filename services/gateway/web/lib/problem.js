// <agora-problem>: a problem document as text, with the way to its journey.
import { h, put } from "./dom.js";
import { Problem } from "./api.js";

class AgoraProblem extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "alert");
  }

  // Shows an error; nothing for none.
  show(error, advice = "") {
    if (!error) return put(this);
    const { document = {}, traceId } = error instanceof Problem ? error : {};
    const errors = Array.isArray(document.errors) ? document.errors : [];
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
}

customElements.define("agora-problem", AgoraProblem);
