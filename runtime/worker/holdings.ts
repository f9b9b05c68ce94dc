/**
 * What a pool holds, isolate by isolate, and the questions about it: **dispatch**. Nothing is started or ended here.
 */
import { peekTask } from "../protocol/task_message.ts";
import type { Delivery } from "../transport/transport.ts";
import type { Held, Lane } from "./lane.ts";
import type { Silence } from "./watch.ts";

export class Holdings {
  /** They get what comes. */
  readonly atWork: Lane[] = [];
  /** Isolates whose place another has taken, each until the last job that runs in it is reported. */
  readonly retired = new Set<Lane>();
  /** What no isolate has room for at the moment. */
  homeless: Delivery[] = [];

  /** All isolates, whatever they still do. */
  get lanes(): Lane[] {
    return [...this.atWork, ...this.retired];
  }

  /** How many more deliveries there is room for. */
  get room(): number {
    let room = -this.homeless.length;
    for (const lane of this.atWork) room += lane.room;
    return Math.max(0, room);
  }

  /** Whether an isolate will soon have nothing to do. */
  get hungry(): boolean {
    return this.atWork.some((lane) => lane.hungry);
  }

  /** How many deliveries there are. */
  get size(): number {
    let size = this.load;
    for (const lane of this.retired) size += lane.size;
    return size;
  }

  /** How many of them are not in isolates whose place another has taken. */
  get load(): number {
    let load = this.homeless.length;
    for (const lane of this.atWork) load += lane.size;
    return load;
  }

  /** How many of them run now. */
  get running(): number {
    let running = 0;
    for (const lane of this.atWork) running += lane.running;
    for (const lane of this.retired) running += lane.running;
    return running;
  }

  /**
   * The delivery that is held under a task's id, and whether it runs; where there are two, the one that runs. Looks into
   * all that is held: for rare questions only.
   */
  find(id: string): Held | undefined {
    const found = this.lanes.flatMap((lane) => lane.find(id));
    for (const delivery of this.homeless) {
      if (peekTask(delivery.text)?.id === id) found.push({ delivery, running: false });
    }
    return found.find(({ running }) => running) ?? found[0];
  }

  /** The delivery that is held under a task's id, be it done and not reported yet. */
  held(id: string): Delivery | undefined {
    for (const lane of this.lanes) {
      const delivery = lane.held(id);
      if (delivery !== undefined) return delivery;
    }
    return this.find(id)?.delivery;
  }

  /** All that is held and not done. */
  list(): Held[] {
    const waiting = this.homeless.map((delivery) => ({ delivery, running: false }));
    return this.lanes.flatMap((lane) => lane.list()).concat(waiting);
  }

  /** Asks isolates in which something runs for a sign of life, and tells which have not answered yet. */
  silences(): Silence[] {
    return this.lanes.flatMap((lane) => {
      const ms = lane.silence();
      if (ms === 0) return [];
      const running = lane.list().filter(({ running }) => running);
      const tasks = running.map(({ delivery }) => {
        const { task, id } = peekTask(delivery.text) ?? {};
        return `${task}[${id}]`;
      });
      return [{ ms, tasks }];
    });
  }

  /**
   * Takes one delivery out unless it has started: tells whether it was taken, runs, or is done (or not held), and which
   * isolate has or had it.
   */
  withdraw(delivery: Delivery): { readonly was: "taken" | "running" | "done"; readonly lane?: Lane } {
    const homeless = this.homeless.indexOf(delivery);
    if (homeless >= 0) {
      this.homeless.splice(homeless, 1);
      return { was: "taken" };
    }
    for (const lane of this.lanes) {
      const was = lane.withdraw(delivery);
      if (was !== "gone") return { was, lane };
    }
    return { was: "done" };
  }

  /** Takes back all that has not started. */
  takeBack(): Delivery[] {
    const taken = this.lanes.flatMap((lane) => lane.takeBack(Infinity)).concat(this.homeless);
    this.homeless = [];
    return taken;
  }

  /** Takes an isolate out, and tells what it was. */
  remove(lane: Lane): "at work" | "retired" | "gone" {
    if (this.retired.delete(lane)) return "retired";
    const index = this.atWork.indexOf(lane);
    if (index < 0) return "gone";
    this.atWork.splice(index, 1);
    return "at work";
  }

  /** Empties it, and ends all isolates at once: what may have run in them, and what had not started. */
  terminate(): { started: Delivery[]; unstarted: Delivery[] } {
    const left = { started: [] as Delivery[], unstarted: this.homeless };
    this.homeless = [];
    const lanes = this.lanes;
    this.atWork.length = 0;
    this.retired.clear();
    for (const lane of lanes) {
      lane.isolate.terminate();
      const { started, unreported, unstarted } = lane.abandon();
      left.started.push(...started, ...unreported);
      left.unstarted.push(...unstarted);
    }
    return left;
  }
}
