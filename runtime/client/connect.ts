/** Opening brokers and stores for a client: tried for a while, since services start in any order. */
import { type Clock, sleep } from "../clock.ts";
import { BrokerUnavailableError } from "../transport/transport.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/**
 * Runs `open` until it succeeds.
 *
 * @param timeout Seconds after which it gives up.
 * @throws {BrokerUnavailableError} The last one, when there was no success in time.
 * @throws The signal's reason.
 */
export async function openWithin<T>(
  timeout: number,
  open: () => Promise<T>,
  { clock, random, signal }: { clock: Clock; random: () => number; signal?: AbortSignal },
): Promise<T> {
  const deadline = clock.monotonic() + timeout * 1000;
  for (let pause = FIRST_PAUSE_MS;; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
    try {
      return await open();
    } catch (error) {
      const hopeless = !(error instanceof BrokerUnavailableError) || error.permanent;
      const left = deadline - clock.monotonic();
      if (hopeless || left <= 0) throw error;
      await sleep(clock, Math.min(left, pause * (0.5 + random())), signal);
    }
  }
}
