"""Celery's side of the bench: its application and the tasks of ../tasks.ts. The worker runs it, client.py calls it."""
import os
import time

from celery import Celery
from celery.signals import worker_ready

URL = os.environ["BENCH_URL"]

app = Celery("tasks", broker=URL, backend=os.environ.get("BENCH_BACKEND", URL))


@worker_ready.connect
def say_ready(**_):
    # The descriptor itself: a worker makes log lines of what is printed.
    os.write(1, b"ready\n")


@app.task(name="tasks.add")
def add(x, y):
    return x + y


@app.task(name="tasks.since")
def since(sent, ms):
    """Takes `ms`, and tells how long after `sent` (ms since 1970) it was done."""
    if ms > 0:
        time.sleep(ms / 1000)
    return time.time() * 1000 - sent
