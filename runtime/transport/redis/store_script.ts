/**
 * Settle, where only the result is Redis's to store: the queues are elsewhere, or the state is not final.
 *
 * Why a SUCCESS is never overwritten: what stands at a key is read and replaced in one script.
 *
 * Arguments: key, ttl and text of each. No answer.
 */
import { storeResult } from "./fragments.ts";
import { script } from "./script.ts";

export const storeScript = script(
  "store results",
  storeResult,
  "for i = 1, #ARGV, 3 do store(ARGV[i], ARGV[i + 2], ARGV[i + 1]) end",
);
