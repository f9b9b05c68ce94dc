/**
 * What a message can carry. Before a value of a task's arguments or result is serialized it is checked here, and what
 * serializers don't know (a Map, a class instance) is made plain. Serves the publishing and the settling side.
 */

/** A value that no message can carry, with its place inside what was to be sent. */
export class UnserializableError extends Error {
  /** Always `"UnserializableError"`. */
  override readonly name = "UnserializableError";
  /** Where it stands, from `$` for the whole: `$.items[3].callback` (for a call from `args` or `kwargs`). */
  readonly path: string;

  /** `problem` goes on where the path ends: `is a function`. */
  constructor(path: string, problem: string, options?: ErrorOptions) {
    super(`${path} ${problem}`, options);
    this.path = path;
  }
}

/** What {@linkcode toPlain} leaves: JSON's own values, and what each serializer has a form of its own for. */
export type PlainValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Uint8Array
  | PlainValue[]
  | { [key: string]: PlainValue };

/** Deeper than this a value is refused: Python's JSON reader gives up at about a thousand levels. */
const MAX_DEPTH = 900;
/** Up to this depth the quick check recurses; a cycle is then left to {@linkcode toPlain}, which names its path. */
const QUICK_DEPTH = 64;

/** Whether `JSON.stringify` alone writes `value` exactly, so that nothing has to be converted. */
export function isJsonExact(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return value - value === 0 && (value !== 0 || 1 / value > 0);
    case "object": {
      if (value === null) return true;
      if (depth > QUICK_DEPTH) return false;
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) {
          const item = value[i];
          if (item !== undefined && !isJsonExact(item, depth + 1)) return false;
        }
        return true;
      }
      const prototype = Object.getPrototypeOf(value);
      if (prototype !== Object.prototype && prototype !== null) return false;
      for (const key in value) {
        if (!isJsonExact((value as Record<string, unknown>)[key], depth + 1)) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

/**
 * Makes a value plain. `undefined` becomes null (in objects too, so that a key is not lost), a `Map` with text keys an
 * object, a `Set` and a typed array other than `Uint8Array` an array, an `ArrayBuffer` or `DataView` bytes, a class
 * instance the object of its own fields; `toJSON` is honoured except on dates and bytes.
 *
 * @throws {UnserializableError} For functions, symbols, cycles, invalid dates, errors, promises, a `Map` with other
 * keys, and what nests deeper than 900 levels.
 */
export function toPlain(value: unknown, root = "$"): PlainValue {
  return convert(value, [root], []);
}

/** The root's name, then keys and indexes. */
type Path = (string | number)[];

function convert(value: unknown, path: Path, parents: object[]): PlainValue {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "number":
    case "bigint":
      return value;
    case "undefined":
      return null;
    case "function":
    case "symbol":
      throw refuse(path, `is a ${typeof value}, which can't be sent: leave it out or send a value instead`);
  }
  if (value === null) return null;
  const object = value as object;
  if (object instanceof Date) {
    if (Number.isNaN(object.getTime())) throw refuse(path, "is an invalid date: send a valid one or null");
    return object;
  }
  if (object instanceof Uint8Array) return object;
  if (parents.includes(object)) {
    throw refuse(path, "refers back to a value that contains it: send a tree without cycles");
  }
  if (parents.length >= MAX_DEPTH) {
    throw refuse(path.slice(0, 8), `nests deeper than ${MAX_DEPTH} levels: send it flatter`);
  }
  parents.push(object);
  const plain = convertObject(object, path, parents);
  parents.pop();
  return plain;
}

function convertObject(object: object, path: Path, parents: object[]): PlainValue {
  const toJSON = (object as { toJSON?: unknown }).toJSON;
  if (typeof toJSON === "function") {
    return convert(toJSON.call(object, path.length === 1 ? "" : String(path.at(-1))), path, parents);
  }
  if (Array.isArray(object)) return convertItems(object, path, parents);
  if (object instanceof Map) return convertMap(object, path, parents);
  if (object instanceof Set) return convertItems([...object], path, parents);
  if (ArrayBuffer.isView(object)) {
    return object instanceof DataView
      ? new Uint8Array(object.buffer, object.byteOffset, object.byteLength)
      : convertItems(Array.from(object as unknown as ArrayLike<unknown>), path, parents);
  }
  if (object instanceof ArrayBuffer) return new Uint8Array(object);
  if (object instanceof Number || object instanceof String || object instanceof Boolean) {
    return object.valueOf() as PlainValue;
  }
  if (object instanceof Error) {
    throw refuse(path, "is an error: throw it, or send its name and message");
  }
  if (typeof (object as { then?: unknown }).then === "function") {
    throw refuse(path, "is a promise: await it first");
  }
  const plain: Record<string, PlainValue> = {};
  for (const key of Object.keys(object)) {
    path.push(key);
    put(plain, key, convert((object as Record<string, unknown>)[key], path, parents));
    path.pop();
  }
  return plain;
}

function convertItems(items: ArrayLike<unknown>, path: Path, parents: object[]): PlainValue[] {
  const plain: PlainValue[] = [];
  for (let i = 0; i < items.length; i++) {
    path.push(i);
    plain.push(convert(items[i], path, parents));
    path.pop();
  }
  return plain;
}

function convertMap(map: Map<unknown, unknown>, path: Path, parents: object[]): PlainValue {
  const plain: Record<string, PlainValue> = {};
  for (const [key, value] of map) {
    if (typeof key !== "string") {
      throw refuse(path, "is a Map whose keys are not all text: send its entries as an array, [...map]");
    }
    path.push(key);
    put(plain, key, convert(value, path, parents));
    path.pop();
  }
  return plain;
}

/** Sets a field of any name; assigning `__proto__` would change the object's prototype instead. */
export function put<T>(target: Record<string, T>, key: string, value: T): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[key] = value;
  }
}

function refuse(path: Path, problem: string): UnserializableError {
  let text = String(path[0]);
  for (const step of path.slice(1)) {
    if (typeof step === "number") text += `[${step}]`;
    else text += /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  }
  return new UnserializableError(text, problem);
}
