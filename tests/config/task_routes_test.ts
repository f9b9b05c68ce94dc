import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileRoutes } from "../../runtime/config/task_routes.ts";

describe("routes", () => {
  it("find nothing where there are none", () => {
    assert.equal(compileRoutes(null)("a.b", [], {}), null);
    assert.equal(compileRoutes({})("a.b", [], {}), null);
  });

  it("prefer an exact name to a glob, and globs in their order", () => {
    const route = compileRoutes({ "img.*": "images", "*": { queue: "rest", priority: 3 }, "img.big": "big" });
    assert.deepEqual(route("img.big", [], {}), { queue: "big" });
    assert.deepEqual(route("img.resize.jpeg", [], {}), { queue: "images" });
    assert.deepEqual(route("mail.send", [], {}), { queue: "rest", priority: 3 });
  });

  it("take a glob's other letters as they stand", () => {
    const route = compileRoutes({ "a.b?": "q", "x(y": "p" });
    assert.equal(route("aXb1", [], {}), null);
    assert.deepEqual(route("a.b1", [], {}), { queue: "q" });
    assert.deepEqual(route("x(y", [], {}), { queue: "p" });
  });

  it("ask a function with the call, and go on where it says nothing", () => {
    const route = compileRoutes([
      (_name, args) => args.length > 2 ? "large" : undefined,
      (_name, _args, kwargs) => kwargs.urgent ? { queue: "fast", priority: 0 } : null,
      { "m.f": "plain" },
    ]);
    assert.deepEqual(route("m.f", [1, 2, 3], {}), { queue: "large" });
    assert.deepEqual(route("m.f", [], { urgent: true }), { queue: "fast", priority: 0 });
    assert.deepEqual(route("m.f", [], {}), { queue: "plain" });
    assert.equal(route("m.g", [], {}), null);
  });

  it("take pairs with regular expressions, sticky ones too", () => {
    const route = compileRoutes([[/^report_\d+$/g, "reports"], ["img.*", "images"]]);
    for (let i = 0; i < 3; i++) assert.deepEqual(route("report_12", [], {}), { queue: "reports" });
    assert.deepEqual(route("img.a", [], {}), { queue: "images" });
    assert.equal(route("xreport_12", [], {}), null);
  });
});
