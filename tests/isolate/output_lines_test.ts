import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { FakeClock } from "../../runtime/fake_clock.ts";
import { OutputLines } from "../../runtime/isolate/output_lines.ts";
import { eventually } from "../conformance/patience.ts";

function setUp() {
  const stream = new PassThrough(), clock = new FakeClock(), lines: string[] = [];
  const output = new OutputLines(stream, clock, (line) => void lines.push(line));
  return { stream, clock, lines, output };
}

describe("what a process prints", () => {
  it("is told line by line, the last one when it ends", async () => {
    const { stream, lines, output } = setUp();
    stream.write("one\ntw");
    stream.write("o\n\n  \nthree");
    await eventually(() => assert.deepEqual(lines, ["one", "two"]));
    stream.end();
    await eventually(() => assert.deepEqual(lines, ["one", "two", "three"]));
    assert.equal(output.tail, "one\ntwo\n\n  \nthree");
  });

  it("never makes long lines, nor waits for their end", async () => {
    const { stream, lines } = setUp();
    stream.end("x".repeat(20_000));
    await eventually(() => assert.deepEqual(lines.map((line) => line.length), [8192, 8192, 3616]));
  });

  it("is at most 1,000 lines a second; how many were dropped is told", async () => {
    const { stream, clock, lines } = setUp();
    stream.write("a line\n".repeat(1_500));
    await eventually(() => assert.equal(lines.length, 1_000));
    await clock.advance(1_000);
    stream.write("another\n");
    await eventually(() => assert.equal(lines.at(-1), "another (500 lines before it dropped)"));
    stream.end();
    await eventually(() => assert.equal(lines.length, 1_001));
  });
});
