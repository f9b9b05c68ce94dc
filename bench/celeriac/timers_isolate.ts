/** An isolate that sets timers and cancels them, through its port to the hub; see `timers.ts`. */
import { type HubAnswer, type HubPlace, HubPort, type HubRequest } from "../../runtime/hub/port.ts";
import { writeTimerCall } from "../../runtime/hub/timer_call.ts";
import { uid } from "../../runtime/protocol/uid.ts";

/** Timers that are set, or cancelled, before answers are awaited. */
const AT_ONCE = 10_000;
const HOUR_MS = 3_600_000;

interface Start {
  readonly place: HubPlace;
  readonly port: MessagePort;
  readonly count: number;
}

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Start>) => void;
  postMessage(message: unknown): void;
};
scope.onmessage = ({ data }) => void run(data);

async function run({ place, port, count }: Start): Promise<void> {
  const hub = new HubPort(place, (request: HubRequest) => port.postMessage(request), () => performance.now());
  port.onmessage = ({ data }: MessageEvent<HubAnswer>) => hub.hear(data);
  const parentId = uid();
  const setSome = async (from: number, to: number): Promise<string[]> => {
    const ids: string[] = [];
    let held: Promise<number> | undefined;
    for (let i = from; i < to; i++) {
      const text = writeTimerCall({
        task: "callbacks.notify",
        args: [i],
        kwargs: {},
        options: {},
        parentId,
        rootId: parentId,
      });
      const timer = hub.set(hub.now + HOUR_MS + i, 0, false, text);
      ids.push(timer.id);
      held = timer.held;
    }
    await held;
    return ids;
  };
  // Once to be warm.
  for (const id of await setSome(0, AT_ONCE)) await hub.cancel(id);

  const ids: string[] = [];
  let began = performance.now();
  for (let i = 0; i < count; i += AT_ONCE) ids.push(...await setSome(i, Math.min(count, i + AT_ONCE)));
  const setting = performance.now() - began;
  began = performance.now();
  for (let i = 0; i < count; i += AT_ONCE) {
    const answers = await Promise.all(ids.slice(i, i + AT_ONCE).map((id) => hub.cancel(id)));
    if (answers.some((answer) => answer !== "cancelled")) throw new Error("one was not there");
  }
  const cancelling = performance.now() - began;
  scope.postMessage({ set: count / setting * 1000, cancel: count / cancelling * 1000 });
}
