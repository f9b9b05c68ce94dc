/** What could stand at the cursor of a command line, told from the program's own commands, flags and arguments. */
import type { Argument, Command, Option } from "commander";
import { sleep, systemClock } from "../clock.ts";

/** One thing that could stand there; `:files` and `:folders` stand for any file or folder. */
export interface Candidate {
  readonly value: string;
  /** One line. */
  readonly about?: string;
}

/** Milliseconds that a person who pressed Tab waits for task modules to load. */
const PATIENCE = 3_000;

/**
 * What could stand in place of the last of `words`, which follow the program's name: begun, or empty. `=` may stand
 * alone between a flag and its value, as bash splits it.
 */
export async function candidates(program: Command, words: readonly string[]): Promise<Candidate[]> {
  const line = readLine(program, joined(words.slice(0, -1)));
  const last = words.at(-1) ?? "";
  const current = last === "=" ? "" : last;
  const begun = /^(--[^=]+=)(.*)$/.exec(current);
  if (line.flag !== undefined) return starting(current, await valuesOf(line.flag, line));
  if (begun !== null && !line.onlyArguments) {
    const [, flag, value] = begun;
    const option = find(line, flag.slice(0, -1));
    const values = option === undefined ? [] : starting(value, await valuesOf(option, line));
    return values.map((each) => each.value[0] === ":" ? each : { ...each, value: flag + each.value });
  }
  if (current[0] === "-" && !line.onlyArguments) return starting(current, flags(line));
  if (line.command === program) return starting(current, commands(program));
  const { registeredArguments: known } = line.command;
  const argument = known[line.count] ?? (known.at(-1)?.variadic ? known.at(-1) : undefined);
  return argument === undefined ? [] : starting(current, await valuesOf(argument, line));
}

/** As much of a command line as stands before the cursor. */
interface Line {
  readonly program: Command;
  command: Command;
  /** A flag that waits for its value. */
  flag: Option | undefined;
  /** Arguments of the command that have been given. */
  count: number;
  /** Behind `--`. */
  onlyArguments: boolean;
  /** What flags were given, by the names of their values: `module`, `name`, ... */
  readonly given: Map<string, string[]>;
}

function readLine(program: Command, words: readonly string[]): Line {
  const line: Line = {
    program,
    command: program,
    flag: undefined,
    count: 0,
    onlyArguments: false,
    given: new Map(),
  };
  const take = (option: Option, value: string) => {
    const key = option.attributeName();
    line.given.set(key, [...line.given.get(key) ?? [], value]);
  };
  for (const word of words) {
    if (line.flag !== undefined) {
      take(line.flag, word);
      line.flag = undefined;
    } else if (line.onlyArguments || word[0] !== "-" || word === "-") {
      const next = line.command === program
        ? commandsOf(program).find(({ name }) => name === word)
        : undefined;
      if (next === undefined) line.count++;
      else line.command = next.command;
    } else if (word === "--") line.onlyArguments = true;
    else {
      const [, name, value] = /^(--[^=]+|-[^-])=?(.*)$/.exec(word) ?? [];
      const option = find(line, name);
      if (option?.required && value === "") line.flag = option;
      else if (option?.required) take(option, value);
    }
  }
  return line;
}

/** `--flag`, `=`, `value` as one word. */
function joined(words: readonly string[]): string[] {
  const whole: string[] = [];
  for (let i = 0; i < words.length; i++) {
    if (words[i] === "=" && whole.length > 0) {
      // Where nothing follows, the value is at the cursor, and the flag waits for it.
      if (i + 1 < words.length) whole.push(`${whole.pop()}=${words[++i]}`);
    } else whole.push(words[i]);
  }
  return whole;
}

function find({ command, program }: Line, name: string): Option | undefined {
  return [...command.options, ...program.options].find(({ long, short }) => name === long || name === short);
}

function flags({ command, program }: Line): Candidate[] {
  const both = command === program ? [program] : [command, program];
  const all = both.flatMap((each) => each.createHelp().visibleOptions(each));
  const known = new Map(all.map((option) => [option.long ?? option.short ?? "", option.description]));
  return [...known].map(([value, about]) => ({ value, about }));
}

function commandsOf(program: Command): { name: string; command: Command }[] {
  return program.createHelp().visibleCommands(program).map((command) => ({ name: command.name(), command }));
}

function commands(program: Command): Candidate[] {
  return commandsOf(program).map(({ name, command }) => ({
    value: name,
    about: command.summary() || command.description(),
  }));
}

/** What a flag or an argument may be: its choices, or what the name of its value says. */
async function valuesOf(place: Option | Argument, line: Line): Promise<Candidate[]> {
  if (place.argChoices) return place.argChoices.map((value) => ({ value }));
  const name = "flags" in place ? /<(\w+)/.exec(place.flags)?.[1] : place.name();
  switch (name) {
    case "module":
    case "modules":
    case "file":
      return [{ value: ":files" }];
    case "folder":
      return [{ value: ":folders" }];
    case "command":
      return commands(line.program);
    case "task":
      return await taskNames(line);
  }
  return [];
}

/** The tasks of the modules that the line names. */
async function taskNames({ given }: Line): Promise<Candidate[]> {
  const patterns = [...given.get("app") ?? [], ...given.get("include") ?? []];
  if (patterns.length === 0) return [];
  const [{ findModules }, { describeTasks }] = await Promise.all([
    import("../isolate/load_modules.ts"),
    import("./describe_tasks.ts"),
  ]);
  const cwd = given.get("workdir")?.at(-1);
  const loaded = findModules(patterns, { cwd }).then((found) => describeTasks(found));
  // Who presses Tab has not asked what is wrong with a module.
  const tasks = await Promise.race([loaded, sleep(systemClock, PATIENCE).then(() => [])]).catch(() => []);
  return tasks.map(({ name, params }) => ({ value: name, about: params?.join(", ") }));
}

function starting(begun: string, all: readonly Candidate[]): Candidate[] {
  return all.filter(({ value }) => value[0] === ":" || value.startsWith(begun));
}
