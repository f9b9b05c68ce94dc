import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArgumentsError, bindArguments } from "../../runtime/isolate/arguments.ts";
import type { RegisteredTask, TaskFunction, TaskOptions } from "../../runtime/isolate/task_definition.ts";

function registered(run: (...args: never[]) => unknown, options: TaskOptions = {}): RegisteredTask {
  return { name: "m.f", module: "m.ts", run: run as TaskFunction, options };
}

const named = registered((x: number, y: number, z = 0) => x + y + z, { params: ["x", "y", "z"] });

describe("arguments of a call", () => {
  it("pass positional ones on as they are", () => {
    assert.deepEqual(bindArguments(registered(() => 0), [1, 2, 3], {}), [1, 2, 3]);
    assert.deepEqual(bindArguments(named, [1, 2], {}), [1, 2]);
  });

  it("hand keyword arguments over as one last object where no names are known", () => {
    assert.deepEqual(bindArguments(registered(() => 0), [1], { a: 2 }), [1, { a: 2 }]);
  });

  it("fill parameters by name", () => {
    assert.deepEqual(bindArguments(named, [], { y: 2, x: 1 }), [1, 2]);
    assert.deepEqual(bindArguments(named, [1], { y: 2, z: 3 }), [1, 2, 3]);
  });

  it("count a bound task's context for nothing", () => {
    const bound = registered((_ctx: unknown, x: number) => x, { params: ["x"], bind: true });
    assert.deepEqual(bindArguments(bound, [], { x: 1 }), [1]);
  });

  for (
    const [what, args, kwargs, message] of [
      ["an unknown name", [1, 2], { q: 1 }, "m.f() got an unexpected keyword argument 'q'"],
      ["a name given twice", [1, 2], { x: 1 }, "m.f() got multiple values for argument 'x'"],
      ["a missing one", [1], {}, "m.f() missing 1 required positional argument: 'y'"],
      ["all missing", [], {}, "m.f() missing 2 required positional arguments: 'x' and 'y'"],
      ["too many", [1, 2, 3, 4], {}, "m.f() takes 3 positional arguments but 4 were given"],
    ] as const
  ) {
    it(`refuse ${what} as Python does`, () => {
      assert.throws(
        () => bindArguments(named, [...args], { ...kwargs }),
        (error) => error instanceof ArgumentsError && error.name === "TypeError" && error.message === message,
      );
    });
  }
});
