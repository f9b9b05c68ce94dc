/**
 * Reload of changed task modules, for development (`--reload`): watches the files that they are made of and asks for
 * new isolates when the content of one has changed. Beside the way of a task.
 */
import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";
import process from "node:process";
import { relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Clock, sleep, type TimerHandle } from "../clock.ts";
import { findModules, type ModuleFile } from "../isolate/load_modules.ts";
import { type Digests, EMPTY, foldersOf, Sources } from "./sources.ts";

/** Editors save in several steps; a look at the files waits until none came for this long. */
const QUIET_MS = 30;
/** But no longer than this. */
const LONGEST_QUIET_MS = 150;
/** A file that has just become empty or has gone is most often about to be written: it gets this long. */
const HALF_WRITTEN_MS = 100;
/** Not every file system tells of changes, so a look is taken without being told, too. */
const LOOK_EVERY_MS = 1_000;
/** After a look that took long there is a rest of so many times as long, up to a bound. */
const REST = 20;
const LONGEST_REST_MS = 5_000;
/** Deno lets go of a watched path a moment after its watcher was closed, and a watcher made before that hears nothing. */
const LET_GO_MS = 50;

/** What a reloader is made with. */
export interface ReloaderOptions {
  /** Files, folders and globs of task modules. */
  readonly patterns: readonly string[];
  /** Files that are watched beside them. Default none. */
  readonly files?: readonly string[];
  readonly prefix?: string;
  readonly clock: Clock;
  /** Loads the modules; `changed` names the files that have changed since the last success. */
  load(modules: readonly ModuleFile[], changed: readonly string[], signal: AbortSignal): Promise<void>;
  /** The modules can't be loaded; what was loaded before goes on. */
  failed(error: unknown): void;
}

/** Watches modules from {@linkcode Reloader.start} until it is closed. */
export class Reloader {
  readonly #options: ReloaderOptions;
  /** The process may change its folder later; the modules stay where they were. */
  readonly #cwd: string = process.cwd();
  readonly #sources = new Sources();
  readonly #watched = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>();
  readonly #changed = new Set<string>();
  #modules: readonly ModuleFile[] = [];
  #seen: Digests = new Map();
  #wait: TimerHandle | undefined;
  /** By the monotonic clock: when the look that is waited for is taken at the latest. */
  #latest = Infinity;
  #looking = false;
  #lookAgain = false;
  #loading = new AbortController();
  #closed = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /** Finds the modules and begins to watch them. @throws {TaskModuleError} When a pattern names nothing. */
  async start(): Promise<ModuleFile[]> {
    const modules = this.#modules = await this.#find();
    this.#seen = await this.#sources.read(modules);
    await this.#watch();
    this.#lookIn(LOOK_EVERY_MS);
    return [...modules];
  }

  /** Watches no more and gives up what is being loaded. */
  close(): void {
    this.#closed = true;
    if (this.#wait !== undefined) this.#options.clock.cancel(this.#wait);
    this.#loading.abort(new Error("the worker ends"));
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }

  async #find(): Promise<ModuleFile[]> {
    const { patterns, files = [], prefix } = this.#options;
    const modules = await findModules(patterns, { prefix, cwd: this.#cwd });
    const others = files.map((path) => ({
      url: pathToFileURL(resolve(this.#cwd, path)).href,
      path,
      name: path,
    }));
    return [...modules, ...others];
  }

  /** Something has happened: a look is taken once it is quiet. */
  #stir(): void {
    if (this.#closed) return;
    const now = this.#options.clock.monotonic();
    this.#latest = Math.min(this.#latest, now + LONGEST_QUIET_MS);
    this.#lookIn(Math.min(QUIET_MS, this.#latest - now));
  }

  #lookIn(ms: number): void {
    if (this.#wait !== undefined) this.#options.clock.cancel(this.#wait);
    this.#wait = this.#options.clock.after(Math.max(0, ms), () => {
      this.#wait = undefined;
      this.#latest = Infinity;
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    if (this.#looking) {
      this.#lookAgain = true;
      return;
    }
    this.#looking = true;
    const begun = this.#options.clock.monotonic();
    do {
      this.#lookAgain = false;
      await this.#compare();
      // In a folder that is new more may have appeared before it was watched.
      if (await this.#watch()) this.#lookAgain = true;
    } while (this.#lookAgain && !this.#closed);
    this.#looking = false;
    const took = this.#options.clock.monotonic() - begun;
    if (!this.#closed && this.#wait === undefined) {
      this.#lookIn(Math.min(Math.max(LOOK_EVERY_MS, REST * took), LONGEST_REST_MS));
    }
  }

  /** Reads what there is now, and loads it if it is not what was seen before. */
  async #compare(): Promise<void> {
    let now = await this.#read();
    if (isHalfWritten(this.#seen, now.digests)) {
      await sleep(this.#options.clock, HALF_WRITTEN_MS);
      now = await this.#read();
    }
    const changed = differences(this.#seen, now.digests);
    if (this.#closed || changed.length === 0) return;
    this.#modules = now.modules;
    this.#seen = now.digests;
    for (const file of changed) this.#changed.add(relative(this.#cwd, file));
    this.#loading.abort(new Error("newer modules are there"));
    this.#loading = new AbortController();
    if (now.missing === undefined) void this.#load(this.#loading.signal);
    else this.#options.failed(now.missing);
  }

  async #read(): Promise<{ modules: readonly ModuleFile[]; digests: Digests; missing?: unknown }> {
    try {
      const modules = await this.#find();
      return { modules, digests: await this.#sources.read(modules) };
    } catch (missing) {
      return { modules: this.#modules, digests: await this.#sources.read(this.#modules), missing };
    }
  }

  async #load(signal: AbortSignal): Promise<void> {
    const changed = [...this.#changed];
    try {
      await this.#options.load(this.#modules, changed, signal);
      for (const file of changed) this.#changed.delete(file);
    } catch (error) {
      if (!signal.aborted) this.#options.failed(error);
    }
  }

  /** Watches the folders that matter now; true when one of them is new. A folder made anew is another one. */
  async #watch(): Promise<boolean> {
    const folders = [...await foldersOf(this.#options.patterns, this.#cwd, this.#seen)];
    const found = await Promise.all(folders.map((folder) => stat(folder).catch(() => undefined)));
    if (this.#closed) return false;
    // The number alone would not do: a folder made anew often has that of the one which has gone, whose watcher is dead.
    const identities = new Map(
      folders.map((folder, i) => [folder, found[i] && `${found[i].ino} ${found[i].birthtimeMs}`]),
    );
    let replaces = false;
    for (const [folder, { watcher, identity }] of this.#watched) {
      if (identities.get(folder) === identity) continue;
      watcher.close();
      this.#watched.delete(folder);
      replaces ||= identities.get(folder) !== undefined;
    }
    if (replaces) await sleep(this.#options.clock, LET_GO_MS);
    if (this.#closed) return false;
    let isNew = false;
    for (const [folder, identity] of identities) {
      if (identity === undefined || this.#watched.has(folder)) continue;
      try {
        const watcher = watch(folder, () => this.#stir());
        watcher.on("error", () => watcher.close());
        this.#watched.set(folder, { watcher, identity });
        isNew = true;
      } catch {
        // Not to be watched (too many watches, a folder that has gone): the looks in between do without.
      }
    }
    return isNew;
  }
}

/** Files whose content is not what it was; if there are none, those that one side alone has. */
function differences(before: Digests, now: Digests): string[] {
  const changed: string[] = [], onOneSide: string[] = [];
  for (const [file, digest] of now) {
    const was = before.get(file);
    if (was === undefined && digest !== null) onOneSide.push(file);
    else if (was !== undefined && was !== digest) changed.push(file);
  }
  for (const [file, digest] of before) if (digest !== null && !now.has(file)) onOneSide.push(file);
  return changed.length > 0 ? changed : onOneSide;
}

/** Whether a file that was there is empty now, or has gone. */
function isHalfWritten(before: Digests, now: Digests): boolean {
  for (const [file, digest] of before) {
    if (digest === null || digest === EMPTY) continue;
    const is = now.get(file);
    if (is === null || is === EMPTY) return true;
  }
  return false;
}
