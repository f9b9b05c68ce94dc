import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resolveSettings, SettingsError } from "../../runtime/config/resolve.ts";
import { defaultSettings, type GivenSettings } from "../../runtime/config/settings.ts";

const from = "celeriac.json";
const given = (settings: object) => ({ from, settings: settings as GivenSettings });

function refused(settings: object, message: string): void {
  assert.throws(() => resolveSettings(given(settings)), (error: unknown) => {
    assert.ok(error instanceof SettingsError);
    assert.equal(error.name, "SettingsError");
    assert.equal(error.message, message);
    return true;
  });
}

describe("resolving settings", () => {
  it("gives the defaults where nothing is said", () => {
    assert.deepEqual(resolveSettings(), defaultSettings);
    assert.equal(resolveSettings().brokerUrl, "sqlite:./celeriac.db");
  });

  it("lets later layers win, and merges the broker's options one by one", () => {
    const settings = resolveSettings(
      given({
        resultExpires: 500,
        taskDefaultQueue: "a",
        brokerTransportOptions: { lease: 3, maxDeliveries: 2 },
      }),
      { from: "the command line", settings: { taskDefaultQueue: "b", brokerTransportOptions: { lease: 4 } } },
    );
    assert.equal(settings.resultExpires, 500);
    assert.equal(settings.taskDefaultQueue, "b");
    assert.deepEqual(settings.brokerTransportOptions, {
      lease: 4,
      visibilityTimeout: 3600,
      maxDeliveries: 2,
      maxMessageBytes: 16_777_216,
      masterName: null,
    });
  });

  it("writes the name of the master into URLs of sentinels that don't say one", () => {
    const { brokerUrl, resultBackend } = resolveSettings(given({
      brokerUrl: "sentinel://a;sentinel://b/1",
      resultBackend: "redis+sentinel://c/1?master_name=other",
      brokerTransportOptions: { masterName: "the shop" },
    }));
    assert.equal(brokerUrl, "sentinel://a;sentinel://b/1?master_name=the%20shop");
    assert.equal(resultBackend, "redis+sentinel://c/1?master_name=other");
  });

  it("takes undefined for not given", () => {
    const settings = resolveSettings(
      given({ taskDefaultQueue: "a" }),
      given({ taskDefaultQueue: undefined }),
    );
    assert.equal(settings.taskDefaultQueue, "a");
  });

  it("refuses what does not exist, with the nearest name", () => {
    refused(
      { taskDefaultQeue: "x" },
      `${from}: there is no setting taskDefaultQeue; did you mean taskDefaultQueue?`,
    );
    refused(
      { result_expires: 1 },
      `${from}: there is no setting result_expires; did you mean resultExpires?`,
    );
    refused(
      { CELERY_RESULT_BACKEND: "" },
      `${from}: there is no setting CELERY_RESULT_BACKEND; did you mean resultBackend?`,
    );
    refused({ broker: "redis:" }, `${from}: there is no setting broker; did you mean brokerUrl?`);
    refused({ zzzzzzzz: 1 }, `${from}: there is no setting zzzzzzzz`);
    refused(
      { brokerTransportOptions: { visibility_timeout: 1 } },
      `${from}: there is no setting brokerTransportOptions.visibility_timeout; ` +
        "did you mean brokerTransportOptions.visibilityTimeout?",
    );
    refused({ constructor: 1 }, `${from}: there is no setting constructor`);
  });

  it("refuses a value of the wrong kind, and says which would be right", () => {
    refused(
      { resultExpires: "1 day" },
      `${from}: resultExpires is "1 day", but must be a number of seconds, 0 or more`,
    );
    refused({ workerSlots: 0 }, `${from}: workerSlots is 0, but must be a whole number, 1 or more`);
    refused(
      { taskDefaultPriority: 10 },
      `${from}: taskDefaultPriority is 10, but must be a whole number from 0 to 9, or null`,
    );
    refused(
      { acceptContent: ["pickle"] },
      `${from}: acceptContent is ["pickle"], but must be a list of "json" and "msgpack"`,
    );
    refused({ taskQueues: [] }, `${from}: taskQueues is [], but must be a list of texts, or null`);
    refused({ brokerTransportOptions: 5 }, `${from}: brokerTransportOptions is 5, but must be an object`);
    refused(
      { brokerTransportOptions: { lease: 0 } },
      `${from}: brokerTransportOptions.lease is 0, but must be a number of seconds above 0`,
    );
    refused({ taskAcksLate: "yes" }, `${from}: taskAcksLate is "yes", but must be true or false`);
    assert.throws(() => resolveSettings(given([])), {
      message: `${from}: the settings are [], not an object`,
    });
  });

  it("never shows what stands in place of a URL", () => {
    refused(
      { resultBackend: ["redis://:secret@h/0"] },
      `${from}: resultBackend is a list, but must be a text, or null`,
    );
    refused({ brokerUrl: "" }, `${from}: brokerUrl is empty, but must be a text`);
  });

  it("says in the URL of a RabbitMQ how queues are declared, unless it says so itself", () => {
    const urlOf = (brokerUrl: string) =>
      resolveSettings(given({ brokerUrl, taskDefaultQueueType: "quorum", taskQueueMaxPriority: 5 }))
        .brokerUrl;
    assert.equal(urlOf("amqp://h/v"), "amqp://h/v?queue_type=quorum&max_priority=5");
    assert.equal(urlOf("amqp://h?queue_type=classic"), "amqp://h?queue_type=classic&max_priority=5");
    assert.equal(urlOf("redis://h"), "redis://h");
    refused(
      { taskDefaultQueueType: "stream" },
      `${from}: taskDefaultQueueType is "stream", but must be "classic" or ` +
        `"quorum", or null`,
    );
  });

  it("takes each form of routes", () => {
    for (
      const taskRoutes of [null, {}, { "a.*": "q" }, { a: { queue: "q" } }, [[/a/, "q"], () => null, {
        a: "q",
      }]]
    ) {
      assert.equal(resolveSettings(given({ taskRoutes })).taskRoutes, taskRoutes);
    }
    for (const taskRoutes of ["a", 5, [5], { a: 5 }, [["a"]], [[/a/, 5]]]) {
      assert.throws(() => resolveSettings(given({ taskRoutes })), SettingsError);
    }
  });
});
