import assert from "node:assert/strict";
import { test } from "node:test";
import { json, never, settle } from "./dom.js";

await import("../../web/lib/problem.js");
await import("../../web/journey/view.js");
const { observatory } = await import("../../web/lib/observatory.js");

test("a trace that nobody looks at takes no connection", async () => {
  const streams = [];
  globalThis.fetch = async (path, { signal }) => {
    if (path.endsWith("/state")) return json({});
    if (path.includes("/hops?")) streams.push(signal);
    return never();
  };
  await observatory.look();
  const journey = document.createElement("agora-journey");
  journey.what = "a".repeat(32);
  journey.connectedCallback();
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [false]);

  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [true]);

  document.hidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.deepEqual(streams.map(({ aborted }) => aborted), [true, false]);

  journey.disconnectedCallback();
  assert.ok(streams.every(({ aborted }) => aborted));
  // No timer is left.
  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
});
