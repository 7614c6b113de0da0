// What a view says that needs the observatory, where there is none.
import { h } from "./dom.js";
import { observatory } from "./observatory.js";

// Nothing where there is one; else what to do.
export function absent() {
  if (observatory.is === "present") return null;
  if (observatory.is === "unknown") return h("p", { class: "quiet" }, "Asking the observatory…");
  if (observatory.is === "away") return h("div", { class: "note", role: "status" }, h("p", {}, "The observatory does not answer. It is asked again every few seconds; the shop does not need it."));
  return h("div", { class: "note", role: "status" },
    h("p", {}, h("strong", {}, "This view needs the observatory, and this gateway was not told of one.")),
    h("p", {}, "The observatory reads what each service says of its calls and messages. The shop works without it."),
    h("p", {}, "All in one process, the observatory included:"),
    h("pre", {}, "cargo run"),
    h("p", {}, "A gateway of your own: start the service ", h("code", {}, "observatory"), " and set ", h("code", {}, "OBSERVATORY_URL"), " for the gateway, for example:"),
    h("pre", {}, "OBSERVATORY_URL=http://127.0.0.1:8095"));
}
