/** `celeriac dead`: the messages that could not be run, what they were, and what becomes of them. */
import { Argument, Command } from "commander";
import type { DeadLetters } from "../client/dead_letters.ts";
import { decodeTask, peekTask } from "../protocol/task_message.ts";
import type { DeadLetter } from "../transport/transport.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { count, list } from "./flags.ts";
import { chosenQueues, type Opening, soon, withApp } from "./opening.ts";
import { printJson, table } from "./table.ts";

interface Flags {
  readonly queues?: readonly string[];
  readonly limit: number;
  readonly all?: true;
  readonly json?: true;
}

/** A letter with what can be said of it. */
interface Letter {
  /** 1 is the newest of its queue. */
  readonly position: number;
  readonly id: string | null;
  readonly task: string | null;
  readonly letter: DeadLetter;
}

type Act = (dead: DeadLetters, chosen: readonly Letter[], flags: Flags) => Promise<void>;

const LONGEST_REASON = 100;
const utf8 = new TextDecoder();

const acts: Readonly<Record<string, { readonly about: string; readonly act: Act }>> = {
  list: { about: "list them, the newest first", act: (_dead, chosen, flags) => listLetters(chosen, flags) },
  show: {
    about: "show messages whole, by id or position",
    act: (_dead, chosen, flags) => show(chosen, flags),
  },
  requeue: {
    about: "put them back to their queue, with a clean count of deliveries",
    act: async (dead, chosen) => {
      const moved = await dead.requeue(chosen.map(({ letter }) => letter));
      console.log(`${moved} ${messages(moved)} requeued`);
    },
  },
  drop: {
    about: "drop them for ever",
    act: async (dead, chosen) => {
      const dropped = await dead.drop(chosen.map(({ letter }) => letter));
      console.log(`${dropped} ${messages(dropped)} dropped`);
    },
  },
};

/** Makes the command. */
export function deadCommand(): Command {
  const overview = Object.entries(acts).map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`).join("\n");
  const command = new Command("dead")
    .summary("list, show, requeue or drop messages that could not be run")
    .description(
      "What could not be run is kept, byte for byte, with the reason. A letter is named by its task's id, or by its " +
        `position, 1 being the newest of its queue.\n\n${overview}`,
    )
    .addArgument(new Argument("[action]", "see above").choices(Object.keys(acts)).default("list"))
    .argument("[letters...]", "ids or positions")
    .option("-Q, --queues <names>", "of these queues (default: those of the settings)", list)
    .option("--limit <number>", "look at so many of the newest of each queue", count, 100)
    .option("--all", "with requeue and drop: all that are looked at")
    .option("-j, --json", "as JSON")
    .action(run);
  return withExamples(command, [
    ["celeriac dead list -Q mail", "what could not be run, and why"],
    ["celeriac dead show 1", "the newest of the default queue, whole"],
    ["celeriac dead requeue 0199-...", "once its cause is mended"],
    ["celeriac dead drop --all --limit 1000", "the newest 1000 of the default queue"],
  ]);
}

async function run(action: string, names: string[], _flags: unknown, command: Command): Promise<void> {
  await withApp<Flags>(command, async (app, { flags, settings }: Opening<Flags>) => {
    const { act } = acts[action];
    const takesAll = action === "list" || flags.all === true && action !== "show";
    if (takesAll && names.length > 0 || !takesAll && names.length === 0) {
      const wanted = action === "list"
        ? "no letters"
        : action === "show"
        ? "ids or positions"
        : "ids, positions or --all";
      throw new CommandError(`dead ${action} takes ${wanted}`, ExitCode.USAGE);
    }
    const letters: Letter[] = [];
    for (const queue of chosenQueues(settings, flags.queues)) {
      const found = await app.dead.list({ queue, limit: flags.limit });
      letters.push(...found.map((letter, index) => ({ position: index + 1, ...peek(letter), letter })));
    }
    await act(app.dead, takesAll ? letters : chosenLetters(letters, names, flags), flags);
  }, soon);
}

/** The letters that are named. @throws {CommandError} For a name that none of them has. */
function chosenLetters(letters: readonly Letter[], names: readonly string[], { limit }: Flags): Letter[] {
  const chosen = new Set<Letter>();
  for (const name of names) {
    const found = letters.filter(({ id, position }) => id === name || String(position) === name);
    if (found.length === 0) {
      throw new CommandError(
        `there is no dead letter ${name} among the newest ${limit}; --limit looks further, -Q elsewhere`,
        ExitCode.FAILED,
      );
    }
    if (/^\d+$/.test(name) && new Set(found.map(({ letter }) => letter.queue)).size > 1) {
      throw new CommandError(`several queues have a letter ${name}: say which one by -Q`, ExitCode.USAGE);
    }
    for (const letter of found) chosen.add(letter);
  }
  return [...chosen];
}

function peek({ body }: DeadLetter): { id: string | null; task: string | null } {
  const { id = null, task = null } = peekTask(utf8.decode(body)) ?? {};
  return { id, task };
}

function listLetters(letters: readonly Letter[], { json }: Flags): Promise<void> {
  const now = Date.now();
  if (json) {
    printJson(letters.map((letter) => facts(letter)));
  } else if (letters.length === 0) {
    console.log("(no dead letters)");
  } else {
    const rows = letters.map(({ position, id, task, letter: { queue, reason, at } }) => [
      position,
      queue,
      task ?? "(unreadable)",
      id ?? "",
      ageText(now - at),
      reason.length > LONGEST_REASON ? `${reason.slice(0, LONGEST_REASON - 3)}...` : reason,
    ]);
    console.log(table(["#", "QUEUE", "TASK", "ID", "AGE", "REASON"], rows));
  }
  return Promise.resolve();
}

function show(letters: readonly Letter[], { json }: Flags): Promise<void> {
  const shown = letters.map((letter) => ({ ...facts(letter), ...content(letter.letter) }));
  if (json) printJson(shown);
  else {
    for (const { message, ...rest } of shown) {
      for (const [name, value] of Object.entries(rest)) console.log(`${name}: ${textOf(value)}`);
      console.log(`message: ${message}\n`);
    }
  }
  return Promise.resolve();
}

function facts({ position, id, task, letter: { queue, reason, at } }: Letter) {
  return { position, queue, task, id, reason, at: new Date(at).toISOString() };
}

/** The message as it was received, and its arguments where they can be read. */
function content({ body }: DeadLetter): { args?: unknown; kwargs?: unknown; message: string } {
  const message = utf8.decode(body);
  try {
    const { args, kwargs } = decodeTask(message);
    return { args, kwargs, message };
  } catch {
    return { message };
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function messages(count: number): string {
  return count === 1 ? "message" : "messages";
}

/** `5 s`, `3 min`, `2 h`, `4 d`. */
export function ageText(ms: number): string {
  const units = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000]] as const;
  const unit = units.find(([, size]) => ms >= size);
  return unit === undefined
    ? `${Math.max(0, Math.floor(ms / 1000))} s`
    : `${Math.floor(ms / unit[1])} ${unit[0]}`;
}
