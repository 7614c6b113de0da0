// <agora-map>: who calls whom, how often, how well; what waits where.
import { h, pane, put, s, thead, tips } from "../lib/dom.js";
import { StateView } from "../lib/absent.js";
import { clip, rate } from "../lib/format.js";
import { list } from "../lib/known.js";
import { lamp } from "../lib/lamp.js";
import "../lib/spark.js";
import { engineWords, isAway, needs } from "./engine.js";
import { NODE, place, WIDTH } from "./place.js";

const ROWS_MAX = 60;

const whole = (value) => (Number.isFinite(value) ? String(Math.round(value)) : "–");
// What a replica does not say now; what is shown of it is not known.
const silence = (it) => (list(it.silent).length > 0 ? `, its ${clip(it.silent.join(", "), 60)} not known` : "");

class AgoraMap extends StateView {
  heading = "Map";
  #picture = pane("div", "Map");
  #tables = new Map();

  draw(state) {
    this.#drawPicture(state);
    this.#fill("services", list(state.services), (it) => [`${it.name}/${it.replica}`, [
      it.name, it.replica,
      h("span", { class: it.ready ? "ok" : "error" }, `${it.ready ? "✓ ready" : `✕ not ready${it.reason ? `: ${clip(it.reason, 80)}` : ""}`}${needs(state, it.name)}${silence(it)}`),
    ]]);
    this.#fill("edges", list(state.edges), (it) => [`${it.from}/${it.to}`, [
      `${it.from} → ${it.to}`, [rate(it.per_second), it.per_second],
      h("span", { class: it.errors_per_second > 0 ? "error" : null }, it.errors_per_second > 0 ? `✕ ${rate(it.errors_per_second)}` : it.errors_per_second === 0 ? "0" : "–"),
      [whole(it.p99_ms), it.p99_ms], lamp(it.breaker, it.window),
    ]]);
    this.#fill("waiting", [
      ...list(state.outbox).map((it) => ({ what: `outbox of ${it.service}`, n: it.waiting, unit: "waiting" })),
      ...list(state.lag).map((it) => ({ what: `${it.topic}, read by ${it.group}`, n: it.messages, unit: "behind" })),
      ...list(state.queues).map((it) => ({ what: `queue ${it.queue}`, n: it.depth, unit: "deep" })),
      ...list(state.dead_letters).map((it) => ({ what: `dead letters in ${it.source}`, n: it.count, unit: "parked", isBad: it.count > 0 })),
    ], (it) => [it.what, [it.what, h("span", { class: it.isBad ? "error" : null }, it.n === null ? "not known" : `${it.isBad ? "✕ " : ""}${whole(it.n)} ${it.unit}`), ["", it.n]]]);
  }

  frame() {
    const table = (key, title, heads) => {
      const body = h("tbody");
      this.#tables.set(key, { body, rows: new Map() });
      return h("section", { class: "card" }, h("h2", { id: `of-${key}` }, title),
        h("div", { class: "scroll", role: "region", tabindex: 0, "aria-labelledby": `of-${key}` },
          h("table", {}, thead(heads), body)));
    };
    return [
      h("p", { class: "lead" }, "What the services say of themselves, once a second. A line beside a number is its last minute."),
      this.#picture,
      h("div", { class: "tables" },
        table("edges", "Calls", ["Edge", "Calls/s", "Errors/s", "p99, ms", "Breaker"]),
        table("waiting", "What waits", ["Where", "How much", "Last minute"]),
        table("services", "Services", ["Service", "Replica", "State"])),
    ];
  }

  // Rows stay, for their history. A cell is a text, an element, or a text with a number whose history is shown.
  #fill(key, items, row) {
    const table = this.#tables.get(key);
    const now = new Map();
    for (const item of items.slice(0, ROWS_MAX)) {
      const [id, cells] = row(item ?? {});
      const kept = table.rows.get(id) ?? { tr: h("tr"), sparks: new Map() };
      const shown = cells.map((cell, n) => {
        if (!Array.isArray(cell)) return h("td", {}, cell);
        const spark = kept.sparks.get(n) ?? h("agora-spark");
        kept.sparks.set(n, spark);
        spark.push(cell[1]);
        return h("td", { class: "number" }, cell[0], " ", spark);
      });
      put(kept.tr, ...shown);
      now.set(id, kept);
    }
    table.rows = now;
    put(table.body, ...[...now.values()].map(({ tr }) => tr));
  }

  #drawPicture(state) {
    const { nodes, edges, height } = place(state);
    const ready = new Map(list(state.services).map((it) => [it.name, it.ready]));
    const depth = new Map(list(state.queues).map((it) => [it.queue, it.depth]));
    const waiting = new Map(list(state.outbox).map((it) => [it.service, it.waiting]));
    const under = ({ id, kind }) => {
      if (kind === "engine") return engineWords(state, id);
      if (kind === "queue") return `${whole(depth.get(id))} deep`;
      if (kind === "topic") return "topic";
      const rows = waiting.get(id) > 0 ? `, ${whole(waiting.get(id))} in outbox` : "";
      return ready.has(id) ? `${ready.get(id) ? "✓ ready" : "✕ not ready"}${rows}` : "";
    };
    put(this.#picture,
      s("svg", { class: "map", role: "img", "aria-label": "Who calls whom; the tables below say the same.", viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height },
        s("defs", {}, tips("map")),
        edges.map(({ kind, of, path }) => {
          const isBad = kind === "use" ? isAway(of) : kind === "call" && (of.errors_per_second > 0 || of.breaker === "open");
          const isIdle = kind === "message" ? !(of.messages > 0) : !(of.per_second > 0);
          const type = isBad ? "bad" : kind === "use" ? "call" : kind;
          return s("path", { class: `arrow ${type}${isIdle && !isBad ? " idle" : ""}`, d: path.d, "marker-end": `url(#map-${type})` });
        }),
        edges.map(({ kind, of, path }) => {
          const words = kind === "message"
            ? of.messages > 0 && `${whole(of.messages)} behind`
            : [of.per_second > 0 && `${rate(of.per_second)}/s`, of.errors_per_second > 0 && "✕", of.breaker === "open" && "┤ open"].filter(Boolean).join(" ");
          return words && s("text", { class: "label", x: path.x, y: path.y + 4 }, words);
        }),
        nodes.map((node) =>
          s("g", { class: `node ${node.kind}${under(node).startsWith("✕") ? " bad" : ""}` },
            s("rect", { x: node.x, y: node.y, width: NODE.width, height: NODE.height, rx: node.kind === "service" ? 10 : 25 }),
            s("text", { x: node.x + NODE.width / 2, y: node.y + 21 }, clip(node.id, 19)),
            s("text", { class: "under", x: node.x + NODE.width / 2, y: node.y + 38 }, under(node))))));
  }
}

customElements.define("agora-map", AgoraMap);
