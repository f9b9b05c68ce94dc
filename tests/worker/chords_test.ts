/**
 * All the ways in which a part of a chord can end: each counts, so that the body is called, or fails with what happened. On a
 * worker in a process of its own.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { chain, chord, ChordError, type GroupResult, type Signature } from "../../mod.ts";
import { derivedId } from "../../runtime/protocol/uid.ts";
import { eventually, within } from "../conformance/patience.ts";
import { Workshop } from "./workshop.ts";

describe("a part of a chord", () => {
  let shop: Workshop;

  before(async () => {
    shop = await Workshop.open({ settings: { brokerTransportOptions: { lease: 1, maxDeliveries: 1 } } });
    await shop.worker("-c", "2");
  });
  after(() => shop[Symbol.asyncDispose]());

  /** A chord of one part that ends well and this one, and the failure of its body. */
  async function failureWith(
    part: Signature<[], unknown, unknown>,
    options: { readonly sent?: (id: string) => Promise<void> } = {},
  ): Promise<string> {
    const { echo } = shop.jobs;
    const errback = shop.app.signature("jobs.echo", []);
    const result = chord([echo.s("fine"), part], echo.s().linkError(errback)).delay();
    await result.published;
    await options.sent?.((result.parent as GroupResult<unknown[]>).results[1].id);
    const error = await within(20_000, result.get().then(() => undefined, (error) => error), "the body");
    assert.ok(error instanceof ChordError, String(error));
    const told = shop.app.AsyncResult(derivedId(result.id, 0));
    assert.equal(await within(20_000, told, "the error callback"), result.id);
    return error.message.replace(/^Dependency \S+ /, "");
  }

  it("that throws", async () => {
    assert.equal(await failureWith(shop.jobs.fail.s("no good")), "raised RangeError('no good')");
  });

  it("whose arguments do not fit", async () => {
    const part = shop.app.signature("jobs.add", [], { z: 1 });
    assert.match(await failureWith(part), /^raised TypeError\(.*unexpected keyword/);
  });

  it("whose value no message can carry", async () => {
    assert.match(await failureWith(shop.jobs.cycle.s()), /^raised UnserializableError\(/);
  });

  it("that is unknown, as a task or as a step of a chain before the part", async () => {
    const unknown = shop.app.signature<string>("jobs.nothing");
    assert.equal(await failureWith(unknown), "raised NotRegistered('jobs.nothing')");
    assert.equal(
      await failureWith(chain(unknown, shop.jobs.echo.s())),
      "raised NotRegistered('jobs.nothing')",
    );
  });

  it("that has expired, or whose step before it has", async () => {
    const late = shop.jobs.echo.s("late").set({ expires: new Date(0) });
    assert.equal(await failureWith(late), "raised TaskRevokedError('expired')");
    assert.equal(
      await failureWith(chain(late, shop.jobs.echo.s())),
      "raised TaskRevokedError('expired')",
    );
  });

  it("that is revoked before it runs, and that is ended while it runs", async () => {
    const gate = shop.gate();
    const waits = shop.jobs.hold.s(gate.path).set({ countdown: 4 });
    const revoke = (id: string) => shop.app.control.revoke(id, { timeout: 0.2 }).then(() => {});
    assert.equal(await failureWith(waits, { sent: revoke }), "raised TaskRevokedError('revoked')");
    const marks = shop.file("runs");
    const terminate = async (id: string) => {
      await eventually(async () => assert.equal(await shop.app.AsyncResult(id).state, "STARTED"), 10_000);
      await shop.app.control.revoke(id, { terminate: true, timeout: 0.2 });
    };
    const runs = shop.jobs.tracked.s(`${marks}-never`);
    assert.equal(await failureWith(runs, { sent: terminate }), "raised TaskRevokedError('terminated')");
  });

  it("whose isolate dies under it, also as a step before the part", async () => {
    const dies = shop.jobs.die.s("calls process.exit");
    assert.match(await failureWith(dies), /^raised WorkerLostError\(/);
    assert.match(await failureWith(chain(dies, shop.jobs.echo.s())), /^raised WorkerLostError\(/);
  });

  it("that runs longer than its time limit", async () => {
    const long = shop.jobs.hold.s(shop.file("never")).set({ timeLimit: 0.3 });
    assert.equal(await failureWith(long), "raised TimeLimitExceeded(0.3)");
  });

  it("that was acknowledged before it ran", async () => {
    const { echo } = shop.jobs;
    const gate = shop.gate();
    await gate.open();
    const result = chord([echo.s("fine"), shop.jobs.early.s(shop.file("early"), gate.path)], echo.s())
      .delay();
    assert.deepEqual(await within(20_000, result, "the body"), ["fine", "let go"]);
  });

  it("whose result is ignored, and that gives nothing", async () => {
    const { echo, silent, mark } = shop.jobs;
    const parts: Signature<[], unknown, unknown>[] = [silent.s("heard"), mark.s(shop.file("marks"))];
    const result = chord(parts, echo.s()).delay();
    assert.deepEqual(await within(20_000, result, "the body"), ["heard", null]);
  });

  it("that is retried", async () => {
    const { echo, thrice } = shop.jobs;
    const result = chord([thrice.s(shop.file("tries")), echo.s("fine")], echo.s()).delay();
    assert.deepEqual(await within(20_000, result, "the body"), [2, "fine"]);
  });

  it("that is buried, because its worker dies under it again and again", async () => {
    assert.match(
      await failureWith(shop.jobs.dieAlways.s(shop.file("deaths"))),
      /^raised WorkerLostError\(.*dead letter/,
    );
  });
});
