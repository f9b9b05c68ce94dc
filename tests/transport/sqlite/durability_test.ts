import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openTransport } from "../../../runtime/transport/open.ts";
import { Durability } from "../../../runtime/transport/sqlite/durability.ts";
import { BrokerUnavailableError } from "../../../runtime/transport/transport.ts";
import { Heard, taskMessage } from "../../conformance/transports.ts";

let folder: string;
before(() => folder = mkdtempSync(join(tmpdir(), "celeriac-durability-")));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A disk that is as slow as the test wants it. */
class Disk {
  readonly files: FileHandle[] = [];
  readonly #waiting: PromiseWithResolvers<void>[] = [];

  flush = async (file: FileHandle): Promise<void> => {
    this.files.push(file);
    const done = Promise.withResolvers<void>();
    this.#waiting.push(done);
    await done.promise;
  };

  async done(error?: Error): Promise<void> {
    while (this.#waiting.length === 0) await settled();
    const next = this.#waiting.shift()!;
    if (error === undefined) next.resolve();
    else next.reject(error);
    await settled();
  }
}

/** Lets everything go on that can. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function freshPath(): string {
  const path = join(mkdtempSync(join(folder, "db-")), "a.db");
  writeFileSync(`${path}-wal`, "");
  return path;
}

describe("sqlite: commits on disk", () => {
  it("waits once for all commits that were made during a wait", async () => {
    const disk = new Disk();
    const durability = new Durability(freshPath(), disk.flush);
    const heard: string[] = [];
    const first = durability.flushed().then(() => heard.push("first"));
    await settled();
    const second = durability.flushed().then(() => heard.push("second"));
    const third = durability.flushed().then(() => heard.push("third"));
    await disk.done();
    await first;
    assert.deepEqual(heard, ["first"]);
    await disk.done();
    await Promise.all([second, third]);
    assert.deepEqual(heard, ["first", "second", "third"]);
    assert.equal(disk.files.length, 2);
    await durability.close();
  });

  it("says what the disk says, and is in doubt until it confirms again", async () => {
    const path = freshPath();
    const disk = new Disk();
    const durability = new Durability(path, disk.flush);
    const failing = durability.flushed();
    const refused = assert.rejects(failing, (error: Error) => {
      assert.ok(error instanceof BrokerUnavailableError);
      assert.match(error.message, new RegExp(`${path}-wal: .*EIO`));
      return true;
    });
    await settled();
    const following = durability.flushed();
    await disk.done(new Error("EIO: i/o error"));
    await refused;
    assert.equal(durability.isInDoubt, true);
    await disk.done();
    await following;
    assert.equal(durability.isInDoubt, false);
    assert.notEqual(disk.files[0], disk.files[1], "a new descriptor, since the old one may tell no more");
    await durability.close();
  });

  it("a file that cannot be opened is an error of the disk, too", async () => {
    const durability = new Durability(join(folder, "nowhere", "a.db"));
    await assert.rejects(durability.flushed(), BrokerUnavailableError);
    await durability.close();
  });

  it("closes its file when the wait is over", async () => {
    const disk = new Disk();
    const durability = new Durability(freshPath(), disk.flush);
    const flushed = durability.flushed();
    await settled();
    let isClosed = false;
    const closing = durability.close().then(() => isClosed = true);
    await settled();
    assert.equal(isClosed, false);
    await disk.done();
    await Promise.all([flushed, closing]);
    await assert.rejects(disk.files[0].datasync());
  });
});

describe("sqlite: what waits for the disk", () => {
  /** Runs `work` with a disk that answers when it is told to: all files of this process are on it. */
  async function onSlowDisk(work: (disk: Disk) => Promise<void>): Promise<void> {
    const probe = await open(join(folder, "probe"), "w");
    const kind = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    const real = kind.datasync;
    const disk = new Disk();
    kind.datasync = async function (this: FileHandle) {
      await disk.flush(this);
      await real.call(this);
    };
    try {
      await work(disk);
    } finally {
      kind.datasync = real;
    }
  }

  it("a publication, and an acknowledgement before the run; not a step that fetches", async () => {
    const path = freshPath();
    rmSync(`${path}-wal`);
    await onSlowDisk(async (disk) => {
      const transport = await openTransport(`sqlite:${path}`);
      const connecting = transport.connect();
      await connecting;
      let isPublished = false;
      const published = transport.publish([taskMessage("celery", "m1"), taskMessage("celery", "m2")])
        .then(() => isPublished = true);
      while (disk.files.length === 0) await settled();
      assert.equal((await transport.lengths(["celery"]))[0].ready, 2);
      assert.equal(isPublished, false);
      await disk.done();
      await published;

      const receiving = transport.receive({ queues: ["celery"], worker: "w", events: new Heard() });
      await disk.done();
      const receiver = await receiving;
      const [delivery, other] = await receiver.exchange([], 2);
      const again = receiver.exchange([{ delivery, outcome: "ack" }], 1);
      assert.deepEqual(await again, []);

      let isAcknowledged = false;
      const acknowledged = receiver.exchange([{ delivery: other, outcome: "ack" }], 0)
        .then(() => isAcknowledged = true);
      await disk.done();
      assert.equal(isAcknowledged, false, "the wait for the steps before is over, not its own");
      await disk.done();
      await acknowledged;
      await receiver[Symbol.asyncDispose]();
      const closing = transport[Symbol.asyncDispose]();
      await disk.done();
      await closing;
    });
  });

  it("nothing where the URL says synchronous=normal", async () => {
    const path = freshPath();
    rmSync(`${path}-wal`);
    await onSlowDisk(async (disk) => {
      const transport = await openTransport(`sqlite:${path}?synchronous=normal`);
      await transport.publish([taskMessage("celery", "m1")]);
      assert.equal(disk.files.length, 0);
      await transport[Symbol.asyncDispose]();
    });
  });
});
