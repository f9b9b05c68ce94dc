/** The documentation names what exists: settings, commands, exit codes, make targets, files. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { exitCodeTable } from "../../runtime/cli/exit_codes.ts";
import { makeProgram } from "../../runtime/cli/program.ts";
import { defaultSettings } from "../../runtime/config/settings.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(root + path, "utf8");
const rows = (text: string, first: RegExp) => [...text.matchAll(first)].map((match) => match.slice(1));

describe("docs/settings.md", () => {
  it("lists every setting with its default, and no other", () => {
    const { brokerTransportOptions, ...plain } = defaultSettings;
    const expected = Object.fromEntries([
      ...Object.entries(plain),
      ...Object.entries(brokerTransportOptions).map((
        [key, value],
      ) => [`brokerTransportOptions.${key}`, value]),
    ]);
    const listed = rows(read("docs/settings.md"), /^\| `([\w.]+)` \| `([^`]*)` \|/gm);
    assert.deepEqual(Object.fromEntries(listed.map(([name, value]) => [name, JSON.parse(value)])), expected);
  });
});

describe("docs/command-line.md", () => {
  const page = read("docs/command-line.md");

  it("lists every command", async () => {
    const names = rows(page, /^\| `([a-z]+)` \|/gm).map(([name]) => name);
    assert.deepEqual(names, (await makeProgram()).commands.map((command) => command.name()));
  });

  it("lists every exit code, with the words of --help", () => {
    const listed = rows(page, /^\| (\d+) \| (.*) \|$/gm).map(([code, meaning]) => [Number(code), meaning]);
    assert.deepEqual(listed, exitCodeTable);
  });
});

describe("all pages", () => {
  const pages = ["README.md", ...readdirSync(`${root}docs`).map((name) => `docs/${name}`)];

  it("link to files that exist", () => {
    const broken = pages.flatMap((page) => {
      const folder = page.includes("/") ? "docs/" : "";
      return rows(read(page), /\]\(([^):#]+)(?:#[^)]*)?\)/g)
        .filter(([target]) => !existsSync(root + folder + target) && !target.startsWith("http"))
        .map(([target]) => `${page}: ${target}`);
    });
    assert.deepEqual(broken, []);
  });

  it("name make targets that exist", () => {
    const targets = rows(read("Makefile"), /^([a-z-]+):/gm).map(([name]) => name);
    const named = pages.flatMap((page) =>
      rows(read(page), /\bmake ([a-z]+)\b(?=[`\s]*(?:[A-Z]+=|`|$))/gm).map(([name]) => name)
    );
    assert.ok(named.length > 0);
    assert.deepEqual(named.filter((name) => !targets.includes(name)), []);
  });
});
