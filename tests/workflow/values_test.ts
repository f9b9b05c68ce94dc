/** Signatures as values: their JSON is Celery's, both ways, and what is no signature is refused. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  App,
  chain,
  chord,
  chunks,
  group,
  map,
  type Signature,
  signatureFromJson,
  type StampingVisitor,
  starmap,
} from "../../mod.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { readSignature, type SignatureJson } from "../../runtime/protocol/signature.ts";
import { decodeTask, type TaskRequest } from "../../runtime/protocol/task_message.ts";
import { groupOfChunks } from "../../runtime/workflow/compose.ts";
import { messageOf } from "../../runtime/workflow/message.ts";
import { planCall } from "../../runtime/workflow/plan.ts";
import { envelopesOf } from "../protocol/samples.ts";

type Module = {
  add(x: number, y: number): number;
  tsum(numbers: readonly number[]): number;
  on_error(id: string): void;
};
const app = new App({ broker: "memory:values" });
const { add, tsum, on_error } = app.module<Module>("tasks");

/** What a call comes to, message by message. */
function requestsOf(
  signature: { toJSON(): SignatureJson },
  ids: readonly string[],
  replyTo: string,
): TaskRequest[] {
  const next = [...ids];
  const newId = () => next.shift() ?? assert.fail("more ids than the sample has");
  const json = signature.toJSON();
  const whole = json.task === "celery.chunks" ? groupOfChunks(json) : json;
  return planCall(whole, { newId, replyTo }).calls.map((call) =>
    decodeTask(encodeEnvelope(messageOf(call, {
      settings: app.settings,
      origin: "gen@host",
      now: 0,
      replyTo,
      route: () => null,
      defaultsOf: () => undefined,
    })))
  );
}

/** The part of a request that a workflow decides. */
function workflowOf(
  { id, task, args, kwargs, callbacks, errbacks, chain, chord, group, rootId, parentId }: TaskRequest,
) {
  return { id, task, args, kwargs, callbacks, errbacks, chain, chord, group, rootId, parentId };
}

function sampleOf(name: string): TaskRequest[] {
  const found = envelopesOf("redis_messages_protocol2").filter((sample) => sample.name === name);
  // The list's head is what was sent last.
  return found.map(({ text }) => decodeTask(text)).reverse();
}

describe("a call is sent as Celery sends it:", () => {
  const calls: Record<string, { toJSON(): SignatureJson }> = {
    link: add.s(1, 2).link(add.s(10)),
    link_error: add.s(1, 2).linkError(on_error.s()),
    chain: chain(add.s(1, 2), add.s(4), add.s(8)),
    chain_immutable: chain(add.s(1, 2), add.si(3, 4)),
    group: group(add.s(1, 1), add.s(2, 2)),
    chunks: chunks(add.s(), [[1, 1], [2, 2], [3, 3]], 2),
    map: map(tsum.s(), [[1, 2], [3, 4]]),
    starmap: starmap(add.s(), [[1, 2], [3, 4]]),
    chord: chord([add.s(1, 1), add.s(2, 2)], tsum.s()),
  };
  for (const [name, call] of Object.entries(calls)) {
    it(name, () => {
      const theirs = sampleOf(name);
      const steps = (theirs[0].chain ?? []).map(({ options }) => String(options.task_id)).reverse();
      const body = theirs[0].chord === null ? [] : [String(theirs[0].chord.options.task_id)];
      const ids = theirs[0].group !== null
        ? [theirs[0].group, ...body, ...theirs.map(({ id }) => id)]
        : [...steps, theirs[0].id];
      const ours = requestsOf(call, ids, theirs[0].replyTo!);
      assert.deepEqual(ours.map(workflowOf), theirs.map(workflowOf));
    });
  }

  it("a group before a step, whose parts get its body when they are sent, not before", () => {
    const [theirs] = sampleOf("chain_group_chain");
    const [{ options, kwargs }] = theirs.chain!;
    const { header, body } = kwargs as { header: SignatureJson; body: SignatureJson };
    const parts = header.kwargs.tasks as SignatureJson[];
    const ids = [options, body.options, ...parts.map(({ options }) => options), { task_id: theirs.id }]
      .map(({ task_id }) => String(task_id));
    const whole = chain(add.s(1, 2), group([add.s(3), add.s(4)]), tsum.s());
    const [ours] = requestsOf(whole, [ids[0], ...ids.slice(2, -1), ids[1], theirs.id], theirs.replyTo!);
    const bare = (signature: SignatureJson): SignatureJson => {
      const { chord: _, ...options } = signature.options;
      return { ...signature, options };
    };
    const lean = {
      ...bare(header),
      kwargs: { tasks: parts.map(bare) },
    };
    // Where the body never runs its failure is stored under the id of the chord, which is that of the body here.
    assert.deepEqual(workflowOf(ours), {
      ...workflowOf(theirs),
      chain: [{
        ...theirs.chain![0],
        kwargs: { ...kwargs, header: lean },
        options: { task_id: body.options.task_id },
      }],
    });
  });

  it("with stamps, on every part", () => {
    const stamped = chain(add.s(1, 2), add.s(4)).stamp({ customer: "c1", shard: 3 });
    const [first] = requestsOf(stamped, ["second", "first"], "reply");
    assert.deepEqual([first.stampedHeaders, first.stamps], [["customer", "shard"], {
      customer: "c1",
      shard: 3,
    }]);
    assert.deepEqual(first.chain![0].options, {
      customer: "c1",
      shard: 3,
      stamped_headers: ["customer", "shard"],
      task_id: "second",
      reply_to: "reply",
    });
  });

  it("with the stamps of a visitor, which is asked from outside to inside", () => {
    const asked: string[] = [];
    const told = (moment: string) => ({ task }: { task: string }) => {
      asked.push(`${moment} ${task}`);
      return { [moment]: task };
    };
    const visitor: StampingVisitor = {
      onSignature: told("signature"),
      onGroupStart: told("group"),
      onGroupEnd: told("end"),
      onChainStart: told("chain"),
      onChordBody: told("body"),
      onCallback: told("callback"),
      onErrback: told("errback"),
    };
    const header = [add.s(1, 2), add.s(3, 4)];
    const whole = chain(chord(header, tsum.s()), add.s(1).link(add.s(2)).linkError(on_error.s()));
    const json = whole.stamp(visitor).toJSON();
    const { header: parts, body } = json.kwargs as { header: SignatureJson[]; body: SignatureJson };
    const stamps = ({ options }: SignatureJson) =>
      (options.stamped_headers as string[]).map((name) => `${name} ${options[name]}`);
    const last = (body.kwargs.tasks as SignatureJson[])[1];
    assert.deepEqual(stamps(parts[1]), ["group celery.group", "signature tasks.add"]);
    assert.deepEqual(stamps(last), [
      "group celery.group",
      "body celery.chord",
      "chain celery.chain",
      "signature tasks.add",
    ]);
    const { link: [link], link_error: [errback] } = last.options as Record<string, SignatureJson[]>;
    assert.deepEqual(stamps(link).at(-2), "callback tasks.add");
    assert.deepEqual(stamps(errback).at(-2), "errback tasks.on_error");
    assert.deepEqual(asked.slice(0, 5), [
      "group celery.group",
      "signature tasks.add",
      "signature tasks.add",
      "end celery.group",
      "body celery.chord",
    ]);
    const wrong = { onSignature: () => "text" } as unknown as StampingVisitor;
    assert.throws(() => add.s(1).stamp(wrong), {
      name: "TypeError",
      message: /onSignature .* object of stamps/,
    });
  });

  it("with stamps again: the new one counts, lists become one, or both are kept", () => {
    const optionsOf = (signature: Signature<never, unknown, unknown>) => signature.toJSON().options;
    const once = add.s(1).stamp({ who: "a", ids: [1], at: { x: 1 } });
    assert.deepEqual(optionsOf(once.stamp({ who: "b", ids: [2], at: { y: 2 } })), {
      who: "b",
      ids: [2, 1],
      at: { y: 2, x: 1 },
      stamped_headers: ["who", "ids", "at"],
    });
    assert.deepEqual(optionsOf(once.stamp({ who: "b" }, { append: true })).who, ["b", "a"]);
    assert.throws(() => once.stamp({ who: () => 1 }), { name: "UnserializableError" });
  });

  it("with parts that start one after another, as Celery's skew", () => {
    const counts = (signature: Signature<never, unknown, unknown>) =>
      (signature.toJSON().kwargs.tasks as SignatureJson[]).map(({ options }) => options.countdown);
    const five = group([1, 2, 3, 4, 5].map((n) => add.s(n, n)));
    assert.deepEqual(counts(five.skew()), [1, 2, 3, 4, 5]);
    assert.deepEqual(counts(five.skew({ start: 0, stop: 3, step: 1.5 })), [0, 1.5, 3, 3, 3]);
    assert.deepEqual(counts(chunks(add.s(), [[1, 2], [3, 4], [5, 6]], 2).skew({ start: 10 })), [10, 11]);
    assert.throws(() => add.s(1).skew(), { name: "TypeError", message: /only a group/ });
    assert.throws(() => five.skew({ step: 0 }), RangeError);
  });

  it("with options by Celery's names", () => {
    const options = {
      queue: "q",
      timeLimit: 3,
      softTimeLimit: 2,
      ignoreResult: true,
      routingKey: "r",
      groupId: "g",
    };
    assert.deepEqual(add.s(1, 2).set({ ...options, eta: new Date(0), immutable: true }).toJSON(), {
      task: "tasks.add",
      args: [1, 2],
      kwargs: {},
      options: {
        queue: "q",
        time_limit: 3,
        soft_time_limit: 2,
        ignore_result: true,
        routing_key: "r",
        group_id: "g",
        eta: "1970-01-01T00:00:00.000000+00:00",
      },
      subtask_type: null,
      immutable: true,
    });
  });
});

describe("signatures", () => {
  it("never change: what changes one gives another", () => {
    const first = add.s(2);
    const text = JSON.stringify(first);
    first.set({ queue: "q" });
    first.link(add.s(1));
    first.linkError(on_error.s());
    first.stamp({ a: 1 });
    first.pipe(add.s(1));
    assert.equal(JSON.stringify(first), text);
    assert.deepEqual(first.clone({ args: [1], kwargs: { z: 3 }, priority: 5 }).toJSON(), {
      ...first.toJSON(),
      args: [1, 2],
      kwargs: { z: 3 },
      options: { priority: 5 },
    });
  });

  it("are linked once, whatever their arguments are", () => {
    const link = app.signature("t.f", [2n ** 70n, new Date(0)]);
    const links = add.s(1).link(link).link(link).link(add.s(2)).toJSON().options.link;
    assert.deepEqual((links as SignatureJson[]).map(({ task }) => task), ["t.f", "tasks.add"]);
  });

  it("put together are flat: chains in chains, groups with one member, groups before a step", () => {
    const tasks = (signature: Signature<never, unknown, unknown>) =>
      (signature.toJSON().kwargs.tasks as SignatureJson[]).map(({ task }) => task);
    assert.deepEqual(
      tasks(chain(chain(add.s(1, 2), add.s(3)), add.s(4).pipe(add.s(5)))),
      Array(4).fill("tasks.add"),
    );
    assert.deepEqual(chain(add.s(1, 2), group([add.s(3)])).toJSON(), chain(add.s(1, 2), add.s(3)).toJSON());
    assert.deepEqual(tasks(chain(add.s(1, 2), group(add.s(3), add.s(4)), tsum.s() as never)), [
      "tasks.add",
      "celery.chord",
    ]);
    assert.deepEqual(
      group([add.s(1, 2), add.s(3, 4)]).pipe(tsum.s()).toJSON(),
      chord([add.s(1, 2), add.s(3, 4)], tsum.s()).toJSON(),
    );
  });

  it("come back from their JSON as they were", () => {
    const all = [
      add.s(1, 2).link(add.s(3)).linkError(on_error.s()).set({ queue: "q", countdown: 3 }),
      chain(add.s(1, 2), group(add.s(3), add.s(4))),
      chord([add.s(1, 2)], tsum.s()),
      chunks(add.s(), [[1, 2], [3, 4]], 1),
    ];
    for (const signature of all) {
      const text = JSON.stringify(signature);
      assert.equal(JSON.stringify(signatureFromJson(text, app)), text);
      assert.equal(JSON.stringify(signatureFromJson(JSON.parse(text), app)), text);
    }
  });

  it("of Celery's own messages are read as they stand", () => {
    const [{ chain }] = sampleOf("chain_group_chain");
    const [frozen] = chain!;
    assert.equal(frozen.subtask_type, "chord");
    assert.deepEqual(readSignature(JSON.parse(JSON.stringify(frozen))), frozen);
    assert.equal((frozen.kwargs.body as SignatureJson).task, "tasks.tsum");
  });
});

describe("what is no signature is refused:", () => {
  const good = add.s(1).toJSON();
  const deep = (levels: number) => {
    let signature: unknown = good;
    for (let i = 0; i < levels; i++) signature = { ...good, options: { link: [signature] } };
    return signature;
  };
  const circle = { ...good, options: { link: [] as unknown[] } };
  circle.options.link.push(circle);
  const bad: [string, unknown, RegExp][] = [
    ["text", '"add"', /no signature/],
    ["a list", [good], /no signature/],
    ["null", null, /no signature/],
    ["one without a task", { ...good, task: "" }, /names no task/],
    ["args that are no list", { ...good, args: { 0: 1 } }, /args of "tasks.add" is no list/],
    ["kwargs that are no object", { ...good, kwargs: [1] }, /kwargs of "tasks.add" is no object/],
    ["options that are no object", { ...good, options: "q" }, /options of "tasks.add" is no object/],
    ["a flag that is none", { ...good, immutable: 1 }, /neither true nor false/],
    ["an unknown kind", { ...good, subtask_type: "loop" }, /unknown: "loop"/],
    ["a kind of Object's own", { ...good, subtask_type: "constructor" }, /unknown: "constructor"/],
    ["a kind of another task", { ...good, subtask_type: "group" }, /belongs to celery.group/],
    [
      "a group without tasks",
      { ...good, task: "celery.group", subtask_type: "group" },
      /tasks of celery.group is no list/,
    ],
    [
      "a group of numbers",
      { ...good, task: "celery.group", subtask_type: "group", kwargs: { tasks: [1] } },
      /no signature/,
    ],
    [
      "a map without items",
      { ...good, task: "celery.map", kwargs: { task: good } },
      /it of celery.map is no list/,
    ],
    [
      "chunks of nothing",
      { ...good, task: "celery.chunks", kwargs: { task: good, it: [], n: 0 } },
      /n of celery.chunks/,
    ],
    ["a link that is none", { ...good, options: { link: 3 } }, /no signature/],
    [
      "an id that is a number",
      { ...good, options: { task_id: 3 } },
      /option task_id of "tasks.add" can't be "3"/,
    ],
    ["a priority beyond all", { ...good, options: { priority: 256 } }, /option priority/],
    ["an eta that is no date", { ...good, options: { eta: "tomorrow" } }, /option eta/],
    ["what stands too deep", deep(600), /500 deep/],
    ["a circle", circle, /in a circle/],
  ];
  for (const [what, value, message] of bad) {
    it(what, () => {
      assert.throws(() => signatureFromJson(value, app), { name: "BadMessageError", message });
    });
  }

  it("a message with one of them in it is a bad message", () => {
    const message = encodeEnvelope({
      exchange: "",
      routingKey: "celery",
      priority: 0,
      headers: { lang: "py", task: "tasks.add", id: "x" },
      contentType: "application/json",
      contentEncoding: "utf-8",
      body: JSON.stringify([[], {}, { chain: [{ ...good, args: 3 }] }]),
    });
    assert.throws(() => decodeTask(message), { name: "BadMessageError", reason: "bad chain", id: "x" });
  });

  it("500 levels and 100,000 steps are not too much", () => {
    assert.ok(readSignature(deep(500)));
    const steps = Array.from({ length: 100_000 }, () => add.s(1));
    const long = chain(steps).toJSON();
    assert.equal((readSignature(long).kwargs.tasks as unknown[]).length, 100_000);
  });
});
