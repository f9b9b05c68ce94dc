/** URLs of Redis, as kombu and Celery read them. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { readRedisUrl } from "../../../runtime/transport/redis/place.ts";

describe("the URL of a Redis", () => {
  const folder = mkdtempSync(join(tmpdir(), "celeriac-place-"));
  after(() => rmSync(folder, { recursive: true }));

  it("names host, port and database, with defaults", () => {
    const places: [string, string, number, number][] = [
      ["redis://", "localhost", 6379, 0],
      ["redis:///", "localhost", 6379, 0],
      ["redis:///3", "localhost", 6379, 3],
      ["redis://:7000/3", "localhost", 7000, 3],
      ["redis://:123@/3", "localhost", 6379, 3],
      ["redis://h", "h", 6379, 0],
      ["redis://h/", "h", 6379, 0],
      ["redis://h:6380", "h", 6380, 0],
      ["redis://h:80/1", "h", 80, 1],
      ["redis://h:6380/15", "h", 6380, 15],
      ["redis://h/7?visibility_timeout=60", "h", 6379, 7],
      ["redis://h?virtual_host=4", "h", 6379, 4],
      ["REDIS://h", "h", 6379, 0],
      ["rediss://h:6390/2", "h", 6390, 2],
      ["redis://127.0.0.1:7000/0", "127.0.0.1", 7000, 0],
      ["redis://[::1]:7000/0", "::1", 7000, 0],
    ];
    for (const [url, host, port, db] of places) {
      const place = readRedisUrl(url);
      assert.deepEqual([place.host, place.port, place.db], [host, port, db], url);
    }
  });

  it("holds a user and a password, with escapes", () => {
    const login = (url: string) => {
      const { username, password } = readRedisUrl(url);
      return [username, password];
    };
    assert.deepEqual(login("redis://h"), [undefined, undefined]);
    assert.deepEqual(login("redis://:secret@h"), [undefined, "secret"]);
    assert.deepEqual(login("redis://me:secret@h"), ["me", "secret"]);
    assert.deepEqual(login("redis://me@h"), ["me", undefined]);
    assert.deepEqual(login("redis://m%40e:p%40%3A%2F%25w%20d@h/1"), ["m@e", "p@:/%w d"]);
  });

  it("leads to a socket", () => {
    for (
      const url of [
        "redis+socket:///tmp/redis.sock?virtual_host=5",
        "socket:///tmp/redis.sock?virtual_host=/5",
      ]
    ) {
      const place = readRedisUrl(url);
      assert.deepEqual([place.socket, place.db], ["/tmp/redis.sock", 5]);
    }
    assert.equal(readRedisUrl("redis+socket://:pw@/tmp/my%20redis.sock").password, "pw");
    assert.equal(readRedisUrl("redis+socket://:pw@/tmp/my%20redis.sock").socket, "/tmp/my redis.sock");
  });

  it("takes kombu's options", () => {
    const place = readRedisUrl(
      "redis://h/0?visibility_timeout=1800&global_keyprefix=app:&socket_timeout=3&unknown=1",
    );
    assert.equal(place.visibilityTimeout, 1800);
    assert.equal(place.keyPrefix, "app:");
    assert.equal(readRedisUrl("redis://h").visibilityTimeout, undefined);
    assert.equal(readRedisUrl("redis://h").keyPrefix, "");
  });

  it("says how a certificate is checked", () => {
    assert.equal(readRedisUrl("redis://h").tls, undefined);
    for (
      const [check, strict] of [["CERT_REQUIRED", true], ["optional", true], ["CERT_NONE", false], [
        "none",
        false,
      ]]
    ) {
      assert.equal(readRedisUrl(`rediss://h?ssl_cert_reqs=${check}`).tls?.rejectUnauthorized, strict);
    }
    assert.equal(readRedisUrl("rediss://h").tls?.rejectUnauthorized, true);
    assert.equal(readRedisUrl("rediss://h").tls?.servername, "h");
    assert.equal(readRedisUrl("rediss://10.0.0.1").tls?.servername, undefined);
    assert.equal(readRedisUrl("rediss://h").tls?.checkServerIdentity, undefined);
    assert.equal(
      typeof readRedisUrl("rediss://h?ssl_check_hostname=False").tls?.checkServerIdentity,
      "function",
    );
    const files = ["ca", "cert", "key"].map((name) => join(folder, `${name} file.pem`));
    for (const file of files) writeFileSync(file, `text of ${file}`);
    const [ca, cert, key] = files.map(encodeURIComponent);
    const { tls } = readRedisUrl(`rediss://h?ssl_ca_certs=${ca}&ssl_certfile=${cert}&ssl_keyfile=${key}`);
    assert.deepEqual([tls?.ca, tls?.cert, tls?.key], files.map((file) => `text of ${file}`));
  });

  it("is told apart by the database it leads to, and by nothing else", () => {
    const same = (a: string, b: string) => readRedisUrl(a).identity === readRedisUrl(b).identity;
    assert.ok(same("redis://h/1", "redis://me:secret@h:6379/1?global_keyprefix=x"));
    assert.ok(same("redis://", "redis://localhost:6379/0"));
    assert.ok(!same("redis://h/1", "redis://h/2"));
    assert.ok(!same("redis://h:1/0", "redis://h:2/0"));
    assert.ok(!same("redis+socket:///a", "redis+socket:///b"));
  });

  it("names sentinels, as kombu writes them and with commas", async () => {
    const { readSeeds } = await import("../../../runtime/transport/redis/seeds.ts");
    const hosts = [{ host: "a", port: 26379 }, { host: "::1", port: 5 }];
    const urls = [
      "sentinel://me:pw@a;sentinel://me:pw@[::1]:5/3?master_name=shop",
      "sentinel://me:pw@a/3;sentinel://[::1]:5?master_name=shop",
      "redis+sentinel://me:pw@a,[::1]:5/3?master_name=shop",
      "redis+sentinel://me:pw@a:26379,[::1]:5/shop/3",
    ];
    for (const url of urls) {
      const seeds = readSeeds(url)!;
      assert.deepEqual([seeds.kind, seeds.hosts, seeds.master], ["sentinel", hosts, "shop"], url);
      const { db, username, password, tls, finder, name, identity } = readRedisUrl(url);
      assert.deepEqual([db, username, password, tls], [3, "me", "pw", undefined], url);
      assert.ok(finder !== undefined);
      assert.doesNotMatch(name, /pw/);
      assert.equal(identity, readRedisUrl(urls[0]).identity);
    }
    assert.equal(readRedisUrl("rediss+sentinel://10.0.0.1/shop").tls?.rejectUnauthorized, true);
    assert.equal(readSeeds("redis://a"), undefined);
    const { name } = readRedisUrl("sentinel://a/0?master_name=shop&sentinel_password=pw&global_keyprefix=x");
    assert.equal(name, "sentinel://a/0?master_name=shop&sentinel_password=**&global_keyprefix=x");
  });

  it("names some nodes of a cluster", () => {
    for (
      const url of ["redis+cluster://me:pw@a,b:7000", "redis+cluster://me:pw@a;redis+cluster://b:7000/0"]
    ) {
      const { cluster, finder, username, password, db, identity } = readRedisUrl(url);
      assert.deepEqual([username, password, db, finder], ["me", "pw", 0, undefined]);
      assert.ok(cluster !== undefined);
      assert.equal(identity, readRedisUrl("redis+cluster://b:7000,a:6379").identity);
    }
  });

  it("says how many replicas are to have what is published", () => {
    assert.equal(readRedisUrl("redis://h").replicas, undefined);
    assert.equal(readRedisUrl("redis://h?replicas=0").replicas, undefined);
    assert.deepEqual(readRedisUrl("redis://h?replicas=1").replicas, { count: 1, timeout: 5 });
    assert.deepEqual(readRedisUrl("redis://h?replicas=2&replicas_timeout=0.5").replicas, {
      count: 2,
      timeout: 0.5,
    });
  });

  it("that makes no sense is refused, its password unseen", () => {
    const bad: [string, RegExp][] = [
      ["http://h", /no Redis URL/],
      ["nonsense", /not a URL/],
      ["redis://:hunter2@h/queue", /"queue": a Redis database is a number/],
      ["redis://:hunter2@h/-1", /"-1"/],
      ["redis://:hunter2@h:99999/0", /no Redis URL/],
      ["redis://:hunter2%zz@h/0", /write %25/],
      ["redis://:hunter2@h/0?visibility_timeout=soon", /visibility_timeout=soon/],
      ["redis://:hunter2@h/0?replicas=all", /replicas=all/],
      ["redis://:hunter2@h/0?replicas=1&replicas_timeout=0", /replicas_timeout=0/],
      ["sentinel://:hunter2@h:1;sentinel://h:2/0", /does not say which master/],
      ["redis+sentinel://:hunter2@h:one/shop", /can't be read/],
      ["redis+cluster://:hunter2@h/1", /a Redis Cluster has no databases/],
      ["sentinel://:hunter2@h;redis://g/0?master_name=shop", /can't be read/],
      ["rediss://:hunter2@h/0?ssl_cert_reqs=MAYBE", /ssl_cert_reqs=MAYBE/],
      ["rediss://:hunter2@h/0?ssl_ca_certs=/no/such/file", /\/no\/such\/file, and that file cannot be read/],
    ];
    for (const [url, message] of bad) {
      assert.throws(() => readRedisUrl(url), (error: Error) => {
        assert.equal(error.name, "BadUrlError");
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      });
    }
    assert.equal(readRedisUrl("redis://:hunter2@h/0").name, "redis://:**@h/0");
  });
});
