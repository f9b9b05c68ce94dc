/**
 * Groups that are saved under their ids (Celery: `GroupResult.save` and `restore`), so that another process can wait for their
 * results: after **publish**.
 */
import { parsePythonJson } from "../protocol/python_json.ts";
import type { GroupStore } from "../results/chord_store.ts";
import type { ResultStore } from "../results/result_store.ts";
import { WorkflowError } from "../workflow/plan.ts";
import type { ResultSource } from "./async_result.ts";
import { GroupResult } from "./group_result.ts";
import { resultsOf } from "./result_tuple.ts";

/** What is saved of groups: texts by their ids. */
export interface GroupTexts {
  /** Saves a text. */
  save(id: string, text: string): Promise<void>;
  /** What was saved, or null. */
  restore(id: string): Promise<string | null>;
  /** Drops what was saved. */
  delete(id: string): Promise<void>;
}

/** In a result store, for `ttl` seconds; 0 keeps them for ever. */
export function storedGroupTexts(open: () => Promise<ResultStore>, ttl: number): GroupTexts {
  const groups = async (): Promise<GroupStore> => {
    const store = await open();
    if (store.groups !== undefined) return store.groups;
    throw new WorkflowError(
      `the result store ${store.name} keeps no groups: a resultBackend on Redis or SQLite does`,
    );
  };
  return {
    save: async (id, text) => await (await groups()).save(id, text, ttl),
    restore: async (id) => await (await groups()).restore(id),
    delete: async (id) => await (await groups()).delete(id),
  };
}

/** In this process, for an app that runs its tasks itself. */
export function keptGroupTexts(): GroupTexts {
  const texts = new Map<string, string>();
  return {
    save: (id, text) => Promise.resolve(void texts.set(id, text)),
    restore: (id) => Promise.resolve(texts.get(id) ?? null),
    delete: (id) => Promise.resolve(void texts.delete(id)),
  };
}

/** The saved groups of an app: {@linkcode App.GroupResult}. */
export class SavedGroups {
  readonly #source: ResultSource;

  /** Made by {@linkcode App}. */
  constructor(source: ResultSource) {
    this.#source = source;
  }

  /**
   * A group that was saved by {@linkcode GroupResult.save}, or by Celery; null where there is none. (In an object, because
   * whoever awaits a group that stands alone gets its values.)
   *
   * @example
   * ```ts
   * import { App } from "../../mod.ts";
   *
   * const app = new App({ broker: "redis://localhost" });
   * const saved = await app.GroupResult.restore<number[]>("01990a5d-ac96-774b-bcce-b302099a8057");
   * if (saved !== null) console.log(await saved.group.completedCount(), await saved.group);
   * await app.disconnect();
   * ```
   *
   * @throws {WorkflowError} When the result store keeps no groups.
   * @throws {BrokerUnavailableError} When the store could not be reached.
   */
  async restore<Results extends readonly unknown[] = unknown[]>(
    id: string,
  ): Promise<{ readonly group: GroupResult<Results> } | null> {
    const text = await this.#source.groups.restore(id);
    if (text === null) return null;
    const { result } = parsePythonJson(text) as { result?: unknown };
    const [group] = resultsOf(result, this.#source);
    return group instanceof GroupResult ? { group: group as unknown as GroupResult<Results> } : null;
  }
}
