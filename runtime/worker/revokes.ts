/**
 * Which tasks are not to run any more, as one worker knows it: looked at before the step **dispatch**, and only while
 * there is any. What it hears it keeps where `RevokedIds` stand, so that neither its own restart nor a message that
 * comes late makes such a task run; what others have kept there it reads when it starts and now and then.
 */
import { existsSync } from "node:fs";
import type { Clock, TimerHandle } from "../clock.ts";
import type { ResultStore } from "../results/result_store.ts";
import { isRevokedStamp, type RevokedBounds, type RevokedIds } from "../transport/revoked_ids.ts";

/** Milliseconds between two looks for what this worker was not told: it may have been cut off just then. */
const LOOK_EVERY_MS = 30_000;

/** What revokes need of their worker. */
export interface RevokesOptions {
  /** Where broker or result store keep them; without that a file of the worker's own does. */
  readonly kept: RevokedIds | undefined;
  /** The path of that file; null: nothing is kept. */
  readonly file: string | null;
  readonly bounds: RevokedBounds;
  /** Seconds after which a message that was dropped comes no second time. */
  readonly comesAgainWithin: number;
  readonly clock: Clock;
  /** Which of these tasks have ended by themselves, as far as that can be known: nothing is left to revoke. */
  ended(ids: readonly string[]): Promise<readonly string[]>;
  /** They can't be kept (and why), or can again (nothing): said once at each change. */
  trouble(why: string | undefined): void;
}

/** The revoked tasks of one worker. */
export class Revokes {
  readonly #options: RevokesOptions;
  /** Stamps are among them, see `revokedStamp`. */
  readonly #ids = new Set<string>();
  /** How many of them are stamps. */
  #stamps = 0;
  /** Heard and not kept yet. */
  readonly #unkept = new Set<string>();
  /** Whose message was dropped, and when, by the monotonic clock; oldest first. */
  readonly #taken = new Map<string, number>();
  #kept: RevokedIds | undefined;
  #file: (RevokedIds & AsyncDisposable) | undefined;
  #cursor: number | undefined;
  #timer: TimerHandle | undefined;
  #troubled = false;
  #closed = false;

  constructor(options: RevokesOptions) {
    this.#options = options;
    this.#kept = options.kept;
  }

  /** How many there are. While it is 0 no message need be looked at. */
  get size(): number {
    return this.#ids.size;
  }

  /** All ids, oldest first. */
  get ids(): string[] {
    return this.#stamps === 0 ? [...this.#ids] : [...this.#ids].filter((id) => !isRevokedStamp(id));
  }

  /** Whether there are stamps, so that those of messages have to be looked at. */
  get hasStamps(): boolean {
    return this.#stamps > 0;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Reads what was kept, and looks for more from now on. @throws {BrokerUnavailableError} */
  async open(): Promise<void> {
    const { file } = this.#options;
    if (this.#kept !== undefined) await this.#look();
    else if (file !== null && existsSync(file)) await this.#tell(() => this.#look());
    this.#lookLater();
  }

  /** Adds ids: at once for this worker; resolves when they are kept, or it is told that they can't be. */
  async add(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.#insert(id);
      this.#unkept.add(id);
    }
    await this.#tell(() => this.#keep());
  }

  /** A message of that task was dropped: the id is needed for no longer than the same message may come again. */
  took(id: string): void {
    // The latest is last.
    this.#taken.delete(id);
    this.#taken.set(id, this.#options.clock.monotonic());
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== undefined) this.#options.clock.cancel(this.#timer);
    await this.#file?.[Symbol.asyncDispose]();
  }

  #insert(id: string): void {
    // The newest is last.
    this.#delete(id);
    this.#ids.add(id);
    if (isRevokedStamp(id)) this.#stamps++;
    if (this.#ids.size <= this.#options.bounds.most) return;
    const [oldest] = this.#ids;
    this.#delete(oldest);
  }

  #delete(id: string): void {
    if (this.#ids.delete(id) && isRevokedStamp(id)) this.#stamps--;
  }

  async #keep(): Promise<void> {
    if (this.#unkept.size === 0) return;
    const ids = [...this.#unkept];
    const ended = new Set(await this.#options.ended(ids));
    for (const id of ended) {
      this.#delete(id);
      this.#unkept.delete(id);
    }
    const left = ids.filter((id) => !ended.has(id));
    if (left.length === 0) return;
    const kept = await this.#place();
    await kept?.add(left, this.#options.bounds);
    for (const id of left) this.#unkept.delete(id);
  }

  async #look(): Promise<void> {
    const kept = await this.#place();
    if (kept === undefined) return;
    await this.#keep();
    let look = await kept.read(this.#cursor);
    for (const id of look.ids) this.#insert(id);
    if (this.#cursor !== undefined && look.count < this.#ids.size) {
      // Others have taken some out.
      look = await kept.read();
      const known = new Set(look.ids);
      for (const id of this.#ids) if (!known.has(id) && !this.#unkept.has(id)) this.#delete(id);
    }
    this.#cursor = look.cursor;
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, async () => {
      await this.#tell(async () => {
        await this.#forgetTaken();
        if (this.#kept !== undefined) await this.#look();
      });
      this.#lookLater();
    });
  }

  async #forgetTaken(): Promise<void> {
    const before = this.#options.clock.monotonic() - this.#options.comesAgainWithin * 1000;
    const over: string[] = [];
    for (const [id, at] of this.#taken) {
      if (at > before) break;
      over.push(id);
    }
    if (over.length === 0) return;
    await this.#kept?.remove(over);
    for (const id of over) {
      this.#taken.delete(id);
      this.#delete(id);
    }
  }

  /** Where they are kept; the worker's own file is made when it is needed. */
  async #place(): Promise<RevokedIds | undefined> {
    const { file, clock } = this.#options;
    if (this.#kept !== undefined || file === null || this.#closed) return this.#kept;
    const { RevokedIdsFile } = await import("../transport/sqlite/revoked_ids.ts");
    return this.#kept = this.#file ??= new RevokedIdsFile(file, clock);
  }

  async #tell(run: () => Promise<void>): Promise<void> {
    try {
      await run();
      if (this.#troubled) this.#options.trouble(undefined);
      this.#troubled = false;
    } catch (error) {
      if (!this.#troubled && !this.#closed) {
        this.#options.trouble(error instanceof Error ? error.message : String(error));
      }
      this.#troubled = true;
    }
  }
}

/** Which of these tasks have returned or failed: nothing is left to revoke. */
export async function endedByThemselves(
  results: ResultStore,
  ids: readonly string[],
): Promise<readonly string[]> {
  const texts = await results.fetch(ids);
  return ids.filter((_, index) => {
    const text = texts[index];
    return text !== null && /^\{"status": ?"(SUCCESS|FAILURE)"/.test(text);
  });
}
