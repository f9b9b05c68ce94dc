/** Lists as people and as programs read them, on standard output. */

/** Columns under their headings; numbers to the right. */
export function table(headings: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...rows.map((row) => String(row[i]).length))
  );
  const line = (cells: readonly (string | number)[]) =>
    cells.map((cell, i) => {
      const right = typeof cell === "number" ||
        (cells === headings && rows.length > 0 && typeof rows[0][i] === "number");
      return right ? String(cell).padStart(widths[i]) : String(cell).padEnd(widths[i]);
    }).join("  ").trimEnd();
  return [headings, ...rows].map(line).join("\n");
}

/** Prints a list or an object as indented JSON. */
export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}
