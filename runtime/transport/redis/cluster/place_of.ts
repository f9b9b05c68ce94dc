/** A part of a cluster that one script can reach, as a place of its own. */
import type { RedisPlace } from "../place.ts";

/** The part that belongs to no queue. */
export const SHARED = "celeriac";

/** Where all keys begin with `{NAME}.`, which is one slot, and so on one node: the one that connections go to. */
export function placeOf(place: RedisPlace, name: string): RedisPlace {
  const { cluster } = place;
  if (cluster === undefined) return place;
  const keyPrefix = `${place.keyPrefix}{${name}}.`;
  return { ...place, keyPrefix, finder: cluster.finderFor(keyPrefix) };
}
