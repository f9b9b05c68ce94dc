/** What a client is connected to, its broker and its result store: opened when first used, before it **publishes**. */
import type { Clock } from "../clock.ts";
import type { Settings } from "../config/settings.ts";
import { uid } from "../protocol/uid.ts";
import { isAmqp, openResultStore, resultUrl } from "../results/open.ts";
import type { ResultStore } from "../results/result_store.ts";
import { openTransport } from "../transport/open.ts";
import type { Transport } from "../transport/transport.ts";
import { openWithin } from "./connect.ts";

/** The connections of one app. After {@linkcode Connections.close} the next use opens them anew. */
export class Connections {
  /** Where the results are. */
  readonly resultUrl: string;
  /** The queue of the app's own results, where results are sent to their callers. */
  readonly replyTo: string | undefined;
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #random: () => number;
  #transport: Promise<Transport> | undefined;
  #results: Promise<ResultStore> | undefined;
  /** Ends the connecting that is still under way. */
  #closing = new AbortController();

  constructor(settings: Settings, clock: Clock, random: () => number) {
    this.#settings = settings;
    this.#clock = clock;
    this.#random = random;
    this.resultUrl = resultUrl(settings);
    this.replyTo = isAmqp(this.resultUrl) ? uid() : undefined;
  }

  /**
   * The connection to the broker.
   *
   * @throws {BrokerUnavailableError} When it cannot be reached within `publishTimeout`.
   */
  transport(): Promise<Transport> {
    return this.#patiently(() => this.#openTransport());
  }

  /**
   * The result store.
   *
   * @throws {BrokerUnavailableError} When it cannot be reached within `publishTimeout`.
   */
  results(): Promise<ResultStore> {
    return this.#patiently(() => this.#openResults());
  }

  /** The connection to publish on, after one try; the queue for the results is there before the first task is. */
  async readyToSend(): Promise<Transport> {
    if (this.replyTo !== undefined) await this.#openResults();
    return await this.#openTransport();
  }

  /** Nobody connects any more; {@linkcode Connections.close} follows. */
  abort(): void {
    this.#closing.abort(new Error("the app was disconnected while it connected"));
    this.#closing = new AbortController();
  }

  /** Closes what is open. */
  async close(): Promise<void> {
    const opened = [this.#results, this.#transport];
    this.#results = this.#transport = undefined;
    for (const each of opened) await each?.then((each) => each[Symbol.asyncDispose](), () => {});
  }

  /** The connection that is there, or one try to have it. */
  #openTransport(): Promise<Transport> {
    if (this.#transport === undefined) {
      const { brokerUrl, brokerTransportOptions } = this.#settings;
      const shared = { ...brokerTransportOptions, clock: this.#clock, random: this.#random };
      const opening = connected(openTransport(brokerUrl, shared), this.#closing.signal);
      this.#transport = opening;
      // The next call tries anew.
      opening.catch(() => this.#transport === opening && (this.#transport = undefined));
    }
    return this.#transport;
  }

  #openResults(): Promise<ResultStore> {
    if (this.#results === undefined) {
      const options = { clock: this.#clock, replyTo: this.replyTo };
      const opening = connected(openResultStore(this.resultUrl, options), this.#closing.signal);
      this.#results = opening;
      opening.catch(() => this.#results === opening && (this.#results = undefined));
    }
    return this.#results;
  }

  #patiently<T>(open: () => Promise<T>): Promise<T> {
    return openWithin(this.#settings.publishTimeout, open, {
      clock: this.#clock,
      random: this.#random,
      signal: this.#closing.signal,
    });
  }
}

/** Connects what was opened, or closes it again. */
async function connected<T extends AsyncDisposable & { connect(signal: AbortSignal): Promise<void> }>(
  opening: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const opened = await opening;
  try {
    await opened.connect(signal);
    return opened;
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}
