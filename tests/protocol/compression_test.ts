import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { compress, decompress, mimeOf } from "../../runtime/protocol/compression.ts";

const MIMES: [string, string][] = [
  ["zlib", "application/x-gzip"],
  ["gzip", "application/x-gzip"],
  ["zstd", "application/zstd"],
  ["brotli", "application/x-brotli"],
];

describe("compression", () => {
  const text = Buffer.from("all the same, ".repeat(1000));

  for (const [name, mime] of MIMES) {
    it(`${name} travels as ${mime} and comes back`, () => {
      assert.equal(mimeOf(name), mime);
      const small = compress(name, text);
      assert.ok(small.length < text.length / 10);
      assert.deepEqual(Buffer.from(decompress(mime, small, text.length)), text);
    });

    it(`${name} stops at the bound, before a bomb has grown`, () => {
      const bomb = compress(name, Buffer.alloc(40_000_000));
      const before = process.memoryUsage().rss;
      assert.throws(() => decompress(mime, bomb, 100_000), { name: "BadMessageError", reason: "too large" });
      assert.ok(process.memoryUsage().rss - before < 30_000_000, "memory was used for the whole of it");
    });

    it(`${name} that is none is refused`, () => {
      assert.throws(() => decompress(mime, Buffer.alloc(100, 0xff), 1e6), { reason: "wrong compression" });
    });

    it(`${name} that is cut is refused or gives the beginning, which no serializer takes for the whole`, () => {
      const json = Buffer.from(JSON.stringify([["all the same, ".repeat(1000)], {}, { callbacks: null }]));
      const small = compress(name, json);
      for (let end = 1; end < small.length; end++) {
        try {
          const got = Buffer.from(decompress(mime, small.subarray(0, end), 1e6));
          assert.deepEqual(got, json.subarray(0, got.length));
        } catch (error) {
          assert.equal((error as Error).name, "BadMessageError", String(error));
        }
      }
    });
  }

  it("calls zlib's format gzip, as kombu does, and reads real gzip too", () => {
    assert.equal(compress("gzip", text)[0], 0x78);
    assert.deepEqual(Buffer.from(decompress("application/x-gzip", gzipSync(text), 1e6)), text);
  });

  for (const name of ["bzip2", "lzma", "application/x-bz2", "application/x-lzma", "lz77"]) {
    it(`${name} is refused with what there is`, () => {
      const error = { name: "RefusedContentError", message: /use zlib, zstd, brotli/ };
      assert.throws(() => mimeOf(name), error);
      assert.throws(() => compress(name, text), error);
      assert.throws(() => decompress(name, text, 1e6), error);
    });
  }
});
