// What a view says that needs the observatory, where there is none.
import { call } from "./api.js";
import { h, put } from "./dom.js";
import { observatory } from "./observatory.js";
import { Part } from "./part.js";
import { watch } from "./watcher.js";

const SAYS = {
  away: "The observatory does not answer. It is asked again every few seconds.",
  unreadable: "The observatory says more than this page reads, or what cannot be read. It is asked again once a minute.",
};

// Nothing where there is one; else what to do.
export function absent() {
  const { is } = observatory;
  if (is === "present") return null;
  if (is === "unknown") return h("p", { class: "quiet" }, "Asking the observatory…");
  if (SAYS[is]) return h("div", { class: "note", role: "status" }, h("p", {}, SAYS[is], " The shop does not need it."));
  if (is === "closed") return h("div", { class: "note" }, h("agora-watcher"));
  return h("div", { class: "note", role: "status" },
    h("p", {}, h("strong", {}, "This view needs the observatory, and this gateway was not told of one.")),
    h("p", {}, "The shop works without it. All in one process:"),
    h("pre", {}, "cargo run"),
    h("p", {}, "For your own gateway start the service ", h("code", {}, "observatory"), ", and set:"),
    h("pre", {}, "OBSERVATORY_URL=http://127.0.0.1:8095"));
}

// A view of the observatory's state, second by second: `draw` into the `frame`, or why there is nothing to draw.
export class StateView extends Part {
  #body = h("div");
  #is = null;

  start() {
    put(this, h("h1", {}, this.heading), this.#body);
    this.on(observatory, "change", () => this.#show());
    observatory.follow(this.signal);
    this.#show();
  }

  #show() {
    if (this.#is !== observatory.is) {
      this.#is = observatory.is;
      put(this.#body, absent() ?? this.frame());
    }
    if (observatory.state) this.draw(observatory.state);
  }
}

// <agora-watcher>: signs an administrator in, for the observatory only.
class AgoraWatcher extends HTMLElement {
  connectedCallback() {
    const field = (name, autocomplete) => h("input", { type: name, name, autocomplete, required: true });
    const email = field("email", "username");
    const password = field("password", "current-password");
    const problem = h("agora-problem");
    const onsubmit = (event) => {
      event.preventDefault();
      problem.press(async () => {
        watch((await call("/api/sessions", { body: { email: email.value, password: password.value } })).data);
        await observatory.look();
        if (observatory.is === "closed") throw new Error("This account is no administrator's");
      });
    };
    this.replaceChildren(
      h("p", {}, h("strong", {}, "The observatory is for administrators here"), ": this gateway can be reached from other machines."),
      h("form", { class: "row", onsubmit },
        h("label", {}, "email ", email), h("label", {}, "password ", password), h("button", { class: "main" }, "Look")),
      problem);
  }
}

customElements.define("agora-watcher", AgoraWatcher);
