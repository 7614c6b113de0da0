// <agora-break>: a switch for each edge, engine and service. What is broken stays broken when the page is left.
import { h, keepFocus, put } from "../lib/dom.js";
import { StateView } from "../lib/absent.js";
import { list } from "../lib/known.js";
import "./edge.js";
import "./switch.js";
import { kinds, switchesOf } from "./switches.js";

const EDGES_MAX = 60;

class AgoraBreak extends StateView {
  heading = "Break it";
  #edges = h("ul", { class: "edges" });
  #parts = new Map();
  #owned = h("div");
  #switches = new Map();

  draw(state) {
    const edges = list(state.edges).slice(0, EDGES_MAX).filter((edge) => edge?.from && edge?.to);
    const now = new Map(edges.map((edge) => [`${edge.from}→${edge.to}`, edge]));
    const isNew = now.size !== this.#parts.size || [...now.keys()].some((key) => !this.#parts.has(key));
    if (isNew) {
      this.#parts = new Map([...now.keys()].map((key) => [key, this.#parts.get(key) ?? h("agora-edge", { class: "card" })]));
      const focusAgain = keepFocus(this.#edges, "id");
      put(this.#edges, ...[...this.#parts.values()].map((part) => h("li", {}, part)));
      focusAgain();
    }
    for (const [key, edge] of now) this.#parts.get(key).show(edge);
    this.#showSwitches(state);
  }

  #showSwitches(state) {
    const switches = switchesOf(state);
    const names = switches.map((it) => it.name).join(" ");
    if (this.#owned.dataset.names !== names) {
      this.#owned.dataset.names = names;
      this.#switches = new Map(switches.map((it) => [it.name, h("agora-switch", { class: "card" })]));
      put(this.#owned, switches.length === 0 ? elsewhere(list(state.services)) : kinds(switches).map((kind) => [
        h("h2", {}, kind.title),
        h("ul", { class: "edges" }, kind.switches.map((it) => h("li", {}, this.#switches.get(it.name)))),
      ]));
    }
    for (const it of switches) this.#switches.get(it.name).show(it);
  }

  frame() {
    return [
      h("p", { class: "lead" }, "Take something away, buy in the shop, and watch what becomes of it. Beside each switch is what it hit."),
      this.#owned,
      h("h2", {}, "Calls"),
      this.#edges,
    ];
  }
}

// Where nobody has switches, as with Docker Compose: why, and the commands that do the same.
function elsewhere(services) {
  const names = [...new Set(services.map((it) => it?.name))].filter(Boolean).join(" ");
  return h("section", { class: "note" },
    h("h2", {}, "Engines and services"),
    h("p", {}, "This page holds no key to their containers. With Docker Compose, in a terminal:"),
    h("pre", {}, [
      "docker compose stop kafka    # orders are accepted; their events wait in the outbox",
      "docker compose start kafka   # and go out, in order",
      `docker compose stop NAME     # rabbitmq: jobs wait; mailpit: mails; postgres; ${names}`,
    ].join("\n")));
}

customElements.define("agora-break", AgoraBreak);
