/** Where settings come from: the settings file and the environment. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readEnvironment } from "../../runtime/config/environment.ts";
import { SettingsError } from "../../runtime/config/resolve.ts";
import { readSettingsFile } from "../../runtime/config/settings_file.ts";
import { nearest } from "../../runtime/config/suggest.ts";

describe("the settings file", () => {
  let base: string;
  before(async () => {
    base = await mkdtemp(join(tmpdir(), "celeriac-config-"));
  });
  after(() => rm(base, { recursive: true }));

  /** A folder with these files in it. */
  async function folder(files: Record<string, string>): Promise<string> {
    const path = await mkdtemp(join(base, "f-"));
    for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
    return path;
  }

  it("may be missing", async () => {
    assert.equal(await readSettingsFile(await folder({})), null);
  });

  it("is read as JSON or as the default export of a module", async () => {
    assert.deepEqual(await readSettingsFile(await folder({ "celeriac.json": '{"resultExpires": 5}' })), {
      from: "celeriac.json",
      settings: { resultExpires: 5 },
    });
    const module = "const seconds: number = 6;\nexport default { resultExpires: seconds };\n";
    assert.deepEqual(await readSettingsFile(await folder({ "celeriac.ts": module })), {
      from: "celeriac.ts",
      settings: { resultExpires: 6 },
    });
  });

  it("is the one that is named, whatever else is there", async () => {
    const path = await folder({
      "celeriac.json": "{}",
      "celeriac.ts": "",
      "other.json": '{"workerSlots": 3}',
    });
    assert.deepEqual(await readSettingsFile(path, "other.json"), {
      from: "other.json",
      settings: { workerSlots: 3 },
    });
  });

  it("says what is wrong with it", async () => {
    const cases: [Record<string, string>, string | undefined, RegExp][] = [
      [
        { "celeriac.json": "{", "celeriac.ts": "" },
        undefined,
        /^celeriac\.json and celeriac\.ts are both here: keep one/,
      ],
      [{ "celeriac.json": "{" }, undefined, /^celeriac\.json can't be read: /],
      [{}, "missing.json", /^missing\.json can't be read: /],
      [{}, "missing.ts", /^missing\.ts can't be read: /],
      [
        { "celeriac.ts": "export const a = 1;" },
        undefined,
        /^celeriac\.ts has no settings: export them as its default/,
      ],
      [
        { "celeriac.ts": 'throw new Error("no such host");' },
        undefined,
        /^celeriac\.ts does not load: [^]*no such host/,
      ],
    ];
    for (const [files, path, message] of cases) {
      await assert.rejects(readSettingsFile(await folder(files), path), (error: unknown) => {
        assert.ok(error instanceof SettingsError);
        assert.match(error.message, message);
        return true;
      });
    }
  });
});

describe("the environment", () => {
  it("gives broker and result backend, ours before Celery's", () => {
    assert.deepEqual(readEnvironment({}).settings, {});
    assert.deepEqual(
      readEnvironment({
        CELERY_BROKER_URL: "redis://a",
        CELERIAC_BROKER_URL: "redis://b",
        CELERY_RESULT_BACKEND: "redis://c",
      })
        .settings,
      { brokerUrl: "redis://b", resultBackend: "redis://c" },
    );
  });

  it("takes an empty variable for unset", () => {
    assert.deepEqual(
      readEnvironment({ CELERIAC_BROKER_URL: "", CELERY_BROKER_URL: "redis://a", NO_COLOR: "" }),
      {
        settings: { brokerUrl: "redis://a" },
        noColor: false,
      },
    );
    assert.equal(readEnvironment({ NO_COLOR: "1" }).noColor, true);
  });
});

describe("suggestions", () => {
  it("are near, or none", () => {
    assert.equal(nearest("wroker", ["call", "worker"]), "worker");
    assert.equal(nearest("RESULTEXPIRES", ["resultExpires"]), "resultExpires");
    assert.equal(nearest("something", ["worker", "call"]), undefined);
  });
});
