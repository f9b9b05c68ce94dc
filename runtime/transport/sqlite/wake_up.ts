/**
 * How a process hears of what others have committed, without asking all the time: on a task's way, between publish and
 * receive, and between settle and the caller who waits. Each commit writes the `-wal` file, which the operating system
 * reports; whether it is there to be read yet is told by `data_version`. Where files cannot be watched, that is polled.
 * All of it goes by the machine's own time: that is when other processes commit.
 */
import { type FSWatcher, watch } from "node:fs";
import { systemClock, type TimerHandle } from "../../clock.ts";

/** Milliseconds between two looks where files cannot be watched. */
const POLL = 3;
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

  /** Calls `listener` after each commit until the result is called. Look at the tables once afterwards. */
  subscribe(listener: () => void): () => void {
    if (this.#listeners.size === 0) this.#open();
    this.#listeners.add(listener);
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      systemClock.cancel(this.#poll);
      this.#linger = systemClock.after(LINGER, () => this.#closeWatcher());
    };
  }

  /** Says that this connection has committed, which its own `data_version` does not tell. */
  committed(): void {
    for (const listener of this.#listeners) listener();
  }

  close(): void {
    this.#listeners.clear();
    for (const timer of [this.#poll, this.#linger, this.#look]) systemClock.cancel(timer);
    this.#closeWatcher();
  }

  #open(): void {
    systemClock.cancel(this.#linger);
    this.#seen = this.#version();
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
  }

  #pollNext(): void {
    this.#poll = systemClock.after(this.#watcher === undefined ? POLL : SAFETY_POLL, () => {
      this.#changed();
      if (this.#listeners.size > 0) this.#pollNext();
    });
  }

  #written(): void {
    if (this.#listeners.size === 0) return;
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
      if (this.#listeners.size > 0 && systemClock.monotonic() < this.#lastLook) this.#lookSoon();
    });
  }

  #changed(): void {
    const version = this.#version();
    if (version === this.#seen) return;
    this.#seen = version;
    this.committed();
  }
}
