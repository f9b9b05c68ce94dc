/** `celeriac call`: sends one task and prints its result. */
import { Command } from "commander";
import type { CallOptions } from "../client/call.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { argumentValue, listValue, objectValue } from "./argument_value.ts";
import { withExamples } from "./examples.ts";
import { priority, seconds, secondsOrTime, time } from "./flags.ts";
import { withApp } from "./opening.ts";

interface Flags extends CallOptions {
  readonly args?: string;
  readonly kwargs?: string;
  readonly id?: string;
  readonly timeout?: number;
  readonly detach?: true;
}

/** After this long without a result a person is told what may be the matter. */
const HINT_AFTER_MS = 5_000;

/** Makes the command. */
export function callCommand(): Command {
  const command = new Command("call")
    .summary("send a task and print its result")
    .description(
      "Sends a task and prints its result as JSON. Arguments are JSON where they are JSON, else text.",
    )
    .argument("<task>", "the task's name, as math.add")
    .argument("[arguments...]", "positional arguments")
    .option("-a, --args <json>", "positional arguments as a JSON list, before those that stand alone")
    .option("-k, --kwargs <json>", "keyword arguments as a JSON object")
    .option("--queue <name>", "the queue to send to (default: by taskRoutes, else taskDefaultQueue)")
    .option("--exchange <name>", "the exchange to publish to")
    .option("--routing-key <key>", "the routing key (default: the queue)")
    .option("--priority <number>", "0 to 9", priority)
    .option("--serializer <name>", "json or msgpack (default: taskSerializer)")
    .option("--countdown <seconds>", "start it in so many seconds", seconds)
    .option("--eta <time>", "start it then (ISO 8601)", time)
    .option("--expires <seconds or time>", "do not start it later than that", secondsOrTime)
    .option("--id <id>", "the task's id (default: a new one)")
    .option("--timeout <seconds>", "wait for the result no longer than that (default: for ever)", seconds)
    .option("--detach", "do not wait: print the id")
    .action(call);
  return withExamples(command, [
    ["celeriac call math.add 1 2", "prints 3"],
    ["celeriac call text.wrap hello --kwargs '{\"width\": 20}'", "text, and a keyword argument"],
    ["celeriac call math.add 1 2 --countdown 60 --detach", "prints an id; see celeriac result"],
    ["celeriac call tasks.report -b redis://localhost --timeout 5", "exit code 75 when it takes longer"],
  ]);
}

async function call(task: string, positional: string[], _flags: unknown, command: Command): Promise<void> {
  await withApp<Flags>(command, async (app, { flags }) => {
    const { args: list, kwargs, id, timeout, detach, queue, exchange, routingKey, serializer } = flags;
    const args = [...(list === undefined ? [] : listValue(list, "--args")), ...positional.map(argumentValue)];
    const result = app.sendTask(task, args, kwargs === undefined ? {} : objectValue(kwargs, "--kwargs"), {
      taskId: id,
      queue,
      exchange,
      routingKey,
      serializer,
      priority: flags.priority,
      countdown: flags.countdown,
      eta: flags.eta,
      expires: flags.expires,
    });
    await result.published;
    if (detach) return console.log(result.id);
    const hint = setTimeout(() => {
      if (!flags.quiet) {
        console.error(`(${task} waits for a worker; its id is ${result.id}. Ctrl+C leaves it waiting.)`);
      }
    }, HINT_AFTER_MS);
    try {
      console.log(stringifyPythonJson(await result.get({ timeout }) ?? null));
    } finally {
      clearTimeout(hint);
    }
  });
}
