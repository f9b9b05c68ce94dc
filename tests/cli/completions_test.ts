/** Completion of command lines, as real shells do it with the scripts that `celeriac completions` prints. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import process from "node:process";
import { candidates } from "../../runtime/cli/candidates.ts";
import { makeProgram } from "../../runtime/cli/program.ts";
import { commandLine } from "../servers/worker.ts";
import { Folder } from "./folder.ts";

const exec = promisify(execFile);
const complete = async (...words: string[]) =>
  (await candidates(await makeProgram(), words)).map(({ value }) => value);

describe("what could stand at the cursor", () => {
  it("is each command, with its summary, and nothing after a word that is none", async () => {
    const program = await makeProgram();
    const all = (await candidates(program, [""])).map(({ value, about }) => [value, about]);
    assert.deepEqual(
      all.slice(0, program.commands.length),
      program.commands.map((command) => [command.name(), command.summary()]),
    );
    assert.deepEqual(await complete("wor"), ["worker"]);
    assert.deepEqual(await complete("help", "que"), ["queues"]);
    assert.deepEqual(await complete("nothing"), []);
  });

  it("is each flag of a command, and those that all share", async () => {
    const program = await makeProgram();
    for (const command of program.commands) {
      const found = await complete(command.name(), "--");
      for (const { long } of [...command.options, ...program.options]) {
        assert.ok(found.includes(long!), `${command.name()} ${long}`);
      }
    }
    assert.deepEqual(await complete("worker", "--dr"), ["--drain"]);
    assert.deepEqual(await complete("queues", "--dr"), []);
    assert.deepEqual(await complete("worker", "--", "--dr"), [":files"]);
  });

  it("is a value where a flag waits for one", async () => {
    assert.deepEqual(await complete("-l", ""), ["debug", "info", "warning", "error", "critical"]);
    assert.deepEqual(await complete("worker", "--loglevel", "de"), ["debug"]);
    assert.deepEqual(await complete("worker", "--loglevel=de"), ["--loglevel=debug"]);
    assert.deepEqual(await complete("worker", "--loglevel", "=", "de"), ["debug"]);
    assert.deepEqual(await complete("worker", "--loglevel", "="), [
      "debug",
      "info",
      "warning",
      "error",
      "critical",
    ]);
    assert.deepEqual(await complete("worker", "-A", ""), [":files"]);
    assert.deepEqual(await complete("worker", "--config=c"), [":files"]);
    assert.deepEqual(await complete("worker", "--workdir", ""), [":folders"]);
    assert.deepEqual(await complete("worker", "-b", ""), []);
    assert.deepEqual(await complete("completions", ""), ["bash", "zsh", "fish"]);
  });

  it("is the command's own after flags that take a value or none", async () => {
    assert.deepEqual(await complete("-q", "-b", "worker", "stat"), ["status"]);
    assert.deepEqual(await complete("-A", "tasks", "--no-color", "wor"), ["worker"]);
    assert.deepEqual(await complete("-Atasks", "wor"), ["worker"]);
  });
});

/** How each shell is driven: a program that prints the candidates for the words it is given, a line each. */
const shells: Record<string, readonly string[]> = {
  bash: [
    "--norc",
    "-c",
    `source <(celeriac completions bash)
      compopt() { :; }
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
      _celeriac celeriac "\${@: -1}" "\${@: -2:1}"
      printf '%s\\n' "\${COMPREPLY[@]}"`,
    "bash",
  ],
  // Only an interactive zsh completes: one in a terminal of its own, whose compadd tells what it was given.
  zsh: [
    "-f",
    "-c",
    `zmodload zsh/zpty
      zpty shell zsh -f -i
      zpty -w shell 'PS1= PS2= HISTFILE=; unsetopt zle_bracketed_paste 2>/dev/null; stty -echo columns 1000'
      zpty -w shell 'autoload -Uz compinit; compinit -u -D; source <(celeriac completions zsh)'
      zpty -w shell 'compadd() {
        if (( \${@[(I)-[OAD]]} )); then builtin compadd "$@"; return; fi
        local -a hits; builtin compadd -A hits "$@"; (( $#hits )) && print -rl -- "<"\${^hits}">"
        builtin compadd "$@"
      }'
      zpty -w shell 'tell() { print -r -- "<end>" }; comppostfuncs=(tell); bindkey "^I" complete-word'
      zpty -w shell 'print -r -- "<re""ady>"'
      zpty -r shell text '*<ready>*'
      zpty -w -n shell "$*"$'\\t'
      while zpty -r shell text '*'$'\\n'; do
        [[ $text == *'<end>'* ]] && break
        [[ $text == *'<'*'>'* ]] && print -r -- "\${\${text#*<}%>*}"
      done`,
    "zsh",
  ],
  fish: [
    "--no-config",
    "-c",
    `celeriac completions fish | source
      complete -C (string join ' ' -- $argv) | string replace -r '\\t.*' ''
      true`,
  ],
};

async function installed(shell: string): Promise<void> {
  try {
    await exec(shell, ["--version"]);
  } catch {
    await exec("apt-get", ["update", "-qq"]).catch(() => {});
    await exec("apt-get", ["install", "-y", "-qq", "--no-install-recommends", shell]).catch((cause) => {
      throw new Error(`this test needs ${shell}: install it`, { cause });
    });
  }
}

for (const [shell, script] of Object.entries(shells)) {
  describe(`completion in ${shell}`, () => {
    let folder: Folder;
    let env: Record<string, string | undefined>;
    before(async () => {
      await installed(shell);
      folder = await Folder.with({
        "shop.ts": "export function add(x: number, y: number) { return x + y; }\nexport function pay() {}",
        "shop.json": "{}",
      });
      await mkdir(join(folder.path, "shops"));
      const program = join(folder.path, "celeriac");
      const [runtime, args] = commandLine();
      await writeFile(program, `#!/bin/sh\nexec ${[runtime, ...args].join(" ")} "$@"\n`);
      await chmod(program, 0o755);
      env = { ...process.env, PATH: `${folder.path}:${process.env.PATH}`, HOME: folder.path };
    });
    after(() => folder[Symbol.asyncDispose]());

    const complete = async (...words: string[]) => {
      const { stdout } = await exec(shell, [...script, "celeriac", ...words], { cwd: folder.path, env });
      const found = stdout.split("\n").map((line) => line.trim()).filter((line) => line !== "");
      return [...new Set(found)].sort();
    };

    it("knows commands and flags", async () => {
      assert.deepEqual(await complete("wor"), ["worker"]);
      assert.deepEqual(await complete("worker", "--log"), ["--log-format", "--loglevel"]);
      assert.deepEqual(await complete("worker", "-l", "de"), ["debug"]);
    });

    it("knows files, folders and tasks", async () => {
      // Some shells put the slash behind a folder later.
      const paths = async (...words: string[]) =>
        (await complete(...words)).map((name) => name.replace(/\/$/, ""));
      assert.deepEqual(await paths("worker", "-A", "sho"), ["shop.json", "shop.ts", "shops"]);
      assert.deepEqual(await paths("worker", "--workdir", "sho"), ["shops"]);
      assert.deepEqual(await complete("call", "-A", "shop.ts", "shop."), ["shop.add", "shop.pay"]);
    });
  });
}
