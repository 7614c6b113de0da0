// <agora-break>: a switch for each edge. What is broken stays broken when the page is left.
import { h, put } from "../lib/dom.js";
import { absent } from "../lib/absent.js";
import { list, observatory } from "../lib/observatory.js";
import { Part } from "../lib/part.js";
import "./edge.js";

const EDGES_MAX = 60;

class AgoraBreak extends Part {
  #body = h("div");
  #edges = h("ul", { class: "edges" });
  #parts = new Map();
  #is = null;

  start() {
    put(this, h("h1", {}, "Break it"), this.#body);
    this.on(observatory, "change", () => this.#show());
    observatory.follow(this.signal);
    this.#show();
  }

  #show() {
    if (this.#is !== observatory.is) {
      this.#is = observatory.is;
      const why = absent();
      put(this.#body, ...(why ? [why] : this.#frame()));
    }
    if (!observatory.state) return;
    const edges = list(observatory.state.edges).slice(0, EDGES_MAX).filter((edge) => edge?.from && edge?.to);
    const now = new Map(edges.map((edge) => [`${edge.from}→${edge.to}`, edge]));
    const isNew = now.size !== this.#parts.size || [...now.keys()].some((key) => !this.#parts.has(key));
    if (isNew) {
      this.#parts = new Map([...now.keys()].map((key) => [key, this.#parts.get(key) ?? h("agora-edge", { class: "card" })]));
      put(this.#edges, ...[...this.#parts.values()].map((part) => h("li", {}, part)));
    }
    for (const [key, edge] of now) this.#parts.get(key).show(edge);
  }

  #frame() {
    return [
      h("p", { class: "lead" }, "Each switch is at the caller: what it sends there is delayed, fails or hangs. Beside it is how many calls it hit; make some in the shop."),
      this.#edges,
      h("section", { class: "note" },
        h("h2", {}, "Engines"),
        h("p", {}, "Kafka, PostgreSQL and RabbitMQ have no switch on this page: it holds no key to their containers. With Docker Compose, in a terminal:"),
        h("pre", {}, "docker compose stop kafka     # orders are accepted; their events wait in the outbox\ndocker compose start kafka    # and go out, in order")),
    ];
  }
}

customElements.define("agora-break", AgoraBreak);
