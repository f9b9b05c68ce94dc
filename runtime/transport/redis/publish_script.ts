/**
 * Publish, to exchanges other than the default one: where a message goes is looked up on the server, so that a queue
 * bound a moment ago is not missed. What goes to a queue by name needs no script.
 *
 * Arguments: prefix of keys, then for each message its exchange, routing key, step and text. No answer.
 */
import { buryMessage, listNames, lookUpQueues, publishMessage } from "./fragments.ts";
import { script } from "./script.ts";

export const publishScript = script(
  "publish",
  lookUpQueues,
  listNames,
  buryMessage,
  publishMessage,
  `
for i = 2, #ARGV, 4 do publish(ARGV[1], ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]) end`,
);
