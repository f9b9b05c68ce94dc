"""The other end of a line in plain redis-py: `end.py URL read LIST` prints texts until the empty one, `end.py URL send LIST
COUNT` pushes numbers and the end, `end.py URL answer LIST LIST` reads from one and sends back to the other."""
import json
import sys

import redis

url, what, line, *rest = sys.argv[1:]
r = redis.Redis.from_url(url)
if what == "send":
    for n in range(int(rest[0])):
        r.rpush(line, json.dumps({"n": n, "text": "Grüße"}))
    r.rpush(line, "")
else:
    while text := r.blpop(line)[1]:
        if what == "read":
            print(json.dumps(json.loads(text)), flush=True)
        else:
            r.rpush(rest[0], json.dumps(json.loads(text) * 2))
    if what == "answer":
        r.rpush(rest[0], "")
