import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import {
  parsePythonJson,
  stringifyPythonJson,
  UnserializableError,
} from "../../runtime/protocol/python_json.ts";
import { seededRandom } from "./samples.ts";

function roundTrip(value: unknown): unknown {
  return parsePythonJson(stringifyPythonJson(value));
}

describe("reading Python's JSON", () => {
  it("reads the three tokens that JavaScript refuses", () => {
    assert.deepEqual(parsePythonJson('[NaN, Infinity, -Infinity, {"a": NaN}]'), [NaN, Infinity, -Infinity, {
      a: NaN,
    }]);
    assert.equal(parsePythonJson(" NaN "), NaN);
  });

  it("leaves the same words alone inside of text", () => {
    assert.deepEqual(parsePythonJson('["NaN", "a \\"Infinity\\" b", NaN]'), ["NaN", 'a "Infinity" b', NaN]);
  });

  it("reads integers beyond 2^53 as BigInt, and no others", () => {
    assert.deepEqual(
      parsePythonJson("[9007199254740991, 9007199254740992, -9007199254740992, 1180591620717411303424]"),
      [9007199254740991, 9007199254740992n, -9007199254740992n, 1180591620717411303424n],
    );
    assert.equal(parsePythonJson("12345678901234567890"), 12345678901234567890n);
  });

  it("keeps floats floats, however many digits they have", () => {
    assert.deepEqual(
      parsePythonJson("[0.30000000000000004, 12345678901234567890.5, 1e400, 12345678901234567890e2, -0.0]"),
      [0.30000000000000004, 12345678901234567890.5, Infinity, 12345678901234567890e2, -0],
    );
  });

  it("refuses an integer that would take quadratic time to read", () => {
    assert.throws(() => parsePythonJson("9".repeat(5000)), { name: "SyntaxError", message: /5000 digits/ });
  });

  it("reads kombu's marks", () => {
    const mark = (type: string, value: unknown) => JSON.stringify({ __type__: type, __value__: value });
    assert.deepEqual(
      parsePythonJson(mark("datetime", "2030-01-02T03:04:05.678901+00:00")),
      new Date("2030-01-02T03:04:05.678Z"),
    );
    assert.deepEqual(
      parsePythonJson(mark("datetime", "2030-01-02T03:04:05")),
      new Date("2030-01-02T03:04:05Z"),
    );
    assert.equal(parsePythonJson(mark("date", "2030-01-02")), "2030-01-02");
    assert.equal(parsePythonJson(mark("time", "03:04:05")), "03:04:05");
    assert.equal(parsePythonJson(mark("decimal", "1.50")), "1.50");
    assert.equal(
      parsePythonJson(mark("uuid", { hex: "00000000000000000000000000000007" })),
      "00000000-0000-0000-0000-000000000007",
    );
    assert.deepEqual([...parsePythonJson(mark("bytes", "é")) as Uint8Array], [0xc3, 0xa9]);
    assert.deepEqual([...parsePythonJson(mark("base64", "/wA=")) as Uint8Array], [255, 0]);
  });

  it("takes only an object of exactly the two keys for a mark", () => {
    const more = { __type__: "datetime", __value__: "x", other: 1 };
    assert.deepEqual(parsePythonJson(JSON.stringify(more)), more);
    assert.deepEqual(parsePythonJson('{"__type__": "datetime"}'), { __type__: "datetime" });
  });

  it("refuses a mark it does not know, or whose value is wrong", () => {
    assert.throws(
      () => parsePythonJson('{"__type__": "lambda", "__value__": 1}'),
      /unknown "__type__": "lambda"/,
    );
    assert.throws(() => parsePythonJson('{"__type__": "datetime", "__value__": "soon"}'), /"datetime"/);
    assert.throws(() => parsePythonJson('{"__type__": "base64", "__value__": "%"}'), /"base64"/);
    assert.throws(() => parsePythonJson('{"__type__": "uuid", "__value__": null}'), /"uuid"/);
  });

  it("sets a key named __proto__ without touching the prototype", () => {
    const value = parsePythonJson('{"__proto__": {"polluted": NaN}}') as Record<string, unknown>;
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.deepEqual(Object.keys(value), ["__proto__"]);
    assert.equal(value.polluted, undefined);
  });

  it("refuses what is no JSON either way, with NaN in it or not", () => {
    const bad = [
      "",
      " ",
      "{",
      "[1,]",
      "[,1]",
      '{"a"}',
      '{"a":}',
      "{a: 1}",
      "[1 2]",
      "nul",
      '"',
      "01",
      "+1",
      "-",
      "1.",
      "NaNx",
      "--1",
      "'a'",
    ];
    for (
      const text of [
        ...bad,
        ...bad.map((text) => `[NaN, ${text}`),
        ...bad.map((text) => `[NaN, ${text}]]`),
      ]
    ) {
      assert.throws(() => parsePythonJson(text), { name: "SyntaxError" }, text);
    }
  });

  it("refuses to nest without end", () => {
    const deep = "[".repeat(100_000) + "NaN" + "]".repeat(100_000);
    assert.throws(() => parsePythonJson(deep), { name: "SyntaxError", message: /deeper/ });
  });
});

describe("writing Python's JSON", () => {
  it("writes what JSON.stringify would lose", () => {
    assert.equal(
      stringifyPythonJson([NaN, Infinity, -Infinity, -0, 2n ** 70n]),
      "[NaN, Infinity, -Infinity, -0.0, 1180591620717411303424]",
    );
    assert.equal(stringifyPythonJson(NaN), "NaN");
    assert.equal(stringifyPythonJson(-0), "-0.0");
    assert.equal(stringifyPythonJson(10n), "10");
  });

  it("writes undefined as null, in lists and objects too", () => {
    assert.equal(stringifyPythonJson(undefined), "null");
    assert.deepEqual(JSON.parse(stringifyPythonJson({ a: undefined, b: [undefined, , 1] })), {
      a: null,
      b: [null, null, 1],
    });
  });

  it("writes dates and bytes as kombu does", () => {
    assert.deepEqual(JSON.parse(stringifyPythonJson({ at: new Date(1795240610934) })), {
      at: { __type__: "datetime", __value__: "2026-11-21T05:56:50.934000+00:00" },
    });
    const base64 = { __type__: "base64", __value__: "AP8=" };
    assert.deepEqual(JSON.parse(stringifyPythonJson(new Uint8Array([0, 255]))), base64);
    assert.deepEqual(JSON.parse(stringifyPythonJson(Buffer.from([0, 255]))), base64);
    assert.deepEqual(JSON.parse(stringifyPythonJson(new Uint8Array([0, 255]).buffer)), base64);
    assert.deepEqual(
      JSON.parse(stringifyPythonJson(new DataView(new Uint8Array([9, 0, 255]).buffer, 1))),
      base64,
    );
  });

  it("writes maps, sets, typed arrays, boxed values and class instances by their content", () => {
    class Point {
      x = 1;
      #hidden = 2;
      get sum() {
        return this.x + this.#hidden;
      }
    }
    assert.deepEqual(
      JSON.parse(stringifyPythonJson({
        map: new Map([["a", new Set([1, 2])]]),
        floats: new Float64Array([1.5, 2]),
        boxed: [Object(1), Object("x"), Object(true)],
        point: new Point(),
      })),
      { map: { a: [1, 2] }, floats: [1.5, 2], boxed: [1, "x", true], point: { x: 1 } },
    );
  });

  it("honours toJSON", () => {
    const url = new URL("http://localhost/a");
    assert.deepEqual(JSON.parse(stringifyPythonJson({ url, big: { toJSON: () => 1n } })), {
      url: "http://localhost/a",
      big: 1,
    });
  });

  it("keeps lone surrogates, as escapes", () => {
    const text = stringifyPythonJson(["\ud800", { "\udfff": NaN }]);
    assert.match(text, /\\ud800/);
    assert.match(text, /\\udfff/);
    assert.deepEqual(parsePythonJson(text), ["\ud800", { "\udfff": NaN }]);
  });

  it("keeps a key named __proto__", () => {
    const value = JSON.parse('{"__proto__": 1}');
    assert.equal(
      stringifyPythonJson({ value, extra: undefined }),
      '{"value": {"__proto__": 1}, "extra": null}',
    );
  });

  const loop: Record<string, unknown> = { a: {} };
  (loop.a as Record<string, unknown>).back = loop;
  const refused: [string, unknown, string, RegExp][] = [
    ["a function", { items: [0, 1, 2, { callback() {} }] }, "$.items[3].callback", /function/],
    ["a function at the top", () => 1, "$", /function/],
    ["a symbol", { "odd key": Symbol("s") }, '$["odd key"]', /symbol/],
    ["a cycle", loop, "$.a.back", /cycles/],
    ["an invalid date", [new Date(NaN)], "$[0]", /invalid date/],
    ["an error", { reason: new Error("x") }, "$.reason", /throw it/],
    ["a promise", { later: Promise.resolve(1) }, "$.later", /await/],
    ["a map with keys that are no text", { m: new Map([[1, 2]]) }, "$.m", /\[\.\.\.map\]/],
  ];
  for (const [what, value, path, message] of refused) {
    it(`refuses ${what}, naming its path and a remedy`, () => {
      assert.throws(() => stringifyPythonJson(value), (error) => {
        assert.ok(error instanceof UnserializableError);
        assert.equal(error.name, "UnserializableError");
        assert.equal(error.path, path);
        assert.ok(error.message.startsWith(path + " "), error.message);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it("takes the same value twice side by side for no cycle", () => {
    const shared = { at: new Date(0) };
    assert.deepEqual(roundTrip([shared, shared]), [shared, shared]);
  });

  it("writes 500 levels, and refuses 5000 with an error of its own", () => {
    const nest = (levels: number) => {
      let value: unknown = 1;
      for (let i = 0; i < levels; i++) value = [value];
      return value;
    };
    assert.deepEqual(roundTrip(nest(500)), nest(500));
    assert.throws(() => stringifyPythonJson(nest(5000)), { name: "UnserializableError", message: /deeper/ });
  });
});

describe("values written and read again", () => {
  it("are the same, whatever they are made of", () => {
    const random = seededRandom(20261121);
    const pick = <T>(...choices: T[]): T => choices[Math.floor(random() * choices.length)];
    const text = () => {
      let out = "";
      for (let i = Math.floor(random() * 12); i > 0; i--) {
        out += pick(
          "a",
          "é",
          "☃",
          "😀",
          '"',
          "\\",
          "\n",
          "\u0000",
          "\ud83d",
          "NaN",
          "__type__",
          "1234567890123456",
        );
      }
      return out;
    };
    const leaf = (): unknown =>
      pick<() => unknown>(
        () => null,
        () => random() < 0.5,
        () => Math.floor(random() * 1000) - 500,
        () => (random() - 0.5) * 10 ** Math.floor(random() * 600 - 300),
        () => pick(NaN, Infinity, -Infinity, -0, 0.1 + 0.2, Number.MAX_SAFE_INTEGER, 1e21, 5e-324),
        () => BigInt(Math.floor(random() * 1e15)) ** 3n * pick(1n, -1n) + pick(1n, -1n) * 2n ** 60n,
        text,
        () => new Date(Math.floor((random() - 0.3) * 1e13)),
        () => Buffer.from(Array.from({ length: Math.floor(random() * 9) }, () => Math.floor(random() * 256))),
      )();
    const value = (depth: number): unknown => {
      if (depth === 0 || random() < 0.4) return leaf();
      const size = Math.floor(random() * 5);
      if (random() < 0.5) return Array.from({ length: size }, () => value(depth - 1));
      return Object.fromEntries(Array.from({ length: size }, () => [text(), value(depth - 1)]));
    };
    for (let i = 0; i < 3000; i++) {
      const original = safe(value(5));
      assert.deepEqual(safe(roundTrip(original)), original);
    }
  });
});

/** A BigInt that a number holds exactly comes back as that number; bytes come back as whatever class holds bytes. */
function safe(value: unknown): unknown {
  if (typeof value === "bigint" && Number.isSafeInteger(Number(value))) return Number(value);
  if (
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) &&
    Math.abs(value) < 1e21
  ) {
    return BigInt(value);
  }
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(safe);
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, safe(inner)]));
}
