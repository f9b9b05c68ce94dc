"""Celery's side of the bench: its application and the tasks of ../tasks.ts. The worker runs it, client.py calls it."""
import collections
import os
import re
import time

from celery import Celery
from celery.signals import worker_ready

URL = os.environ["BENCH_URL"]

# What no two programs take for different words.
PLAIN = re.compile(r"[\t-\r -~]*")

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


@app.task(name="tasks.sum")
def total(values):
    return sum(values)


@app.task(name="tasks.count")
def count(*paths):
    """Counts the words of some texts, as examples/wordcount_tasks.ts does."""
    return together(map(count_one, paths))


@app.task(name="tasks.merge")
def merge(chunks):
    """Puts together what chunks of calls have counted."""
    return together(part for chunk in chunks for part in chunk)


def count_one(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    words = len(text.split())
    return {
        "texts": 1,
        "words": words,
        "counts": collections.Counter(re.findall(r"[^\W\d_]+", text.lower())),
        "beyondAscii": [] if PLAIN.fullmatch(text) else [[path, words]],
    }


def together(parts):
    counts = collections.Counter()
    texts = words = 0
    beyond_ascii = []
    for part in parts:
        texts += part["texts"]
        words += part["words"]
        beyond_ascii += part["beyondAscii"]
        counts.update(part["counts"])
    return {"texts": texts, "words": words, "counts": counts, "beyondAscii": beyond_ascii}
