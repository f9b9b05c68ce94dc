/**
 * The one suite that every transport passes. What differs between brokers (how to reach one, how its time passes,
 * how a process on it dies) is the harness's to say; what a worker may rely on is said here, once.
 */
import { describe } from "node:test";
import { badItems } from "./transports/bad_items.ts";
import { broadcast } from "./transports/broadcast.ts";
import { countedStarts } from "./transports/counted_starts.ts";
import { deadLetters } from "./transports/dead_letters.ts";
import { delayed } from "./transports/delayed.ts";
import { follow } from "./transports/follow.ts";
import { leases } from "./transports/leases.ts";
import { publishAndReceive } from "./transports/publish_and_receive.ts";
import { queues } from "./transports/queues.ts";
import { revoked } from "./transports/revoked.ts";
import { settle } from "./transports/settle.ts";
import { turns } from "./transports/turns.ts";
import { waiting } from "./transports/waiting.ts";
import { testOn, type TransportHarness } from "./transports/setting.ts";

export {
  Heard,
  type Peer,
  taskMessage,
  type TestBroker,
  type TransportHarness,
} from "./transports/setting.ts";

/** Runs what every transport must do, against brokers that `harness` opens. */
export function transportSuite(name: string, harness: TransportHarness): void {
  const test = testOn(harness);
  describe(`transport ${name}: publish and receive`, () => publishAndReceive(test));
  describe(`transport ${name}: settle`, () => settle(test, harness));
  describe(`transport ${name}: what follows`, () => follow(test, harness));
  describe(`transport ${name}: priorities and turns`, () => turns(test));
  describe(`transport ${name}: delayed messages`, () => delayed(test));
  describe(`transport ${name}: bad items`, () => badItems(test));
  describe(`transport ${name}: dead letters`, () => deadLetters(test));
  describe(`transport ${name}: queues`, () => queues(test));
  describe(`transport ${name}: revoked ids`, () => revoked(test));
  describe(`transport ${name}: broadcast`, () => broadcast(test));
  describe(`transport ${name}: waiting`, () => waiting(test));
  describe(`transport ${name}: counted starts`, () => countedStarts(test));
  describe(`transport ${name}: leases`, () => leases(test));
}
