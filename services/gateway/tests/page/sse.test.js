import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { Parser, pause, soon } from "../../web/lib/sse.js";

const STREAM = "\r\n: a comment\r\nid:2\r\nevent:confirmed\r\ndata:{\"a\":\r\ndata: 1}\r\n\r\ndata: two\n\nid: 3\n\n";

test("events are the same however the stream is cut", () => {
  const whole = new Parser().push(STREAM);
  assert.deepEqual(whole, [
    { id: "2", type: "confirmed", data: "{\"a\":\n1}" },
    { id: "2", type: "message", data: "two" },
  ]);
  for (let cut = 1; cut < STREAM.length; cut += 1) {
    const parser = new Parser();
    const events = [...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))];
    assert.deepEqual(events, whole, `cut at ${cut}`);
    assert.equal(parser.lastId, "3");
  }
});

test("a pause leaves nothing at its signal, over or cut short", async () => {
  const stop = new AbortController();
  await pause(1, stop.signal);
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
  const long = pause(60_000, stop.signal);
  stop.abort();
  await long;
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
});

test("an endless line or event is refused", () => {
  const piece = "x".repeat(600_000);
  const line = new Parser();
  line.push(`data:${piece}`);
  assert.throws(() => line.push(piece), /too long/);
  const event = new Parser();
  event.push(`data:${piece}\n`);
  assert.throws(() => event.push(`data:${piece}\n`), /too long/);
});

test("what is asked for while it is done is done once more, and never twice at a time", async () => {
  let [done, running, most] = [0, 0, 0];
  let release;
  const work = soon(1, async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => (release = resolve));
    running -= 1;
    done += 1;
  });
  const begun = async () => {
    while (!release) await new Promise((resolve) => setTimeout(resolve, 1));
    const end = release;
    release = null;
    return end;
  };
  const all = work();
  for (let n = 0; n < 20; n += 1) work();
  const end = await begun();
  for (let n = 0; n < 20; n += 1) work();
  end();
  (await begun())();
  await all;
  assert.deepEqual([done, most], [2, 1]);
});
