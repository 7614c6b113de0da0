// What a view says that needs the observatory, where there is none.
import { call } from "./api.js";
import { h } from "./dom.js";
import { observatory } from "./observatory.js";
import { watch } from "./watcher.js";

// Nothing where there is one; else what to do.
export function absent() {
  if (observatory.is === "present") return null;
  if (observatory.is === "unknown") return h("p", { class: "quiet" }, "Asking the observatory…");
  if (observatory.is === "away") return h("div", { class: "note", role: "status" }, h("p", {}, "The observatory does not answer. It is asked again every few seconds; the shop does not need it."));
  if (observatory.is === "unreadable") return h("div", { class: "note", role: "status" }, h("p", {}, "The observatory says more than this page reads, or what cannot be read. What was here is old; it is asked again once a minute. The shop does not need it."));
  if (observatory.is === "closed") return h("div", { class: "note" }, h("agora-watcher"));
  return h("div", { class: "note", role: "status" },
    h("p", {}, h("strong", {}, "This view needs the observatory, and this gateway was not told of one.")),
    h("p", {}, "The observatory reads what each service says of its calls and messages. The shop works without it."),
    h("p", {}, "All in one process, the observatory included:"),
    h("pre", {}, "cargo run"),
    h("p", {}, "A gateway of your own: start the service ", h("code", {}, "observatory"), " and set ", h("code", {}, "OBSERVATORY_URL"), " for the gateway, for example:"),
    h("pre", {}, "OBSERVATORY_URL=http://127.0.0.1:8095"));
}

// <agora-watcher>: signs an administrator in, for the observatory only.
class AgoraWatcher extends HTMLElement {
  connectedCallback() {
    const email = h("input", { type: "email", name: "email", autocomplete: "username", required: true });
    const password = h("input", { type: "password", name: "password", autocomplete: "current-password", required: true });
    const problem = h("agora-problem");
    const onsubmit = async (event) => {
      event.preventDefault();
      problem.show(null);
      try {
        watch((await call("/api/sessions", { method: "POST", body: { email: email.value, password: password.value } })).data);
        await observatory.look();
        if (observatory.is === "closed") throw new Error("This account is no administrator's");
      } catch (error) {
        problem.show(error);
      }
    };
    this.replaceChildren(
      h("p", {}, h("strong", {}, "The observatory is for administrators here"), ": this gateway can be reached from other machines."),
      h("form", { class: "row", onsubmit },
        h("label", {}, "email ", email), h("label", {}, "password ", password), h("button", { class: "main" }, "Look")),
      problem);
  }
}

customElements.define("agora-watcher", AgoraWatcher);
