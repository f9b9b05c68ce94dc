/** Dependencies between folders point one way: cli, then worker and client, ..., down to protocol. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const runtime = fileURLToPath(new URL("../../runtime/", import.meta.url));

/** What lies in no folder: the clock and all differences between runtimes, which anybody above protocol may use. */
const ground = ["clock.ts", "platform.ts"];

/** Who may import whom. A folder that is new to `runtime/` needs a line here. */
const arrows: Record<string, readonly string[]> = {
  "main.ts": ["cli", "isolate", "platform.ts"],
  "testing.ts": ["worker", "client", "isolate", "fake_clock.ts", ...ground],
  cli: [
    "worker",
    "client",
    "beat",
    "build",
    "isolate",
    "channel",
    "transport",
    "results",
    "config",
    "log",
    "protocol",
    "version.ts",
    ...ground,
  ],
  worker: ["workflow", "hub", "isolate", "channel", "transport", "results", "config", "protocol", ...ground],
  client: ["workflow", "hub", "isolate", "channel", "transport", "results", "config", "protocol", ...ground],
  beat: ["client", "isolate", "transport", "config", "protocol", ...ground],
  build: ["isolate", "config", ...ground],
  isolate: ["workflow", "hub", "channel", "config", "protocol", ...ground],
  workflow: ["config", "protocol"],
  hub: ["transport", "config", "protocol", ...ground],
  channel: ["transport", "config", "protocol", ...ground],
  transport: ["results", "protocol", ...ground],
  results: ["transport", "protocol", ...ground],
  config: ["protocol", ...ground],
  log: ground,
  protocol: [],
  "clock.ts": [],
  "fake_clock.ts": ["clock.ts"],
  "platform.ts": [],
  "version.ts": [],
};

/** Beside the project's own files protocol/ may use only what is pure: no files, no network, no process. */
const pureForProtocol = [
  "@msgpack/msgpack",
  "uuid",
  "node:buffer",
  "node:zlib",
  "node:util",
];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly file: string;
  readonly specifier: string;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

/** Static imports, re-exports, `import("...")`, and `new URL("...", import.meta.url)` of a module. */
function specifiers(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const forms = [
    /^\s*(?:import|export)\s[^;"']*?from\s*["']([^"']+)["']/gm,
    /^\s*import\s*["']([^"']+)["']/gm,
    /\bimport\(\s*["']([^"']+)["']/g,
    /new URL\(\s*["'](\.[^"']+\.ts)["']/g,
  ];
  return forms.flatMap((form) => [...code.matchAll(form)].map((match) => match[1]));
}

/** The first step of a path below runtime/: a folder, or a file that lies in none. */
function place(path: string): string {
  return relative(runtime, path).split("/")[0];
}

const imports: Import[] = sources(runtime).flatMap((path) =>
  specifiers(readFileSync(path, "utf8")).map((specifier) => ({
    from: place(path),
    to: specifier.startsWith(".") ? place(join(dirname(path), specifier)) : specifier,
    file: relative(runtime, path),
    specifier,
  }))
);

describe("imports between folders", () => {
  it("go only where the table of arrows lets them", () => {
    const wrong = imports
      .filter(({ from, to, specifier }) =>
        specifier.startsWith(".") && from !== to && !(arrows[from] ?? []).includes(to)
      )
      .map(({ file, specifier }) => `runtime/${file} imports ${specifier}`);
    assert.deepEqual(wrong, []);
  });

  it("are found at all", () => {
    assert.ok(imports.some(({ from, to }) => from === "transport" && to === "protocol"));
    assert.deepEqual(
      specifiers('import { a } from "./a.ts";\nexport * from "./b.ts";\nawait import("./c.ts");'),
      [
        "./a.ts",
        "./b.ts",
        "./c.ts",
      ],
    );
  });

  it("form no circle among folders, but for contracts that name each other's types", () => {
    const contracts = new Set(["transport", "results"]);
    const circles = Object.entries(arrows).flatMap(([from, tos]) =>
      tos.filter((to) => arrows[to]?.includes(from) && !(contracts.has(from) && contracts.has(to)))
        .map((to) => `${from} and ${to}`)
    );
    assert.deepEqual(circles, []);
  });

  it("of protocol/ reach nothing that is not pure", () => {
    const wrong = imports
      .filter(({ from, to }) => from === "protocol" && to !== "protocol")
      .filter(({ specifier }) =>
        !pureForProtocol.some((name) => specifier === name || specifier.startsWith(`${name}/`))
      )
      .map(({ file, specifier }) => `runtime/${file} imports ${specifier}`);
    assert.deepEqual(wrong, []);
  });

  it("take packages only from package.json", () => {
    const known = Object.keys(
      JSON.parse(readFileSync(join(runtime, "../package.json"), "utf8")).dependencies,
    );
    const wrong = imports
      .filter(({ specifier }) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
      .filter(({ specifier }) =>
        !known.some((name) => specifier === name || specifier.startsWith(`${name}/`))
      )
      .map(({ file, specifier }) => `runtime/${file} imports ${specifier}`);
    assert.deepEqual(wrong, []);
  });

  it("of examples name files of this checkout: where nothing is built, no package celeriac is found", () => {
    const wrong = sources(join(runtime, "../examples"))
      .filter((path) => specifiers(readFileSync(path, "utf8")).some((name) => /^celeriac(\/|$)/.test(name)))
      .map((path) => relative(runtime, path));
    assert.deepEqual(wrong, []);
  });
});
