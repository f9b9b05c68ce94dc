/**
 * Sends what a turn of the event loop has to say in one piece: amqplib writes each message and each acknowledgement by
 * itself, and every write is a call of the system. On **publish** and **settle**.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";

/** Bytes that are gathered at most; small enough to be copied quickly. */
const MOST = 64 * 1024;

/** Makes a socket gather what is written to it in one turn. */
export function gatherWrites(socket: Socket): void {
  const write = socket.write.bind(socket) as (bytes: Uint8Array) => boolean;
  let gathered: Uint8Array[] = [];
  let size = 0;
  let hasRoom = true;
  socket.on("drain", () => hasRoom = true);
  const send = () => {
    if (size === 0 || socket.destroyed) return;
    const bytes = gathered.length === 1 ? gathered[0] : Buffer.concat(gathered, size);
    gathered = [];
    size = 0;
    hasRoom = write(bytes);
  };
  const gather = (bytes: Uint8Array): boolean => {
    if (size === 0) queueMicrotask(send);
    gathered.push(bytes);
    size += bytes.length;
    if (size > MOST) send();
    // Whoever is told that there is no room waits for "drain", which comes after a write that found none.
    return hasRoom;
  };
  const end = socket.end.bind(socket);
  socket.write = gather as typeof socket.write;
  socket.end = ((...args: []) => {
    send();
    return end(...args);
  }) as typeof socket.end;
}
