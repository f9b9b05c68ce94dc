/** What is made of the results: `bench/README.md`, and the one line of ratios. */
import type { Facts } from "./machine.ts";
import { isMet, type Outcome, type Target } from "./part.ts";

/** A part that has been run. */
export interface Result {
  readonly name: string;
  readonly title: string;
  /** When it ended, as ISO 8601. */
  readonly at: string;
  readonly seconds: number;
  readonly commit: string;
  /** What came of it, or why nothing did. */
  readonly outcome?: Outcome;
  readonly error?: string;
}

/** The page. */
export function page(results: readonly Result[], machine: Facts, versions: Facts): string {
  const targets = results.flatMap(({ outcome }) => outcome?.targets ?? []);
  const met = targets.filter(isMet).length;
  return `${INTRODUCTION}
## Where and with what

${table(["", ""], Object.entries({ ...machine, ...versions }))}
${commits(results)}

## Targets: ${met} of ${targets.length} met

${table(["", "reached", "wanted", ""], targets.map(targetRow))}
${results.map(section).join("\n")}`;
}

/** All parts' ratios in one line. */
export function ratioLine(results: readonly Result[]): string {
  return results.map(({ name, outcome }) => outcome?.ratios ?? `${name} failed`).join("; ");
}

const INTRODUCTION = `# Speed, side by side

Written by \`make bench\`; do not edit. Everybody can make these figures again, all of them or one part:

\`\`\`sh
make bench                     # everything, about twenty minutes; writes this page
make bench ONLY=redis_drain    # one part (its name stands beside its title), and this page again
make bench RESUME=1            # only what has no result of this commit yet
make bench QUICK=1             # under two minutes, fewer rounds; prints, and leaves this page alone
\`\`\`

All of it runs on one machine: a Redis of its own without persistence, SQLite in a temporary folder. The work is
\`add(1, 2)\`, its result stored and announced; two isolates, or two processes for Celery. Contestants take turns, a round
each, and rounds are repeated, so that whatever else the machine does hits all alike. A speed is the median of its
rounds; a ratio is the median of the ratios within each round. Absolute figures are this machine's; ratios travel.
`;

function commits(results: readonly Result[]): string {
  const lines = new Map<string, string[]>();
  for (const { commit, name } of results) lines.set(commit, [...(lines.get(commit) ?? []), name]);
  return [...lines].map(([commit, names]) =>
    lines.size === 1
      ? `\nceleriac at commit ${commit}.`
      : `\nceleriac at commit ${commit}: ${names.join(", ")}.`
  ).join("");
}

function targetRow(target: Target): string[] {
  const { what, reached, wanted, is, as } = target;
  const write = (value: number) =>
    as === "%" ? `${(value * 100).toFixed(0)} %` : `${value.toFixed(value < 10 ? 2 : 1)} x`;
  return [what, write(reached), `${is} ${write(wanted)}`, isMet(target) ? "met" : "**missed**"];
}

function section({ name, title, at, seconds, outcome, error }: Result): string {
  const head = `\n## ${title} (\`${name}\`)\n\n`;
  const foot = `\n\`make bench ONLY=${name}\`, ${at.slice(0, 16).replace("T", " ")} UTC, ${
    seconds.toFixed(0)
  } s.\n`;
  if (outcome === undefined) return `${head}It failed: ${error}\n${foot}`;
  return `${head}${table(outcome.columns, outcome.rows)}\n${outcome.notes.join("\n\n")}\n${foot}`;
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  return line(columns) + line(columns.map((_, i) => i === 0 ? "---" : "--:")) + rows.map(line).join("");
}
