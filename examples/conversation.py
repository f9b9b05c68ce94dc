"""The same as conversation.ts with redis-py alone: a message is JSON on a list, an empty one is the end.

    python examples/conversation.py answer ada
    python examples/conversation.py ask ada
"""

import json
import os
import sys

import redis

r = redis.Redis.from_url(os.environ.get("CELERIAC_BROKER_URL", "redis://localhost:6379/0"))
role, id = sys.argv[1:]
to_task, to_client = f"celeriac.to-task.{id}", f"celeriac.to-client.{id}"

if role == "ask":
    for n in [2, 3, 12]:
        r.rpush(to_task, json.dumps(n))
        answer = json.loads(r.blpop(to_client)[1])
        print(f"{n} squared is {answer['square']}")
    r.rpush(to_task, "")
else:
    while text := r.blpop(to_task)[1]:
        r.rpush(to_client, json.dumps({"square": json.loads(text) ** 2}))
    print("no more questions")
