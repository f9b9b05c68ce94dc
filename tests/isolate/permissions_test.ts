import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { permissionsOf, plainPermissions, withSources } from "../../runtime/isolate/permissions.ts";

describe("permissions of a task", () => {
  it("have one form, however they are written", () => {
    const form = { read: ["/srv/data", "/srv/other"], net: ["a:443", "b"], env: true };
    assert.deepEqual(
      permissionsOf({ env: true, net: ["b", "a:443"], read: ["other", "/srv/data", "./data"] }, "/srv"),
      form,
    );
    assert.equal(
      JSON.stringify(
        permissionsOf({ read: ["data", "other"], write: false, net: ["a:443", "b"], env: true }, "/srv"),
      ),
      JSON.stringify(form),
    );
    assert.deepEqual(permissionsOf({ read: [new URL("file:///srv/a%20b")] }, "/"), { read: ["/srv/a b"] });
    assert.deepEqual(permissionsOf({ run: ["git"], ffi: "inherit" }), { run: ["git"], ffi: "inherit" });
  });

  it("that grant nothing are none", () => {
    for (const given of ["none", {}, { read: false }, { net: [] }]) {
      assert.equal(permissionsOf(given), "none");
    }
    assert.equal(permissionsOf("inherit"), "inherit");
  });

  it("that can't be are refused with what there is", () => {
    const refused: [unknown, RegExp][] = [
      [{ raed: true }, /^there is no permission raed; did you mean read\? \(there are read, write, net, env/],
      [
        { net: "api.example.com" },
        /^permissions\.net must be true, false, "inherit" or a list of texts, not "api/,
      ],
      [{ env: [1] }, /^permissions\.env must be .*, not \[1\]$/],
      ["all", /^permissions must be "none", "inherit" or an object, as .*, not "all"$/],
      [["read"], /^permissions must be /],
      [null, /^permissions must be /],
    ];
    for (const [given, message] of refused) {
      assert.throws(() => permissionsOf(given), { name: "TypeError", message });
    }
  });

  it("can be posted to another thread", () => {
    const posted = structuredClone(plainPermissions({ read: [new URL("file:///srv/data")], env: true }));
    assert.deepEqual(posted, { read: ["file:///srv/data"], env: true });
    assert.equal(plainPermissions("none"), "none");
  });

  it("of a gate are those of its isolate, and reading the sources", () => {
    const sources = ["/srv/tasks.ts"];
    assert.deepEqual(withSources({ permissions: "none", sources }), { read: sources });
    assert.deepEqual(withSources({ permissions: { read: ["/srv/data"], net: true }, sources }), {
      read: ["/srv/data", "/srv/tasks.ts"],
      net: true,
    });
    assert.deepEqual(withSources({ permissions: { read: true }, sources }), { read: true });
  });
});
