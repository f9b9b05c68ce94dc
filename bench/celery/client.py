"""Celery's client in the bench; ../client.ts tells it what to do."""
import json
import sys
import time

import workflows
from tasks import add, app


def publish(count, **_):
    began = time.perf_counter()
    # One connection for all of them, as Celery's documentation recommends for many calls.
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            add.apply_async((1, 2), producer=producer)
    return {"seconds": time.perf_counter() - began}


def call(pauses, **_):
    ms = []
    for pause in pauses:
        time.sleep(pause / 1000)
        began = time.perf_counter()
        value = add.delay(1, 2).get()
        ms.append((time.perf_counter() - began) * 1000)
        assert value == 3
    return {"ms": ms}


for line in sys.stdin:
    command = json.loads(line)
    answer = {"publish": publish, "call": call, "workflow": workflows.run}[command.pop("do")](**command)
    print(json.dumps(answer), flush=True)
