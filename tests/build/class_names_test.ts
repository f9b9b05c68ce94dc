/** Classes keep their names when a bundler has renamed them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withClassNames } from "../../runtime/build/class_names.ts";

/** The names that classes called `$name` in `source` have after a bundler has put a number behind each. */
function named(source: string, ...names: string[]): string[] {
  const whole = withClassNames(source) ?? source;
  const renamed = names.reduce(
    (text, name) =>
      text.replaceAll(new RegExp(`(?<![\\w"^])${name.replace("$", "\\$")}(?![\\w"\\\\])`, "g"), `${name}2`),
    whole,
  );
  return new Function(`${renamed}\nreturn [${names.map((name) => `${name}2.name`)}]`)() as string[];
}

describe("the names of classes in an executable", () => {
  it("are their own", () => {
    assert.deepEqual(named("class A {}\nclass B extends A {}", "A", "B"), ["A", "B"]);
    assert.deepEqual(named("const C = class {};", "C"), ["C"]);
    assert.deepEqual(named("class Größe {}", "Größe"), ["Größe"]);
  });

  it("are left alone where a class names itself", () => {
    assert.deepEqual(named('class A { static name = "Other"; }', "A"), ["Other"]);
  });

  it("harm no text that looks like a class", () => {
    assert.deepEqual(named("const text = `\nclass Nowhere {}\n`;\nclass A {}", "A"), ["A"]);
  });

  it("cost nothing where there are none", () => {
    assert.equal(withClassNames("export const a = 1;\n  class Inner {}\n"), undefined);
  });

  it("are found behind export, default and abstract", () => {
    for (const before of ["export ", "export default ", "export abstract ", "abstract "]) {
      assert.match(withClassNames(`${before}class A {}`) ?? "", /defineProperty\(A, "name"/);
    }
  });
});
