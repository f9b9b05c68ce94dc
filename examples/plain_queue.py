"""The other end of plain_queue.ts, with redis-py: python examples/plain_queue.py produce|consume"""
import json, os, sys
import redis

client = redis.Redis.from_url(os.environ.get("CELERIAC_BROKER_URL", "redis://localhost:6379/0"), decode_responses=True)
if sys.argv[1] == "produce":
    client.lpush("orders", "good morning", json.dumps({"order": 17, "items": ["tea", "milk"]}))
    print("sent two messages")
else:
    while item := client.brpop("orders", timeout=1):
        print("got", item[1])
