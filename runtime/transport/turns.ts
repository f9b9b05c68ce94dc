/** How a receiver's queues take turns in one fetch, on the step receive of a task's way. */

/**
 * Asks each queue for its fair share of `room`, beginning with the one at `start`: a queue with little gets all of
 * it out, however much the others have, and what it leaves goes to the others.
 *
 * @param take Takes at most `most` from a queue and tells how many it took.
 */
export function takeTurns(
  queues: readonly string[],
  start: number,
  room: number,
  take: (queue: string, most: number) => number,
): void {
  let left = room;
  let asked = queues.map((_, index) => queues[(start + index) % queues.length]);
  while (left > 0 && asked.length > 0) {
    const full: string[] = [];
    for (const [index, queue] of asked.entries()) {
      const share = Math.ceil(left / (asked.length - index));
      if (share === 0) break;
      const taken = take(queue, share);
      left -= taken;
      if (taken === share) full.push(queue);
    }
    asked = full;
  }
}
