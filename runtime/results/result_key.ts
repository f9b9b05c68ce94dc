/** Where a result stands: Celery's key of it, which on Redis is the name of its channel too. */

/** What stands before the id. Celery puts `_` after a prefix of keys, unless it ends like one. */
export function resultKeyPrefix(keyPrefix: string): string {
  const prefix = keyPrefix === "" || /[:_.-]$/.test(keyPrefix) ? keyPrefix : `${keyPrefix}_`;
  return `${prefix}celery-task-meta-`;
}

/** The key of a result in the store of that URL, without a store at hand. */
export function resultKey(url: string, id: string): string {
  const query = url.includes("?") ? url.slice(url.indexOf("?") + 1) : "";
  return resultKeyPrefix(new URLSearchParams(query).get("global_keyprefix") ?? "") + id;
}
