/**
 * Lets amqplib read what Python writes: py-amqp marks integers beyond 32 bits with the letter `L`, which RabbitMQ passes
 * on as it stands and amqplib does not know. A header such as a time in milliseconds would end the connection, again and
 * again, because the message comes back each time. On **receive**; rewrites `L` as `l`, the same eight bytes by the name
 * that RabbitMQ's own documents have for them.
 */

/** What is used of amqplib's inner connection; none of it is documented. */
interface Frames {
  rest: Uint8Array;
  recvFrame(): unknown;
}

/** Makes a connection read such integers. Does nothing where amqplib has changed inside. */
export function readBigIntegers(connection: unknown): void {
  const frames = connection as Frames;
  if (typeof frames.recvFrame !== "function" || !(frames.rest instanceof Uint8Array)) return;
  const receive = frames.recvFrame.bind(frames);
  frames.recvFrame = () => {
    const before = frames.rest;
    try {
      return receive();
    } catch (error) {
      const bytes = before.subarray(0, before.length - frames.rest.length);
      if (!String(error).includes('tag "L"') || !renameBigIntegers(bytes)) throw error;
      frames.rest = before;
      return receive();
    }
  };
}

const HEADER_FRAME = 2;
const HAS_HEADERS = 0x2000;

/** Renames the integers in the header frame of a message; false when it is something else. */
function renameBigIntegers(frame: Uint8Array): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame[0] !== HEADER_FRAME) return false;
  // Type, channel, size; class, weight, body size; flags.
  const flags = view.getUint16(19);
  if ((flags & HAS_HEADERS) === 0) return false;
  let at = 21;
  // Content type and encoding stand before the headers.
  for (const flag of [0x8000, 0x4000]) if ((flags & flag) !== 0) at += 1 + frame[at];
  renameInTable(frame, view, at);
  return true;
}

/** The bytes that values of fixed length take, by their letters. */
const LENGTHS: Readonly<Record<string, number>> = {
  ...{ b: 1, B: 1, t: 1, s: 2, u: 2, U: 2, I: 4, i: 4, f: 4, l: 8, L: 8, d: 8, T: 8, D: 5, V: 0 },
};

function renameInTable(bytes: Uint8Array, view: DataView, start: number): number {
  const end = start + 4 + view.getUint32(start);
  for (let at = start + 4; at < end;) at = renameInValue(bytes, view, at + 1 + bytes[at]);
  return end;
}

function renameInValue(bytes: Uint8Array, view: DataView, at: number): number {
  const letter = String.fromCharCode(bytes[at]);
  if (letter === "L") bytes[at] = 0x6c;
  const value = at + 1;
  if (letter === "F") return renameInTable(bytes, view, value);
  if (letter === "S" || letter === "x") return value + 4 + view.getUint32(value);
  if (letter === "A") {
    const end = value + 4 + view.getUint32(value);
    for (let item = value + 4; item < end;) item = renameInValue(bytes, view, item);
    return end;
  }
  return value + (LENGTHS[letter] ?? Infinity);
}
