/** The quick way to read a usual message says nothing that the thorough way does not say. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { encodeEnvelope, markRestored } from "../../runtime/protocol/envelope.ts";
import { encodeTask, type TaskCall } from "../../runtime/protocol/task_message.ts";
import { decodeAnyTask } from "../../runtime/protocol/task_request.ts";
import { readUsualTask } from "../../runtime/protocol/usual_task.ts";
import { envelopeOf, envelopesOf, seededRandom } from "./samples.ts";
import { callOf } from "../../runtime/workflow/compose.ts";

const LIMIT = 10_000;
const call: TaskCall = {
  task: "math.add",
  id: "id-1",
  args: [1, 2],
  kwargs: {},
  queue: "celery",
  origin: "gen1@x",
};
const ours = (more: Partial<TaskCall> = {}) => encodeEnvelope(encodeTask({ ...call, ...more }));
const plain = envelopeOf("redis_messages_newest", "plain");

/** A usual message around another body. */
function around(body: string): string {
  return plain.replace(/(?<=^{"body": ")[^"]*/, Buffer.from(body).toString("base64"));
}

const EMBED = `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`;

/** Checks that the quick way agrees with the thorough one, or is silent; tells whether it spoke. */
function speaks(text: string): boolean {
  const usual = readUsualTask(text, LIMIT);
  if (usual !== undefined) assert.deepEqual(usual, decodeAnyTask(text, { maxBodyBytes: LIMIT }), text);
  return usual !== undefined;
}

describe("reading a usual message", () => {
  it("knows what Celery and this project write for a call without options", () => {
    assert.ok(speaks(plain));
    assert.ok(speaks(ours()));
    assert.ok(speaks(ours({ args: [], kwargs: { to: "Ada", n: [1, { deep: null }] } })));
    assert.ok(
      speaks(ours({ rootId: "root", parentId: "parent", priority: 9, queue: "other", replyTo: "q" })),
    );
    assert.ok(speaks(ours({ ignoreResult: true })));
  });

  it("knows the steps of chains and the parts of groups and chords", () => {
    const next = callOf("next", [1], {}, { task_id: "id-2", queue: "other" });
    assert.ok(speaks(ours({ callbacks: [next], errbacks: [callOf("failed")] })));
    assert.ok(speaks(ours({ chain: [callOf("last"), next] })));
    assert.ok(speaks(ours({ group: "g", groupIndex: 0, chord: { ...next, immutable: true } })));
    assert.ok(
      speaks(around(`[[1], {"x": 2}, {"chord": {"task": "body", "options": {"link": {"task": "after"}}}}]`)),
    );
    assert.ok(speaks(envelopeOf("redis_messages_newest", "link_chain")));
  });

  const unusual: [string, string][] = [
    ["with options", ours({ retries: 1 })],
    ["with an ETA", ours({ eta: 0 })],
    ["with headers of the user's", ours({ headers: { mine: 1 } })],
    ["with a body that is followed by no signature", around(`[[], {}, {"chain": [{"task": 3}]}]`)],
    ["with a body that is followed by no object", around(`[[], {}, []]`)],
    [
      "with a place in its group that is no number",
      ours({ group: "g" }).replace(`"group_index":null`, `"group_index":01`),
    ],
    ["restored", markRestored(ours()).text],
    ["compressed", ours({ compression: "zlib" })],
    ["in MessagePack", ours({ serializer: "msgpack" })],
    ["with an escape in its name", ours({ task: 'a"b' })],
    ["with a line break in its id", plain.replace(/(?<="id": ")/, "\n")],
    ["with a long integer", ours({ args: [2n ** 70n] })],
    ["with bytes", ours({ args: [new Uint8Array([255])] })],
    ["with letters beyond ASCII in its body", around(`[["é"], {}, ${EMBED}]`)],
    ["with NaN", ours({ args: [NaN] })],
    ["larger than allowed", ours({ args: ["x".repeat(LIMIT)] })],
    ["with args that are no list", around(`[{}, {}, ${EMBED}]`)],
    ["with kwargs that are no object", around(`[[], [], ${EMBED}]`)],
    ["with a fourth part", around(`[[], {}, 1, ${EMBED}]`)],
    ["with one part", around(`[[], ${EMBED}]`)],
    ["with a body in a text", around(`[[], {}, "${EMBED}]`)],
    ["with a space in its base64", plain.replace(/^{"body": "..../, "$& ")],
    ["cut off", plain.slice(0, -1)],
    ["with something behind it", `${plain} `],
  ];
  for (const [what, text] of unusual) {
    it(`leaves a message ${what} to the thorough way`, () => assert.equal(speaks(text), false));
  }

  it("agrees with the thorough way on all that Celery writes", () => {
    for (const capture of ["redis_messages_protocol1", "redis_messages_protocol2", "redis_messages_newest"]) {
      for (const { text } of envelopesOf(capture)) {
        speaks(text);
        speaks(markRestored(text).text);
      }
    }
  });

  it("agrees with it on messages with any character changed, doubled, or left out", () => {
    const random = seededRandom(7);
    const pieces = [
      '"',
      "\\",
      "\n",
      " ",
      ",",
      "{",
      "}",
      "[",
      "]",
      "0",
      "1",
      "null",
      "true",
      "é",
      "=",
      "A",
      "\u2028",
    ];
    let spoke = 0;
    for (const text of [plain, ours({ kwargs: { a: 1 } }), ours({ parentId: "p", replyTo: "q" })]) {
      for (let at = 0; at < text.length; at++) {
        const piece = pieces[Math.floor(random() * pieces.length)];
        for (const middle of [piece, "", text[at] + text[at]]) {
          if (speaks(text.slice(0, at) + middle + text.slice(at + 1))) spoke++;
        }
      }
    }
    assert.ok(spoke > 100, `it spoke of ${spoke} of them`);
  });

  it("agrees with it on bodies with any character changed, doubled, or left out", () => {
    const random = seededRandom(8);
    const body = `[[1, "two"], {"three": [3.5, {"__proto__": null}]}, ${EMBED}]`;
    const pieces = [
      '"',
      "\\",
      "\n",
      " ",
      ",",
      "{",
      "}",
      "[",
      "]",
      "0",
      "-",
      "NaN",
      "true",
      "é",
      "__type__",
      "12345678901234567",
    ];
    let spoke = 0;
    for (let at = 0; at < body.length; at++) {
      for (const middle of [pieces[Math.floor(random() * pieces.length)], "", body[at] + body[at]]) {
        if (speaks(around(body.slice(0, at) + middle + body.slice(at + 1)))) spoke++;
      }
    }
    assert.ok(spoke > 10, `it spoke of ${spoke} of them`);
  });
});
