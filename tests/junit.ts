/** Reads the JUnit report that `deno test` and `bun test` write, as far as `run.ts` needs it. */

export interface TestOutcome {
  readonly name: string;
  readonly passed: boolean;
}

/**
 * The tests of a report. Deno lists a `describe` as a test too: such a group counts only where it failed and nothing
 * in it did (its `before` threw).
 */
export function readJunit(xml: string): TestOutcome[] {
  const cases = [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map((match) => ({
    name: testName(match[1]),
    passed: !/<(failure|error|skipped)\b/.test(match[2] ?? ""),
  }));
  return cases.filter((test) => {
    const inside = cases.filter((other) => other.name.startsWith(`${test.name} > `));
    return inside.length === 0 || (!test.passed && inside.every((other) => other.passed));
  });
}

/** Deno writes the whole path of a test as its name; Bun puts the path apart, innermost first. */
function testName(attributes: string): string {
  const name = attribute(attributes, "name");
  const groups = attribute(attributes, "classname");
  if (groups === "" || /^(\.\/|ext:|file:)/.test(groups)) return name;
  return [...groups.split(" > ").reverse(), name].join(" > ");
}

function attribute(attributes: string, name: string): string {
  const text = new RegExp(`(?:^| )${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return text.replace(
    /&(lt|gt|quot|apos|amp|#39|#10);/g,
    (whole, entity: string) =>
      ({ lt: "<", gt: ">", quot: '"', apos: "'", amp: "&", "#39": "'", "#10": "\n" })[entity] ?? whole,
  );
}
