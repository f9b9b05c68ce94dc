/** `celeriac call`: sends one task and prints its result. */
import { Command } from "commander";
import process from "node:process";
import type { AsyncResult } from "../client/async_result.ts";
import { ResultTimeoutError } from "../client/get_options.ts";
import type { CallOptions } from "../client/call.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { argumentValue, listValue, objectValue } from "./argument_value.ts";
import { withExamples } from "./examples.ts";
import { priority, seconds, secondsOrTime, time } from "./flags.ts";
import { withApp } from "./opening.ts";
import { ProgressBar } from "./progress_bar.ts";

interface Flags extends CallOptions {
  readonly args?: string;
  readonly kwargs?: string;
  readonly id?: string;
  readonly timeout?: number;
  readonly detach?: true;
  readonly watch?: true;
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
    .option("--watch", "draw how far it has come, and print what it sends, until its result")
    .action(call);
  return withExamples(command, [
    ["celeriac call math.add 1 2", "prints 3"],
    ["celeriac call text.wrap hello --kwargs '{\"width\": 20}'", "text, and a keyword argument"],
    ["celeriac call math.add 1 2 --countdown 60 --detach", "prints an id; see celeriac result"],
    ["celeriac call tasks.long 10 --watch", "a progress bar, the task's messages, its result"],
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
      const value = flags.watch ? watch(result, timeout, flags.quiet) : result.get({ timeout });
      console.log(stringifyPythonJson(await value ?? null));
    } finally {
      clearTimeout(hint);
    }
  });
}

/** Shows what the task says until it has ended. */
async function watch(result: AsyncResult, timeout: number | undefined, quiet?: true): Promise<unknown> {
  const bar = new ProgressBar(process.stderr);
  const end = quiet ? undefined : result.onProgress((progress) => bar.show(progress));
  const late = new AbortController();
  const value = result.get({ timeout });
  value.catch((error) => error instanceof ResultTimeoutError && late.abort(error));
  try {
    for await (const message of result.messages({ signal: late.signal })) {
      bar.clear();
      console.log(stringifyPythonJson(message));
      bar.draw();
    }
    return await value;
  } finally {
    end?.();
    bar.clear();
  }
}
