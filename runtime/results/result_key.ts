/** Where a result stands: Celery's key of it, which on Redis is the name of its channel too. */

/** What stands before the id. Celery puts `_` after a prefix of keys, unless it ends like one. */
export function resultKeyPrefix(keyPrefix: string): string {
  return `${keysPrefix(keyPrefix)}celery-task-meta-`;
}

/** The same for groups and chords. */
export function groupKeyPrefix(keyPrefix: string): string {
  return `${keysPrefix(keyPrefix)}celery-taskset-meta-`;
}

function keysPrefix(keyPrefix: string): string {
  return keyPrefix === "" || /[:_.-]$/.test(keyPrefix) ? keyPrefix : `${keyPrefix}_`;
}

/** The key of a result in the store of that URL, without a store at hand. */
export function resultKey(url: string, id: string): string {
  const query = url.includes("?") ? url.slice(url.indexOf("?") + 1) : "";
  return resultKeyPrefix(new URLSearchParams(query).get("global_keyprefix") ?? "") + id;
}
