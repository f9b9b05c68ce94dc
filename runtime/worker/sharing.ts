/** How deliveries are shared among isolates: **dispatch**. */
import type { Delivery } from "../transport/transport.ts";
import type { Lane } from "./lane.ts";

/** How many of `count` deliveries each isolate gets: whichever would hold the least is next, while it has room. */
export function sharesOf(lanes: readonly Lane[], count: number): number[] {
  const shares: number[] = new Array(lanes.length).fill(0);
  for (let left = count; left > 0;) {
    let best = -1, least = Infinity, room = 0;
    for (let i = 0; i < lanes.length; i++) {
      const size = lanes[i].size + shares[i];
      if (size >= least || lanes[i].room <= shares[i]) continue;
      best = i;
      least = size;
      room = lanes[i].room - shares[i];
    }
    if (best < 0) break;
    const share = Math.min(room, Math.ceil(left / lanes.length));
    shares[best] += share;
    left -= share;
  }
  return shares;
}

/** Takes for an isolate that has nothing left half of what waits in the fullest of the others. */
export function takeFor(idle: Lane, lanes: readonly Lane[]): Delivery[] {
  let fullest: Lane | undefined;
  for (const lane of lanes) {
    if (lane !== idle && lane.size > 1 && (fullest === undefined || lane.size > fullest.size)) fullest = lane;
  }
  // What was handed over just now is about to start where it is.
  return fullest?.takeBack(Math.min(idle.room, Math.floor(fullest.size / 2)), 1) ?? [];
}
