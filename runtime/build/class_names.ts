/**
 * The names of classes in an executable. The bundler puts modules into one scope and numbers what is called the same
 * there, so that the second `class Refused` becomes `Refused2`; yet by the names of its errors a task is known far away.
 */

// At the beginning of a line, as formatters write what stands in no block.
const CLASS =
  /^(?:export\s+)?(?:default\s+)?(?:(?:abstract\s+)?class\s+([\p{L}\p{N}_$]+)|const\s+([\p{L}\p{N}_$]+)\s*=\s*class\b)/gmu;

/** The source with what gives its classes their own names back, at its end; undefined where it has no classes. */
export function withClassNames(source: string): string | undefined {
  const names = new Set([...source.matchAll(CLASS)].map(([, declared, assigned]) => declared ?? assigned));
  if (names.size === 0) return undefined;
  return `${source}\n${[...names].map(restored).join("\n")}\n`;
}

/** Leaves a name alone that the class gives itself, and what only looks like a class, in a text for example. */
function restored(name: string): string {
  return `;if (typeof ${name} === "function" && /^${name.replaceAll("$", "\\$")}\\d+$/.test(${name}.name)) ` +
    `Object.defineProperty(${name}, "name", { value: "${name}", configurable: true });`;
}
