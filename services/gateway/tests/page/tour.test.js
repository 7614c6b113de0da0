import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

const here = (path) => new URL(path, import.meta.url);
const { stops } = JSON.parse(readFileSync(here("../../web/tour/tour.json"), "utf8"));

test("what the tour names is where it says", () => {
  for (const { id, code, pattern } of stops) {
    for (const path of [...code, pattern]) assert.ok(existsSync(here(`../../../../${path}`)), `${id}: ${path}`);
  }
});

test("every stop says what it does, why, and how to do it by hand", () => {
  for (const stop of stops) {
    for (const text of [stop.title, stop.press, stop.will, stop.why]) assert.ok(text?.length > 10, stop.id);
  }
});

test("every stop can be done", () => {
  const [, actions] = readFileSync(here("../../web/tour/actions.js"), "utf8").match(/ACTIONS = \{([^}]*)\}/);
  assert.deepEqual(actions.split(",").map((name) => name.trim()), stops.map(({ id }) => id));
});
