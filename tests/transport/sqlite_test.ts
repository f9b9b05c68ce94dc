/** What only the SQLite transport and store have: many processes on one file, and the file itself. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import assert from "node:assert/strict";
import { systemClock } from "../../runtime/clock.ts";
import { openResultStore } from "../../runtime/results/open.ts";
import { openSqliteResults } from "../../runtime/results/sqlite.ts";
import { openTransport, TRANSPORT_DEFAULTS } from "../../runtime/transport/open.ts";
import { openSqliteTransport } from "../../runtime/transport/sqlite.ts";
import { Database } from "../../runtime/transport/sqlite/database.ts";
import { locate, networkFileSystem } from "../../runtime/transport/sqlite/location.ts";
import { needsUpgrade, STEPS, upgrade } from "../../runtime/transport/sqlite/schema.ts";
import type { Transport, TransportOptions } from "../../runtime/transport/transport.ts";
import { eventually, within } from "../conformance/patience.ts";
import { Heard, taskMessage } from "../conformance/transports.ts";
import { FakeClock } from "../fake_clock.ts";
import { type Child, killChildren, startChild } from "./sqlite/process.ts";

let folder: string;
let files = 0;
before(() => folder = mkdtempSync(join(tmpdir(), "celeriac-")));
after(async () => {
  await killChildren();
  rmSync(folder, { recursive: true });
});

function freshPath(): string {
  return join(folder, `test${++files}.db`);
}

async function open(path: string, options: Partial<TransportOptions> = {}): Promise<Transport> {
  const transport = await openTransport(`sqlite:${path}`, options);
  await transport.connect();
  return transport;
}

function ids(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `m${index + 1}`);
}

/** How many tasks have been done, as the children say. */
function doneBy(children: readonly Child[]): number {
  const numbers = children.flatMap(({ lines }) => lines).map((line) =>
    Number(/^done (\d+)/.exec(line)?.[1] ?? 0)
  );
  return numbers.reduce((sum, number) => sum + number, 0);
}

describe("sqlite: many processes on one file", () => {
  it("share the work of several publishers, each message run once", async () => {
    const path = freshPath();
    const transport = await open(path);
    const workers = [1, 2, 3].map(() => startChild("work", path));
    const publishers = [1, 2].map(() => startChild("publish", path, 500));
    for (const publisher of publishers) {
      assert.equal(await within(60_000, publisher.finish(), "a publisher"), 0);
    }
    await eventually(() => assert.equal(doneBy(workers), 1000), 60_000);
    for (const worker of workers) assert.equal(await within(30_000, worker.finish(), "a worker"), 0);
    assert.deepEqual(await transport.lengths(["celery"]), [
      { queue: "celery", ready: 0, delayed: 0, unacked: 0, dead: 0 },
    ]);
    await transport[Symbol.asyncDispose]();
    assert.equal(doneBy(workers), 1000);
  });

  it("lose nothing when one is killed in the middle, and its messages run elsewhere", async () => {
    const path = freshPath();
    const transport = await open(path);
    const results = await openResultStore(`sqlite:${path}`);
    const all: string[] = [];
    const publish = async () => {
      const more = ids(500).map((id) => `${all.length}-${id}`);
      all.push(...more);
      await transport.publish(more.map((id) => taskMessage("celery", id)));
    };
    await publish();
    const holder = startChild("hold", path, 7);
    await within(30_000, holder.line(/^holding 7/), "the one that holds");
    for (let round = 0; round < 3; round++) {
      const victim = startChild("work", path);
      await within(30_000, victim.line(/^working/), "the victim");
      await publish();
      await within(30_000, victim.line(/^done/), "the victim's first batch");
      await victim.kill();
    }
    await holder.kill();
    const survivor = startChild("work", path);
    await eventually(async () => {
      const stored = await results.fetch(all);
      assert.equal(stored.filter((text) => text !== null).length, all.length);
    }, 60_000);
    await eventually(async () => assert.equal((await transport.lengths(["celery"]))[0].unacked, 0));
    assert.equal(await within(30_000, survivor.finish(), "the survivor's end"), 0);
    const db = new DatabaseSync(path);
    assert.deepEqual({ ...db.prepare("pragma integrity_check").get() }, { integrity_check: "ok" });
    assert.deepEqual({ ...db.prepare("select count(*) as rows from message").get() }, { rows: 0 });
    db.close();
    await transport[Symbol.asyncDispose]();
    await results[Symbol.asyncDispose]();
  });

  it("hear of one another within milliseconds", async () => {
    const path = freshPath();
    const transport = await open(path);
    const results = await openResultStore(`sqlite:${path}`);
    const worker = startChild("work", path);
    await within(30_000, worker.line(/^working/), "the worker");
    const thereTimes: number[] = [];
    const backTimes: number[] = [];
    for (const id of ids(41)) {
      let heard: (text: string) => void;
      const result = new Promise<string>((resolve) => heard = resolve);
      const watch = results.watch((_, text) => heard(text));
      await watch.add([id]);
      await transport.publish([taskMessage("celery", id)]);
      const published = performance.timeOrigin + performance.now();
      const { result: started } = JSON.parse(await within(20_000, result, `the result of ${id}`));
      thereTimes.push(started - published);
      backTimes.push(performance.timeOrigin + performance.now() - started);
      await watch[Symbol.asyncDispose]();
    }
    const median = (times: number[]) => times.sort((one, other) => one - other)[times.length >> 1];
    const [there, back] = [median(thereTimes), median(backTimes)];
    console.log(
      `publish to received: ${there.toFixed(1)} ms, received to result heard: ${
        back.toFixed(1)
      } ms (medians)`,
    );
    // Loosely, for machines that are busy; polling for safety alone would take 500 ms.
    assert.ok(there < 100, `${there} ms from publish to receive`);
    assert.ok(back < 100, `${back} ms from receive to the result`);
    assert.equal(await within(30_000, worker.finish(), "the worker's end"), 0);
    await transport[Symbol.asyncDispose]();
    await results[Symbol.asyncDispose]();
  });

  it("hear what others broadcast, whether they wait for messages or not", async () => {
    const path = freshPath();
    const transport = await open(path);
    const heard: string[] = [];
    let wake = () => {};
    const listening = await transport.listen("news", (text) => {
      heard.push(JSON.parse(text).headers.id);
      wake();
    });
    const receiver = await transport.receive({ queues: ["celery"], worker: "w", events: new Heard() });
    const announced = async () => {
      heard.length = 0;
      const others = startChild("announce", path, 3);
      await within(
        30_000,
        new Promise<void>((resolve) => wake = () => heard.length === 3 && resolve()),
        "the news",
      );
      assert.deepEqual(heard, ["m0", "m1", "m2"]);
      assert.equal(await within(30_000, others.finish(), "the end of the others"), 0);
    };
    await announced();
    const stop = new AbortController();
    const arrival = assert.rejects(receiver.arrival(stop.signal));
    await announced();
    stop.abort();
    await arrival;
    await announced();
    await receiver[Symbol.asyncDispose]();
    await listening[Symbol.asyncDispose]();
    await transport[Symbol.asyncDispose]();
  });

  it("wait for a lock without holding anything else up", async () => {
    const path = freshPath();
    const transport = await open(path);
    const locker = startChild("lock", path);
    await within(30_000, locker.line(/^locked/), "the lock");
    let ticks = 0;
    let longest = 0;
    let last = performance.now();
    const ticking = setInterval(() => {
      ticks++;
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    let isPublished = false;
    const published = transport.publish([taskMessage("celery", "m1")]).then(() => isPublished = true);
    // What only reads is not held up at all.
    assert.equal((await transport.lengths(["celery"]))[0].ready, 0);
    await new Promise<void>((resolve) => setTimeout(resolve, 2_000));
    clearInterval(ticking);
    assert.equal(isPublished, false);
    assert.ok(ticks > 20, `${ticks} ticks`);
    assert.ok(longest < 1_000, `${longest} ms without a tick`);
    assert.equal(await locker.finish(), 0);
    await within(10_000, published, "the publication");
    assert.equal((await transport.lengths(["celery"]))[0].ready, 1);
    await transport[Symbol.asyncDispose]();
  });

  it("create one file at the same time", async () => {
    const path = freshPath();
    const publishers = [1, 2, 3, 4].map(() => startChild("publish", path, 20));
    for (const publisher of publishers) {
      assert.equal(await within(60_000, publisher.finish(), "a publisher"), 0);
    }
    const transport = await open(path);
    assert.equal((await transport.lengths(["celery"]))[0].ready, 80);
    await transport[Symbol.asyncDispose]();
  });

  it("are not kept alive by what they left open", async () => {
    const path = freshPath();
    const child = startChild("leave", path, 400);
    await within(60_000, child.line(/^published/), "the publication");
    assert.equal(await within(20_000, child.exited, "its end"), 0);
  });
});

describe("sqlite: the file", () => {
  async function drain(transport: Transport, clock?: FakeClock): Promise<void> {
    const results = openSqliteResults(transport.name, { clock });
    await results.connect();
    const receiver = await transport.receive({
      queues: ["celery"],
      worker: "w",
      results,
      events: new Heard(),
    });
    let held = await receiver.exchange([], 256);
    while (held.length > 0) {
      held = await receiver.exchange(
        held.map((delivery) => {
          const id = JSON.parse(delivery.text).headers.id;
          return {
            delivery,
            outcome: "ack",
            result: { id, state: "SUCCESS", text: `{"id": "${id}"}`, ttl: 60 },
          };
        }),
        256,
      );
    }
    await receiver[Symbol.asyncDispose]();
    await results[Symbol.asyncDispose]();
  }

  it("does not grow with what has passed through it", async () => {
    const path = freshPath();
    const clock = new FakeClock();
    const transport = await open(`${path}?synchronous=normal`, { clock });
    const sizes: number[] = [];
    for (let round = 0; round < 6; round++) {
      const batch = ids(2_000).map((id) => taskMessage("celery", `${round}-${id}`));
      await transport.publish(batch);
      await drain(transport, clock);
      // The results of this round are over in the next one, and make room for its own.
      await clock.advance(61_000);
      sizes.push(await pagesOf(path));
    }
    assert.ok(sizes[5] <= sizes[1] * 1.2, `pages after each round: ${sizes.join(", ")}`);
    await transport[Symbol.asyncDispose]();
    assert.equal(existsSync(`${path}-wal`), false);
  });

  function pagesOf(path: string): Promise<number> {
    const db = new DatabaseSync(path);
    const { page_count } = db.prepare("pragma page_count").get() as { page_count: number };
    db.close();
    return Promise.resolve(page_count);
  }

  it("gives room back to the disk after a large backlog", async () => {
    const path = freshPath();
    const clock = new FakeClock();
    const transport = await open(`${path}?synchronous=normal`, { clock });
    const body = `["${"x".repeat(20_000)}"]`;
    for (let round = 0; round < 10; round++) {
      await transport.publish(ids(100).map((id) => taskMessage("celery", `${round}-${id}`, { body })));
    }
    const before = await pagesOf(path);
    await drain(transport, clock);
    const receiver = await transport.receive({ queues: ["celery"], worker: "w", events: new Heard() });
    await clock.advance(30_000);
    assert.ok(await pagesOf(path) >= before, "what was just emptied is kept for a while");
    await eventually(async () => {
      await clock.advance(10_000);
      const afterwards = await pagesOf(path);
      assert.ok(afterwards < before / 10, `${before} pages with the backlog, ${afterwards} afterwards`);
    });
    await receiver[Symbol.asyncDispose]();
    await transport[Symbol.asyncDispose]();
  });

  it("keeps its write-ahead log short while it is written without a pause", async () => {
    const path = freshPath();
    const transport = await open(`${path}?synchronous=normal`);
    const body = `["${"x".repeat(30_000)}"]`;
    let longest = 0;
    for (let round = 0; round < 120; round++) {
      await transport.publish(ids(50).map((id) => taskMessage("celery", `${round}-${id}`, { body })));
      longest = Math.max(longest, statSync(`${path}-wal`).size);
    }
    // More than 280 MB were written.
    assert.ok(longest < 150 * 2 ** 20, `${longest} bytes`);
    await transport[Symbol.asyncDispose]();
  });

  it("drops expired results while a worker is idle", async () => {
    const path = freshPath();
    const clock = new FakeClock();
    const transport = await open(path, { clock });
    await transport.publish(ids(300).map((id) => taskMessage("celery", id)));
    await drain(transport, clock);
    const rows = () => {
      const db = new DatabaseSync(path);
      const { count } = db.prepare("select count(*) as count from result").get() as { count: number };
      db.close();
      return count;
    };
    assert.equal(rows(), 300);
    const receiver = await transport.receive({ queues: ["celery"], worker: "w", events: new Heard() });
    await clock.advance(90_000);
    assert.equal(rows(), 0);
    await receiver[Symbol.asyncDispose]();
    await transport[Symbol.asyncDispose]();
  });

  it("is one file under all its names", async () => {
    mkdirSync(join(folder, "real"));
    symlinkSync(join(folder, "real"), join(folder, "alias"));
    const transport = await open(join(folder, "real", "a.db"));
    const results = openSqliteResults(`sqlite:${join(folder, "alias", "a.db")}`);
    await results.connect();
    const receiver = await transport.receive({
      queues: ["celery"],
      worker: "w",
      results,
      events: new Heard(),
    });
    assert.equal(receiver.storesResults, true);
    const other = openSqliteResults(`sqlite:${freshPath()}`);
    const second = await transport.receive({
      queues: ["celery"],
      worker: "v",
      results: other,
      events: new Heard(),
    });
    assert.equal(second.storesResults, false);
    await transport[Symbol.asyncDispose]();
    await results[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });

  it("makes nobody look dead when the clock is set", async () => {
    const path = freshPath();
    const clocks = [new FakeClock(), new FakeClock()];
    const transports = await Promise.all(clocks.map((clock) => open(path, { clock })));
    const heard = new Heard();
    const receivers = await Promise.all(
      transports.map((transport) => transport.receive({ queues: ["celery"], worker: "w", events: heard })),
    );
    await transports[0].publish([taskMessage("celery", "m1")]);
    const held = await receivers[0].exchange([], 1);
    clocks[0].jump(-86_400_000);
    clocks[1].jump(86_400_000);
    for (let turn = 0; turn < 20; turn++) for (const clock of clocks) await clock.advance(1_000);
    assert.deepEqual(await receivers[1].exchange([], 1), []);
    await receivers[0].exchange([{ delivery: held[0], outcome: "ack" }], 0);
    assert.equal(heard.restorations + heard.losses.length, 0);
    for (const transport of transports) await transport[Symbol.asyncDispose]();
  });

  it("is written no further when the disk is full, and goes on when there is room", async () => {
    const path = freshPath();
    const transport = openSqliteTransport(`sqlite:${path}`, TRANSPORT_DEFAULTS);
    await transport.connect();
    const database = await Database.use(locate(`sqlite:${path}`), {
      clock: systemClock,
      random: Math.random,
    });
    const setPages = (pages: number) =>
      database.part(
        class {
          constructor(db: DatabaseSync) {
            db.exec(`pragma max_page_count = ${pages}`);
          }
        },
      );
    await transport.publish([taskMessage("celery", "m1")]);
    setPages(60);
    const batch = ids(1_000).map((id) => taskMessage("celery", id));
    await assert.rejects(transport.publish(batch), (error: Error) => {
      assert.equal(error.name, "BrokerUnavailableError");
      assert.match(error.message, /disk is full/);
      assert.ok(error.message.includes(path));
      assert.ok(error.cause instanceof Error);
      return true;
    });
    assert.equal((await transport.lengths(["celery"]))[0].ready, 1);
    const receiver = await transport.receive({ queues: ["celery"], worker: "w", events: new Heard() });
    assert.equal((await receiver.exchange([], 10)).length, 1);
    setPages(1_000_000);
    await transport.publish(batch);
    assert.equal((await transport.lengths(["celery"]))[0].ready, 1_000);
    await transport[Symbol.asyncDispose]();
    await database.release();
  });

  it("that may not grow any more says so, with its path", async () => {
    const path = freshPath();
    // The blocks of `ulimit -f` are 512 bytes or more: the file may have 400 KB or a little more.
    const child = startChild("publish", path, 5_000, "trap '' XFSZ; ulimit -f 800");
    assert.equal(await within(60_000, child.finish(), "the publisher's end"), 1);
    const line = await child.line(/^failed/);
    assert.match(line, /^failed BrokerUnavailableError: /);
    assert.ok(line.includes(path), line);
  });
});

describe("sqlite: files that cannot be used", () => {
  const refused = (path: string, pattern: RegExp) =>
    assert.rejects(open(path), (error: Error) => {
      assert.equal(error.name, "BadUrlError");
      assert.match(error.message, pattern);
      return true;
    });

  it("are refused with what is wrong and what to do", async () => {
    await refused(join(folder, "missing", "a.db"), /the folder .*missing cannot be reached: make it first/);
    await refused(folder, /cannot be opened: check that it is a file/);
    const text = join(folder, "text.db");
    writeFileSync(text, "this is no database ".repeat(500));
    await refused(text, /text\.db is not an SQLite database: name another file/);
    await refused("", /write sqlite:PATH/);
    await refused("//relative/path", /write sqlite:PATH/);
    await refused(":memory:", /write sqlite:PATH/);
    await refused(`${freshPath()}?mode=ro`, /unknown option "mode"/);
    await refused(`${freshPath()}?synchronous=off`, /synchronous=full or synchronous=normal/);
  });

  it("of other programs are refused and left as they are", async () => {
    const path = freshPath();
    const db = new DatabaseSync(path);
    db.exec("create table theirs(id integer primary key)");
    await refused(path, /is the database of another program/);
    assert.deepEqual({ ...db.prepare("pragma journal_mode").get() }, { journal_mode: "delete" });
    db.close();
  });

  it("of a later release are refused and left as they are", async () => {
    const path = freshPath();
    await (await open(path))[Symbol.asyncDispose]();
    const db = new DatabaseSync(path);
    db.exec("pragma user_version = 99");
    db.close();
    await refused(path, /was written by a later release \(version 99 of its tables, this one knows \d+\)/);
  });

  it("can be used as soon as what was wrong is right", async () => {
    const path = join(folder, "later", "a.db");
    const transport = () => openSqliteTransport(`sqlite:${path}`, TRANSPORT_DEFAULTS);
    assert.throws(transport, /make it first/);
    mkdirSync(join(folder, "later"));
    writeFileSync(path, "this is no database ".repeat(500));
    const opened = transport();
    await assert.rejects(opened.connect(), /not an SQLite database/);
    rmSync(path);
    await opened.connect();
    await opened.publish([taskMessage("celery", "m1")]);
    await opened[Symbol.asyncDispose]();
  });

  it("are told by the type of their file system", () => {
    assert.equal(networkFileSystem(0x6969), "NFS");
    assert.equal(networkFileSystem(0xff534d42), "CIFS");
    assert.equal(networkFileSystem(0xff534d42 | 0), "CIFS");
    assert.equal(networkFileSystem(0xef53), undefined);
  });
});

describe("sqlite: versions of the tables", () => {
  it("a file of an earlier release is brought to the newest version, with what is in it", () => {
    const path = freshPath();
    const db = new DatabaseSync(path);
    assert.equal(needsUpgrade(db, path), true);
    db.exec("begin immediate");
    upgrade(db, path);
    db.exec("commit; insert into queue values('kept')");
    assert.equal(needsUpgrade(db, path), false);
    const later = [
      ...STEPS,
      "alter table owner add column host text; create table added(id integer primary key)",
    ];
    assert.equal(needsUpgrade(db, path, later), true);
    db.exec("begin immediate");
    upgrade(db, path, later);
    upgrade(db, path, later);
    db.exec("commit");
    assert.equal(needsUpgrade(db, path, later), false);
    assert.deepEqual({ ...db.prepare("pragma user_version").get() }, { user_version: later.length });
    assert.deepEqual({ ...db.prepare("select name from queue").get() }, { name: "kept" });
    db.exec("insert into added values(1)");
    assert.throws(() => needsUpgrade(db, path), /later release/);
    db.close();
  });

  it("an upgrade that fails leaves the file as it was", () => {
    const path = freshPath();
    const db = new DatabaseSync(path);
    db.exec("begin immediate");
    upgrade(db, path);
    db.exec("commit; begin immediate");
    assert.throws(() =>
      upgrade(db, path, [...STEPS, "create table half(id integer); create table queue(x)"])
    );
    db.exec("rollback");
    assert.equal(needsUpgrade(db, path), false);
    assert.equal(db.prepare("select count(*) as n from sqlite_schema where name = 'half'").get()?.n, 0);
    db.close();
  });
});
