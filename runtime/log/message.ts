/** The text of a log record's message. */
import type { LogRecord } from "@logtape/logtape";

/**
 * Template and values put together. What a task says is no template, nor is a text with braces that no property fills
 * (an error's message with JSON in it).
 */
export function messageOf(record: LogRecord): string {
  const { message, rawMessage } = record;
  if (typeof rawMessage === "string") {
    const filled = message.some((part, i) => i % 2 === 1 && part !== undefined);
    if (!filled || record.category[1] === "task") return rawMessage;
  }
  return message.map((part, i) => i % 2 === 0 || typeof part === "string" ? String(part) : textOf(part)).join(
    "",
  );
}

/** Any value as JSON text where it has one. */
function textOf(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return JSON.stringify(plain(value, new Set())) ?? String(value);
}

/** A copy that JSON can hold: errors with their stack, big integers as text, `"[circular]"` for what holds itself. */
export function plain(value: unknown, above: ReadonlySet<unknown> = new Set()): unknown {
  if (typeof value === "bigint" || typeof value === "symbol") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (above.has(value)) return "[circular]";
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  const inside = new Set(above).add(value);
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    return { name, message, stack, ...(cause === undefined ? {} : { cause: plain(cause, inside) }) };
  }
  if (Array.isArray(value)) return value.map((item) => plain(item, inside));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, inside)]));
}
