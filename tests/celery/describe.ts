/** A value as JavaScript sees it, with its types, in one line: what tests compare. */
export function describeValue(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value);
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Date) return `Date(${value.toISOString()})`;
  if (value instanceof Uint8Array) return `Uint8Array(${value.join(" ")})`;
  if (Array.isArray(value)) return `[${value.map(describeValue).join(", ")}]`;
  const fields = Object.entries(value).map(([key, value]) => `${key}: ${describeValue(value)}`);
  return `{${fields.join(", ")}}`;
}
