/** Chords and saved groups on Redis or a Redis Cluster: between **run** and **settle**. What each step does its script says. */
import type { Script } from "../../transport/redis/script.ts";
import type {
  ChordCount,
  ChordExtension,
  ChordPart,
  ChordStart,
  ChordStore,
  GroupStore,
} from "../chord_store.ts";
import { beginScript, countScript, endScript, extendScript } from "./chord_scripts.ts";

/** Parts that one script counts, and characters of them, at most. */
const BATCH = { parts: 256, length: 4 * 1024 * 1024 };
/** In the order of the numbers that the script answers. */
const COUNTS: readonly ChordCount[] = ["waiting", "complete", "sent", "unknown"];

type Argument = string | number;

/** The Redis that they stand on. */
export interface ChordPlace {
  /** The key of a group. */
  keyOf(groupId: string): string;
  /** One script may touch any keys; on a cluster, those of one group alone. */
  readonly together: boolean;
  /** Runs a script that touches keys which begin with `key`, among others where they stand together. */
  run(script: Script, key: string, args: Argument[]): Promise<unknown>;
  send(key: string, command: string, args: Argument[]): Promise<unknown>;
}

export class RedisChords implements ChordStore, GroupStore {
  readonly #place: ChordPlace;

  constructor(place: ChordPlace) {
    this.#place = place;
  }

  async begin(chords: readonly ChordStart[]): Promise<void> {
    const lists = chords.map(({ groupId, size, ttl, group }) => ({
      key: this.#place.keyOf(groupId),
      args: [Math.ceil(ttl), size, group ?? ""],
    }));
    await Promise.all(this.#calls(lists).map(({ key, args }) => this.#place.run(beginScript, key, args)));
  }

  async count(parts: readonly ChordPart[]): Promise<ChordCount[]> {
    const counts: ChordCount[] = Array(parts.length).fill("unknown");
    const calls = this.#countCalls(parts);
    await Promise.all(calls.map(async ({ key, args, places }) => {
      const answer = await this.#place.run(countScript, key, args) as number[];
      answer.forEach((count, i) => counts[places[i]] = COUNTS[count]);
    }));
    return counts;
  }

  async parts(groupId: string): Promise<string[]> {
    const key = `${this.#place.keyOf(groupId)}.j`;
    return await this.#place.send(key, "zrange", [key, 0, -1]) as string[];
  }

  async end(chords: readonly { readonly groupId: string; readonly ttl: number }[]): Promise<void> {
    const lists = chords.map(({ groupId, ttl }) => ({
      key: this.#place.keyOf(groupId),
      args: [Math.ceil(ttl)],
    }));
    await Promise.all(this.#calls(lists).map(({ key, args }) => this.#place.run(endScript, key, args)));
  }

  async extend(chords: readonly ChordExtension[]): Promise<void> {
    for (const { groupId, taskIds, ttl } of chords) {
      const key = this.#place.keyOf(groupId);
      for (let at = 0; at < taskIds.length; at += BATCH.parts) {
        const ids = taskIds.slice(at, at + BATCH.parts);
        await this.#place.run(extendScript, key, [key, Math.ceil(ttl), ...ids]);
      }
    }
  }

  async save(groupId: string, text: string, ttl: number): Promise<void> {
    const key = this.#place.keyOf(groupId);
    if (ttl === 0) await this.#place.send(key, "set", [key, text]);
    else await this.#place.send(key, "setex", [key, Math.ceil(ttl), text]);
  }

  async restore(groupId: string): Promise<string | null> {
    const key = this.#place.keyOf(groupId);
    return await this.#place.send(key, "get", [key]) as string | null;
  }

  async delete(groupId: string): Promise<void> {
    const key = this.#place.keyOf(groupId);
    await this.#place.send(key, "unlink", [key]);
  }

  /** One call for all where they stand together, else one for each. */
  #calls(lists: readonly { key: string; args: Argument[] }[]): { key: string; args: Argument[] }[] {
    const calls: { key: string; args: Argument[] }[] = [];
    for (const { key, args } of lists) {
      const last = calls.at(-1);
      if (this.#place.together && last !== undefined && last.args.length < BATCH.parts * 4) {
        last.args.push(key, ...args);
      } else calls.push({ key, args: [key, ...args] });
    }
    return calls;
  }

  /** The same for parts: those of one chord that follow one another stand together. */
  #countCalls(parts: readonly ChordPart[]): { key: string; args: Argument[]; places: number[] }[] {
    const calls: { key: string; args: Argument[]; places: number[]; length: number }[] = [];
    let call: typeof calls[number] | undefined;
    let group = "", header = 0;
    parts.forEach(({ groupId, taskId, index, text, ttl }, place) => {
      const isFull = call !== undefined &&
        (call.places.length === BATCH.parts || call.length + text.length > BATCH.length);
      const isOther = groupId !== group;
      if (call === undefined || isFull || isOther && !this.#place.together) {
        calls.push(call = { key: this.#place.keyOf(groupId), args: [], places: [], length: 0 });
      }
      if (call.args.length === 0 || isOther) {
        header = call.args.length;
        call.args.push(this.#place.keyOf(groupId), Math.ceil(ttl), 0);
      }
      group = groupId;
      call.args[header + 2] = call.args[header + 2] as number + 1;
      call.args.push(taskId, index ?? "+inf", text);
      call.places.push(place);
      call.length += text.length;
    });
    return calls;
  }
}
