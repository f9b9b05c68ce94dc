import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TimerHeap } from "../../runtime/hub/timer_heap.ts";

/** Numbers that look random and are the same each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

function takeAll(heap: TimerHeap, now = Infinity): string[] {
  const taken: string[] = [];
  heap.take(now, Infinity, (number, due, text) => taken.push(`${due}:${number}:${text}`));
  return taken;
}

describe("a timer heap", () => {
  it("gives out what is due in its order, timers of one time by their numbers", () => {
    const heap = new TimerHeap();
    heap.add(3, 20, "c");
    heap.add(9, 10, "b");
    heap.add(2, 10, "a");
    heap.add(4, 30, "d");
    assert.equal(heap.next, 10);
    assert.deepEqual(takeAll(heap, 20), ["10:2:a", "10:9:b", "20:3:c"]);
    assert.equal(heap.size, 1);
    assert.equal(heap.next, 30);
    assert.deepEqual(takeAll(heap, 29.999), []);
    assert.deepEqual(takeAll(heap), ["30:4:d"]);
    assert.equal(heap.next, Infinity);
  });

  it("takes no more at once than it is asked for", () => {
    const heap = new TimerHeap();
    for (let i = 1; i <= 10; i++) heap.add(i, i, "");
    const taken: number[] = [];
    assert.equal(heap.take(100, 4, (number) => taken.push(number)), 4);
    assert.deepEqual(taken, [1, 2, 3, 4]);
    assert.equal(heap.size, 6);
  });

  it("removes any timer by its number, once", () => {
    const heap = new TimerHeap();
    for (let i = 1; i <= 100; i++) heap.add(i, 100 - i, "");
    assert.equal(heap.remove(100), true);
    assert.equal(heap.remove(100), false);
    assert.equal(heap.remove(101), false);
    assert.equal(heap.remove(50), true);
    assert.equal(heap.next, 1);
    assert.equal(takeAll(heap).length, 98);
    assert.equal(heap.remove(1), false);
  });

  it("stays in order, whatever is added, removed and taken (against a sorted list)", () => {
    const random = numbers(7);
    const heap = new TimerHeap();
    let expected: { number: number; due: number }[] = [];
    let number = 0;
    for (let step = 0; step < 20_000; step++) {
      const what = random();
      if (what < 0.55) {
        // Numbers of several ends, times that are often the same.
        const timer = {
          number: ++number + Math.floor(random() * 3) * 2 ** 32,
          due: Math.floor(random() * 50),
        };
        heap.add(timer.number, timer.due, String(timer.number));
        expected.push(timer);
      } else if (what < 0.9 && expected.length > 0) {
        const at = Math.floor(random() * expected.length);
        assert.equal(heap.remove(expected[at].number), true);
        expected.splice(at, 1);
      } else {
        expected.sort((a, b) => a.due - b.due || a.number - b.number);
        const limit = Math.floor(random() * 4);
        const now = Math.floor(random() * 60);
        const due = expected.filter((timer) => timer.due <= now).slice(0, limit);
        const taken: string[] = [];
        heap.take(now, limit, (_number, _due, text) => taken.push(text));
        assert.deepEqual(taken, due.map(({ number }) => String(number)));
        expected = expected.filter((timer) => !due.includes(timer));
      }
      assert.equal(heap.size, expected.length);
    }
    expected.sort((a, b) => a.due - b.due || a.number - b.number);
    assert.deepEqual(
      heap.first(100).map(({ number }) => number),
      expected.slice(0, 100).map((each) => each.number),
    );
    assert.deepEqual(takeAll(heap), expected.map(({ number, due }) => `${due}:${number}:${number}`));
  });

  it("finds the first ones without being emptied", () => {
    const heap = new TimerHeap();
    const random = numbers(3);
    for (let i = 1; i <= 1000; i++) heap.add(i, random(), "");
    const first = heap.first(20);
    const all = heap.first(2000);
    assert.equal(all.length, 1000);
    assert.deepEqual(first, all.slice(0, 20));
    assert.deepEqual(all, [...all].sort((a, b) => a.due - b.due));
    assert.equal(heap.size, 1000);
    assert.deepEqual(new TimerHeap().first(5), []);
  });

  it("may be filled again by what it gives out, and after it held many", () => {
    const heap = new TimerHeap();
    for (let i = 1; i <= 100_000; i++) heap.add(i, i, "x");
    let again = 0;
    heap.take(200_000, 100_000, (number) => {
      if (number % 2 === 0) heap.add(number + 2 ** 33, 300_000, "again"), again++;
    });
    assert.equal(heap.size, again);
    for (let i = 2; i <= 100_000; i += 2) assert.equal(heap.remove(i + 2 ** 33), true);
    assert.equal(heap.size, 0);
    heap.add(1, 1, "one");
    assert.deepEqual(takeAll(heap), ["1:1:one"]);
  });
});
