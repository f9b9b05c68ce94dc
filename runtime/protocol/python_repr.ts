/**
 * Python-looking text of a call's arguments, for the headers `argsrepr` and `kwargsrepr`: Celery's logs, events and
 * monitors show them. Bounded in depth and length, as Celery's are.
 */

/** Celery's bounds: characters of the whole, and levels of containers. */
const MAX_LENGTH = 1024;
const MAX_LEVELS = 3;

/** `(1, 'two')`: positional arguments as a Python tuple. */
export function reprOfArgs(args: readonly unknown[]): string {
  if (args.length === 0) return "()";
  return cut(items(args, "(", args.length === 1 ? ",)" : ")", 1));
}

/** `{'x': 1}`: keyword arguments as a Python dict. */
export function reprOfKwargs(kwargs: Readonly<Record<string, unknown>>): string {
  return cut(dict(kwargs, 1));
}

function cut(text: string): string {
  return text.length > MAX_LENGTH ? text.slice(0, MAX_LENGTH - 3) + "..." : text;
}

function repr(value: unknown, level: number): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      return Number.isFinite(value) ? String(value) : value !== value ? "nan" : value > 0 ? "inf" : "-inf";
    case "boolean":
      return value ? "True" : "False";
    case "object":
      return value === null ? "None" : reprOfObject(value, level);
    case "undefined":
      return "None";
    default:
      return typeof value === "bigint" ? String(value) : `<${typeof value}>`;
  }
}

function reprOfObject(value: object, level: number): string {
  if (Array.isArray(value)) return level < MAX_LEVELS ? items(value, "[", "]", level + 1) : "[...]";
  if (value instanceof Date) {
    const time = value.getTime();
    return Number.isNaN(time) ? "None" : `datetime(${quote(value.toISOString())})`;
  }
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (value instanceof Map) return `<Map of ${value.size}>`;
  if (value instanceof Set) return `<Set of ${value.size}>`;
  return level < MAX_LEVELS ? dict(value as Record<string, unknown>, level + 1) : "{...}";
}

function items(values: readonly unknown[], open: string, close: string, level: number): string {
  let text = open;
  for (let i = 0; i < values.length; i++) {
    if (i > 0) text += ", ";
    if (text.length > MAX_LENGTH) return text + "..." + close;
    text += repr(values[i], level);
  }
  return text + close;
}

function dict(values: Readonly<Record<string, unknown>>, level: number): string {
  let text = "{";
  for (const key in values) {
    if (text !== "{") text += ", ";
    if (text.length > MAX_LENGTH) return text + "...}";
    text += `${quote(key)}: ${repr(values[key], level)}`;
  }
  return text + "}";
}

function quote(text: string): string {
  const short = text.length > MAX_LENGTH ? text.slice(0, MAX_LENGTH) + "..." : text;
  return "'" + (short.includes("'") ? short.replaceAll("'", "\\'") : short) + "'";
}
