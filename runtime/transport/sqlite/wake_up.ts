/**
 * How a process hears of what others have committed, without asking all the time: on a task's way, between publish and
 * receive, and between settle and the caller who waits. Each commit writes the `-wal` file, which the operating system
 * reports; whether it is there to be read yet is told by `data_version`. Where files cannot be watched, that is polled.
 * All of it goes by the machine's own time: that is when other processes commit.
 *
 * The file is watched only while somebody is in a hurry, because a busy file is expensive to watch: two reports a page.
 */
import { type FSWatcher, watch } from "node:fs";
import { systemClock, type TimerHandle } from "../../clock.ts";

/** Milliseconds between two looks where files cannot be watched. */
const POLL = 3;
/** Milliseconds between two looks while nobody is in a hurry. */
const LEISURELY_POLL = 20;
/** Milliseconds between two looks for safety where they can. */
const SAFETY_POLL = 1_000;
/** Milliseconds that a watch stays open with nobody waiting: who waits again soon finds it open. */
const LINGER = 100;
/**
 * Milliseconds in which more looks follow a report: the file is written before the commit counts, by the time the disk
 * takes, and a runtime may leave a report out that comes within a millisecond of another (Bun does).
 */
const LAST_LOOK = 1_000;

/** Tells all who wait in this process of commits to one database file. */
export class WakeUp {
  readonly #path: string;
  readonly #version: () => number;
  readonly #listeners = new Set<() => void>();
  /** Those of them that are in a hurry. */
  #hurried = 0;
  #watcher: FSWatcher | undefined;
  #seen = 0;
  #poll: TimerHandle;
  #linger: TimerHandle;
  #look: TimerHandle;
  #isLooking = false;
  #pause = 1;
  #lastLook = 0;

  /** `version` is the connection's `data_version`, which changes with each commit of another connection. */
  constructor(path: string, version: () => number) {
    this.#path = path;
    this.#version = version;
  }

  /**
   * Calls `listener` after each commit until the result is called. Look at the tables once afterwards. Who is in no
   * hurry hears of other processes' commits up to 20 ms later.
   */
  subscribe(listener: () => void, inHurry = true): () => void {
    if (this.#listeners.size === 0) this.#seen = this.#version();
    this.#listeners.add(listener);
    if (inHurry && this.#hurried++ === 0) this.#watch();
    else if (this.#listeners.size === 1) this.#pollNext();
    return () => {
      if (!this.#listeners.delete(listener)) return;
      if (inHurry && --this.#hurried === 0) {
        systemClock.cancel(this.#look);
        this.#isLooking = false;
        this.#linger = systemClock.after(LINGER, () => this.#closeWatcher());
        this.#pollNext();
      }
      if (this.#listeners.size === 0) systemClock.cancel(this.#poll);
    };
  }

  /** Says that this connection has committed, which its own `data_version` does not tell. */
  committed(): void {
    for (const listener of this.#listeners) listener();
  }

  close(): void {
    this.#listeners.clear();
    this.#hurried = 0;
    for (const timer of [this.#poll, this.#linger, this.#look]) systemClock.cancel(timer);
    this.#closeWatcher();
  }

  #watch(): void {
    systemClock.cancel(this.#linger);
    if (this.#watcher === undefined) {
      try {
        this.#watcher = watch(`${this.#path}-wal`, () => this.#written());
        this.#watcher.on("error", () => this.#closeWatcher());
      } catch {
        // Then it is polled.
      }
    }
    this.#pollNext();
    // A report that comes within a moment of the opening may be left out as well.
    this.#lookAgain();
  }

  #closeWatcher(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    if (this.#hurried > 0) this.#pollNext();
  }

  #pollNext(): void {
    systemClock.cancel(this.#poll);
    const pause = this.#hurried === 0 ? LEISURELY_POLL : this.#watcher === undefined ? POLL : SAFETY_POLL;
    this.#poll = systemClock.after(pause, () => {
      this.#changed();
      if (this.#listeners.size > 0) this.#pollNext();
    });
  }

  #written(): void {
    if (this.#hurried === 0) return;
    this.#changed();
    this.#lookAgain();
  }

  #lookAgain(): void {
    this.#pause = 1;
    this.#lastLook = systemClock.monotonic() + LAST_LOOK;
    if (!this.#isLooking) this.#lookSoon();
  }

  #lookSoon(): void {
    this.#isLooking = true;
    this.#look = systemClock.after(this.#pause, () => {
      this.#changed();
      this.#pause = Math.min(this.#pause * 2, 32);
      this.#isLooking = false;
      if (this.#hurried > 0 && systemClock.monotonic() < this.#lastLook) this.#lookSoon();
    });
  }

  #changed(): void {
    const version = this.#version();
    if (version === this.#seen) return;
    this.#seen = version;
    this.committed();
  }
}
