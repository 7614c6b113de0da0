import assert from "node:assert/strict";
import { test } from "node:test";
import { Parser } from "../../web/lib/sse.js";

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

test("an endless line or event is refused", () => {
  const piece = "x".repeat(600_000);
  const line = new Parser();
  line.push(`data:${piece}`);
  assert.throws(() => line.push(piece), /too long/);
  const event = new Parser();
  event.push(`data:${piece}\n`);
  assert.throws(() => event.push(`data:${piece}\n`), /too long/);
});
