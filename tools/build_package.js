/**
 * Builds `lib/`, the JavaScript and the declarations of the npm package, from the TypeScript sources; `npm pack` and
 * `npm publish` run it first. The compiler does nearly everything; what it leaves are names of our own source files
 * in declarations and examples, and these are put right here.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const lib = join(root, "lib");

/** Declarations still import each other as sources. Not in comments. */
const IMPORT = /^(?! *\*)(.*?(?:from |import\()"\.{1,2}\/[^"]+)\.ts"/gm;
/** Examples in comments import the module that is the package. */
const EXAMPLE = /^( *\* .*from )"(?:\.\.\/)+(?:mod|runtime\/(testing))\.ts"/gm;

rmSync(lib, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
for (const name of readdirSync(lib, { recursive: true, encoding: "utf8" })) {
  if (!/\.(js|d\.ts)$/.test(name)) continue;
  const path = join(lib, name);
  const built = readFileSync(path, "utf8");
  let text = built.replace(EXAMPLE, (_, before, part) => `${before}"celeriac${part ? `/${part}` : ""}"`);
  // Several on one line: each round finds the next.
  if (name.endsWith(".d.ts")) {
    for (let before = ""; before !== text;) {
      before = text;
      text = text.replace(IMPORT, '$1.js"');
    }
  }
  if (text !== built) writeFileSync(path, text);
}
