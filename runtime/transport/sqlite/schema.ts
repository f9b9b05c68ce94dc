/**
 * The tables, narrow so that claiming a message neither rewrites its body nor sorts the backlog. The version stands in
 * the file (`user_version`); a file of an earlier version is upgraded when it is opened, in one transaction.
 */
import type { DatabaseSync } from "node:sqlite";
import { BadUrlError } from "../url.ts";

/** "celr": marks a file as ours (`application_id`). */
const APPLICATION_ID = 0x63656c72;

/** What makes version N + 1 of a file of version N. Never changed once released: a change is a step more. */
export const STEPS: readonly string[] = [
  `
  create table queue(name text primary key) strict, without rowid;
  create table binding(
    exchange text not null, routing_key text not null, queue text not null,
    primary key(exchange, routing_key, queue)
  ) strict, without rowid;

  -- A message has one row here from its publication to its acknowledgement, and one row in ready, claimed or delayed.
  create table message(id integer primary key, body any not null) strict;
  create table ready(
    queue text not null, priority integer not null, id integer not null,
    primary key(queue, priority, id)
  ) strict, without rowid;
  create table claimed(
    id integer primary key, owner integer not null, queue text not null, priority integer not null
  ) strict;
  create table delayed(
    due real not null, id integer not null, queue text not null, priority integer not null,
    primary key(due, id)
  ) strict, without rowid;
  -- A claim whose owner has no row here belongs to nobody and is restored.
  create table owner(id integer primary key autoincrement, worker text not null, beat integer not null) strict;

  create table dead(
    id integer primary key autoincrement, queue text not null, reason text not null, at real not null, body any not null
  ) strict;
  create index dead_by_queue on dead(queue, id);
  create table broadcast(
    n integer primary key autoincrement, exchange text not null, at real not null, body text not null
  ) strict;

  -- n counts all that is ever stored: who watches asks for what is beyond the last one seen.
  create table result(
    n integer primary key, id text not null unique, success integer not null, expires real not null, body text not null
  ) strict;
  create index result_by_expiry on result(expires);
  create table counter(name text primary key, value integer not null) strict, without rowid;
  insert into counter values('result', 0);
  `,
  `
  -- Messages between a task and whoever knows its id, in lines; changed counts as result.n does.
  create table line(
    id integer primary key autoincrement, name text not null unique, reader text, size integer not null default 0,
    expires real not null, changed integer not null default 0
  ) strict;
  create index line_by_expiry on line(expires);
  create index line_by_change on line(changed);
  create table line_text(n integer primary key autoincrement, line integer not null, body text not null) strict;
  create index line_text_by_line on line_text(line, n);
  create table line_sender(
    line integer not null, sender text not null, last integer not null,
    primary key(line, sender)
  ) strict, without rowid;
  insert into counter values('line', 0);
  `,
  `
  -- Ids of tasks that are not to run any more.
  create table revoked(n integer primary key autoincrement, id text not null unique, at real not null) strict;
  create index revoked_by_time on revoked(at);
  `,
  `
  -- Who schedules periodic tasks, and how often each has said so; their entries with the last time that each was sent for.
  create table scheduler(name text primary key, beat integer not null) strict, without rowid;
  create table periodic(
    name text primary key, owner text not null, last real not null, timetable text not null
  ) strict, without rowid;
  `,
  `
  -- Chords: how many parts are to end, and how many have. The parts go when the body is sent; their chord stays as a mark.
  create table chord(
    n integer primary key, id text not null unique, size integer not null, ended integer not null default 0,
    sent integer not null default 0, expires real not null
  ) strict;
  create index chord_by_expiry on chord(expires);
  -- A part has one row when it has ended, and one more, without a body, when it was added to a chord that had begun.
  create table chord_part(
    chord integer not null, place real not null, task text not null, body text,
    primary key(chord, place, task)
  ) strict, without rowid;
  -- Groups that were saved to be found by their ids.
  create table saved_group(id text primary key, expires real not null, body text not null) strict, without rowid;
  create index saved_group_by_expiry on saved_group(expires);
  `,
];

/** What a file says about itself. */
interface Kind {
  readonly application: number;
  readonly version: number;
  readonly tables: number;
}

/**
 * Tells whether a file still needs {@linkcode upgrade}.
 * @throws {BadUrlError} When it belongs to another program, or to a later release than this one.
 */
export function needsUpgrade(db: DatabaseSync, path: string, steps: readonly string[] = STEPS): boolean {
  const { application, version, tables } = db.prepare(
    `select (select application_id from pragma_application_id) as application,
            (select user_version from pragma_user_version) as version,
            (select count(*) from sqlite_schema) as tables`,
  ).get() as unknown as Kind;
  if (tables > 0 && application !== APPLICATION_ID) {
    throw new BadUrlError(`${path} is the database of another program: name another file`);
  }
  if (version > steps.length) {
    throw new BadUrlError(
      `${path} was written by a later release (version ${version} of its tables, this one knows ${steps.length}): ` +
        `use that release, or name another file`,
    );
  }
  return version < steps.length;
}

/** Brings a file to the newest version. Inside of a write transaction: of several processes only one does it. */
export function upgrade(db: DatabaseSync, path: string, steps: readonly string[] = STEPS): void {
  if (!needsUpgrade(db, path, steps)) return;
  const { user_version } = db.prepare("pragma user_version").get() as { user_version: number };
  for (const step of steps.slice(user_version)) db.exec(step);
  db.exec(`pragma application_id = ${APPLICATION_ID}; pragma user_version = ${steps.length}`);
}
