/** What was restored becomes as if it never had been, byte for byte but for the marks. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deliveriesOf, markFresh, markRestored } from "../../runtime/protocol/redelivery.ts";

const ENVELOPE = `{"body": "W10=", "headers": {"id": "a", "n": 12345678901234567890}, ` +
  `"properties": {"delivery_info": {"exchange": "", "routing_key": "celery"}}}`;

describe("markFresh", () => {
  it("sets the marks of a restored message back, and touches nothing else", () => {
    const restored = markRestored(markRestored(ENVELOPE).text).text;
    assert.equal(deliveriesOf(restored), 2);
    const fresh = markFresh(restored);
    assert.equal(deliveriesOf(fresh), 0);
    assert.equal(
      fresh,
      restored.replace('"celeriac_deliveries": 2', '"celeriac_deliveries": 0').replaceAll(
        '"redelivered": true',
        '"redelivered": false',
      ),
    );
    assert.match(fresh, /12345678901234567890/);
    assert.equal(markRestored(fresh).deliveries, 1);
  });

  it("leaves what has no marks as it is", () => {
    for (
      const text of [ENVELOPE, '{"task": "a.b", "id": 1}', "{}", "not json", "[1]", "", '{"headers": 5}']
    ) {
      assert.equal(markFresh(text), text);
    }
  });

  it("knows the marks of a bare message, and no words inside of its values", () => {
    const bare = `{"task": "a.b", "args": ["\\"redelivered\\": true"]}`;
    const restored = markRestored(bare).text;
    assert.equal(deliveriesOf(markFresh(restored)), 0);
    assert.ok(markFresh(restored).includes(`["\\"redelivered\\": true"]`));
  });
});
