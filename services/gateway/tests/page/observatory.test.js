import assert from "node:assert/strict";
import { test } from "node:test";
import { known } from "../../web/lib/known.js";

// What the module finds in a browser.
globalThis.document = Object.assign(new EventTarget(), { hidden: false });
globalThis.sessionStorage = { getItem: () => null, setItem: () => {} };
const { observatory } = await import("../../web/lib/observatory.js");

// The next time that this is so.
const until = (is) =>
  new Promise((resolve) => {
    const look = () => observatory.is === is && (observatory.removeEventListener("change", look), resolve());
    observatory.addEventListener("change", look);
    look();
  });

test("a state that is longer than the page reads is said, and not asked for again at once", async () => {
  const asked = [];
  globalThis.fetch = async (path) => {
    asked.push(path);
    const stream = { "content-type": "text/event-stream" };
    if (path.endsWith("/events")) return new Response(`event:state\ndata:"${"x".repeat(1 << 20)}"\n\n`, { headers: stream });
    return new Response(JSON.stringify({ edges: [] }));
  };
  const view = new AbortController();
  observatory.follow(view.signal);
  await until("unreadable");
  assert.equal(observatory.state, null);
  assert.deepEqual(asked, ["/observatory/state", "/observatory/state/events"]);
  // Nobody looks any more: no timer is left.
  document.hidden = true;
  view.abort();
});

test("what a service breaks is as it was last known while it does not say", () => {
  const rules = [{ target: "orders", kind: "hang" }];
  const of = (rules) => ({ faults: [{ service: "gateway", replica: "1", rules }, { service: "gateway", replica: "2", rules: [] }], switches: rules && [{ name: "kafka" }] });
  const first = known(of(rules), null);
  const late = known(of(null), first);
  assert.deepEqual(late.faults[0].rules, rules);
  assert.deepEqual(late.switches, [{ name: "kafka" }]);
  // For as long as it takes, until it is said again.
  assert.deepEqual(known(of(null), late).faults[0].rules, rules);
  assert.deepEqual(known(of([]), late).faults[0].rules, []);
  assert.equal(known(of(null), null).faults[0].rules, null);
});

test("a state that is none is no reason to fail", () => {
  for (const state of [null, 7, "x"]) assert.equal(known(state, null), state);
  assert.deepEqual(known({ faults: [null, 7] }, { faults: "x" }).faults.length, 2);
});
