/** Channels in memory pass the suite of all channels. */
import { FakeTime } from "../fake_clock.ts";
import { channelSuite } from "./channels.ts";

let places = 0;

channelSuite("memory", {
  open() {
    const time = new FakeTime();
    return Promise.resolve({
      url: `memory:channels${++places}`,
      process: () => time.clock(),
      pass: (ms) => time.pass(ms),
      close: () => Promise.resolve(),
    });
  },
});
