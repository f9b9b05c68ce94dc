/** `deno.json` and `package.json` say the same of the package, and every public name is documented. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { version } from "../../runtime/version.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (name: string) => JSON.parse(readFileSync(root + name, "utf8"));

describe("deno.json and package.json", () => {
  const deno = read("deno.json");
  const npm = read("package.json");

  it("name the same package, version and licence", () => {
    assert.equal(deno.name, `@celeriac/${npm.name}`);
    assert.equal(deno.version, npm.version);
    assert.equal(version, npm.version);
    assert.equal(deno.license, npm.license);
    assert.match(readFileSync(`${root}LICENSE`, "utf8"), new RegExp(`^${npm.license} License`));
  });

  it("export the same modules, one as sources, the other as built from them", () => {
    const built = Object.entries<string>(deno.exports).map(([name, source]) => {
      assert.ok(existsSync(root + source), source);
      const path = source.replace(/^\.\/(.*)\.ts$/, "./lib/$1");
      return [name, { types: `${path}.d.ts`, default: `${path}.js` }];
    });
    // Tools look into the manifests of packages by their names.
    assert.deepEqual(npm.exports, { ...Object.fromEntries(built), "./package.json": "./package.json" });
  });

  it("start the same program", () => {
    assert.match(deno.tasks.celeriac, /runtime\/main\.ts$/);
    assert.match(npm.scripts.celeriac, /runtime\/main\.ts$/);
  });

  it("are locked in step", () => {
    const lock = read("package-lock.json").packages[""];
    assert.equal(lock.version, npm.version);
    assert.deepEqual(lock.dependencies, npm.dependencies);
    assert.deepEqual(lock.devDependencies, npm.devDependencies);
  });

  // `npm ci` refuses a lock without them, on every machine; npm leaves those out that its registry lacks.
  it("are locked for all platforms", () => {
    const { packages } = read("package-lock.json");
    const missing = Object.values<{ optionalDependencies?: Record<string, string> }>(packages)
      .flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}))
      .filter((name) => packages[`node_modules/${name}`] === undefined);
    assert.deepEqual(missing, []);
  });
});

describe("what mod.ts exports", () => {
  interface Documented {
    readonly name: string;
    readonly declarations?: readonly { readonly jsDoc?: { readonly doc?: string }; readonly kind: string }[];
    readonly jsDoc?: { readonly doc?: string };
  }

  it("has a doc comment, each name of it", () => {
    const text = execFileSync(`${root}node_modules/deno/deno`, ["doc", "--json", "mod.ts"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      maxBuffer: 1 << 26,
    });
    const nodes: Documented[] = Object.values<{ symbols: Documented[] }>(JSON.parse(text).nodes)
      .flatMap((module) => module.symbols);
    assert.ok(nodes.length > 0);
    const bare = nodes.filter((node) =>
      !(node.declarations ?? []).some((declaration) => declaration.jsDoc?.doc)
    );
    assert.deepEqual(bare.map((node) => node.name), []);
  });
});
