/** `celeriac control` and `celeriac inspect`: orders and questions to running workers, Python's too. */
import { hostname } from "node:os";
import { Argument, Command } from "commander";
import type { App } from "../client/app.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { list, seconds } from "./flags.ts";
import { nodeName } from "./node_name.ts";
import { soon, withApp } from "./opening.ts";
import { printJson } from "./table.ts";

interface Flags {
  readonly destination?: readonly string[];
  readonly pattern?: string;
  readonly timeout: number;
  readonly terminate?: true;
  readonly signal?: string;
  readonly json?: true;
}

/** A method of a command line: how its words become the arguments of Celery's command. */
interface Method {
  readonly words: string;
  readonly about: string;
  /** @throws {CommandError} */
  arguments(words: readonly string[], flags: Flags): Record<string, unknown>;
}

/** Ids as words. */
function someIds(words: readonly string[], method: string): readonly string[] {
  if (words.length > 0) return words;
  throw new CommandError(`${method}: say which tasks, by their ids`, ExitCode.USAGE);
}

/** Stamps as words. What may be a number may have been stamped as one. */
function stampsOf(words: readonly string[]): Readonly<Record<string, readonly unknown[]>> {
  const stamps: Record<string, unknown[]> = {};
  for (const word of words) {
    const [name, value] = word.split(/=(.*)/s, 2);
    if (name === "" || value === undefined) {
      throw new CommandError(`revoke_by_stamped_headers: ${word} is no NAME=VALUE`, ExitCode.USAGE);
    }
    (stamps[name] ??= []).push(value, .../^-?\d+$/.test(value) ? [Number(value)] : []);
  }
  if (words.length > 0) return stamps;
  throw new CommandError("revoke_by_stamped_headers: say which stamps, as NAME=VALUE", ExitCode.USAGE);
}

/** Words that have a meaning by their place. */
function taken(words: readonly string[], method: string, least: number, most: number): readonly string[] {
  if (words.length >= least && words.length <= most) return words;
  const { words: wanted } = { ...orders, ...questions }[method];
  throw new CommandError(`${method} takes ${wanted || "no arguments"}`, ExitCode.USAGE);
}

function secondsOrNone(word: string | undefined, method: string): number | null {
  if (word === undefined || word === "none") return null;
  const value = Number(word);
  if (word.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  throw new CommandError(`${method}: ${word} is no number of seconds above 0, nor "none"`, ExitCode.USAGE);
}

const orders: Readonly<Record<string, Method>> = {
  revoke: {
    words: "ID...",
    about: "let tasks not run any more; with --terminate end those that run",
    arguments: (words, { terminate = false, signal = "SIGTERM" }) => ({
      task_id: someIds(words, "revoke"),
      terminate,
      signal,
    }),
  },
  revoke_by_stamped_headers: {
    words: "NAME=VALUE...",
    about: "the same for all tasks that have one of these stamps",
    arguments: (words, { terminate = false, signal = "SIGTERM" }) => ({
      headers: stampsOf(words),
      terminate,
      signal,
    }),
  },
  time_limit: {
    words: "TASK SOFT [HARD]",
    about: "seconds that a task may take from its next run on; none: any time",
    arguments: (words) => {
      const [task, soft, hard] = taken(words, "time_limit", 2, 3);
      return {
        task_name: task,
        soft: secondsOrNone(soft, "time_limit"),
        hard: secondsOrNone(hard, "time_limit"),
      };
    },
  },
  shutdown: {
    words: "",
    about: "finish what runs and end; all workers, unless -d says which",
    arguments: (words) => {
      taken(words, "shutdown", 0, 0);
      return {};
    },
  },
};

/** A question without arguments. */
function plain(method: string, about: string): Method {
  return {
    words: "",
    about,
    arguments: (words) => {
      taken(words, method, 0, 0);
      return {};
    },
  };
}

const questions: Readonly<Record<string, Method>> = {
  ping: plain("ping", "which workers are alive"),
  query_task: {
    words: "ID...",
    about: "who has these tasks in hand, and how far they are",
    arguments: (words) => ({ ids: someIds(words, "query_task") }),
  },
  active: plain("active", "the tasks that run"),
  reserved: plain("reserved", "the tasks that are fetched and have not started"),
  scheduled: plain("scheduled", "the tasks that are fetched and wait for their time"),
  revoked: plain("revoked", "the ids of tasks that are not to run any more"),
  registered: {
    words: "[ITEM...]",
    about: "the tasks that workers know, with some of their options, such as time_limit",
    arguments: (words) => ({ taskinfoitems: words }),
  },
  stats: plain("stats", "process, isolates, memory, and how many tasks ended how"),
  active_queues: plain("active_queues", "the queues that workers serve"),
  clock: plain("clock", "the logical clocks"),
};

/** Makes `control`: orders, and the questions that go with them. */
export function controlCommand(): Command {
  const { ping, query_task } = questions;
  const methods = { ...orders, ping, query_task };
  const command = talking("control", "tell running workers what to do", methods)
    .description(
      `Sends an order to running workers, Python's too, and prints what each answers.\n\n${
        overview(methods)
      }`,
    )
    .option("--terminate", "with a revoke: end the tasks that run, too")
    .option(
      "-s, --signal <name>",
      "with --terminate: for the processes of Python's tasks (default: SIGTERM)",
    );
  return withExamples(command, [
    ["celeriac control revoke 0199-... --terminate", "a task is not to run, or no further"],
    ["celeriac control time_limit math.fib 5 10", "soft 5 s, hard 10 s from the next run on"],
    ["celeriac control shutdown -d celery@%h", "ends the worker of this host when its tasks are done"],
  ]);
}

/** Makes `inspect`: questions. */
export function inspectCommand(): Command {
  const command = talking("inspect", "ask running workers what they do", questions)
    .description(
      `Asks running workers, Python's too, and prints what each answers.\n\n${overview(questions)}`,
    );
  return withExamples(command, [
    ["celeriac inspect active", "what runs where"],
    ["celeriac inspect registered time_limit --json", "all tasks with their limits, as JSON"],
  ]);
}

function talking(name: string, summary: string, methods: Readonly<Record<string, Method>>): Command {
  return new Command(name)
    .summary(summary)
    .addArgument(new Argument("<method>", "see above").choices(Object.keys(methods)))
    .argument("[arguments...]", "what the method takes")
    .option("-d, --destination <nodes>", "these workers only, %h being this host", list)
    .option("--pattern <glob>", "workers whose names match, as celery@web-*")
    .option("-t, --timeout <seconds>", "how long to wait for answers", seconds, 1)
    .option("-j, --json", "as JSON")
    .action((method: string, words: string[], _flags: unknown, command: Command) =>
      withApp<Flags>(
        command,
        (app, { flags }) => talk(app, method, methods[method].arguments(words, flags), flags),
        soon,
      )
    );
}

function overview(methods: Readonly<Record<string, Method>>): string {
  const lines = Object.entries(methods).map(([name, { words, about }]) =>
    [`${name} ${words}`.trimEnd(), about] as const
  );
  const width = Math.max(...lines.map(([usage]) => usage.length));
  return `Methods:\n${lines.map(([usage, about]) => `  ${usage.padEnd(width)}  ${about}`).join("\n")}`;
}

async function talk(app: App, method: string, given: Record<string, unknown>, flags: Flags): Promise<void> {
  const { timeout, pattern } = flags;
  const destination = flags.destination?.map((format) => nodeName(format, hostname(), "-d"));
  const options = { destination, pattern, timeout, reply: true };
  const revoking = { ...options, terminate: given.terminate as boolean, signalName: given.signal as string };
  const replies = method === "revoke"
    ? await app.control.revoke(given.task_id as string[], revoking)
    : method === "revoke_by_stamped_headers"
    ? await app.control.revokeByStampedHeaders(given.headers as Record<string, unknown>, revoking)
    : await app.control.broadcast(method, given, options);
  const nodes = Object.keys(replies).sort();
  if (flags.json) printJson(Object.fromEntries(nodes.map((node) => [node, replies[node]])));
  else for (const node of nodes) console.log(answerText(node, replies[node]));
  const silent = destination?.filter((node) => !nodes.includes(node)) ?? [];
  if (nodes.length === 0 || silent.length > 0) {
    const who = silent.length > 0 ? `no answer from ${silent.join(", ")}` : "no worker answered";
    throw new CommandError(`${who} in ${timeout} s`, ExitCode.FAILED);
  }
  const refused = nodes.filter((node) => errorOf(replies[node]) !== undefined);
  if (refused.length > 0) {
    throw new CommandError(`${method} was refused by ${refused.join(", ")}`, ExitCode.FAILED);
  }
}

/** What a node said, the usual in one line. */
function answerText(node: string, reply: unknown): string {
  const error = errorOf(reply);
  if (error !== undefined) return `${node}: error: ${error}`;
  const ok = (reply as { ok?: unknown } | null)?.ok;
  if (typeof ok === "string") return `${node}: ${ok}`;
  const empty = Array.isArray(reply) ? reply.length === 0 : Object.keys(Object(reply)).length === 0;
  if (empty) return `${node}: (nothing)`;
  return `${node}:\n${JSON.stringify(reply, null, 2).replace(/^/gm, "  ")}`;
}

function errorOf(reply: unknown): string | undefined {
  const error = (reply as { error?: unknown } | null)?.error;
  return error === undefined ? undefined : String(error);
}
