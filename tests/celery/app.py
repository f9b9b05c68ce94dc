"""The Celery application of the tests: what the Python worker runs. `console.py` holds the client's side."""
import json
import os
import time

import redis
from celery import Celery, chain, group
from celery.exceptions import Ignore, Reject
from celery.signals import worker_ready

URL = os.environ["CELERY_TEST_URL"]

app = Celery("app", broker=URL, backend=os.environ.get("CELERY_TEST_BACKEND", URL))
app.conf.update(json.loads(os.environ.get("CELERY_TEST_CONF", "{}")))
# The client's own time limit for an answer is shorter than some of the waits below.
store = redis.Redis.from_url(URL, socket_timeout=None) if URL.startswith("redis") else None


@worker_ready.connect
def say_ready(**_):
    # The descriptor itself: a worker makes log lines of what is printed.
    os.write(1, b"ready\n")


class QuotaError(Exception):
    """A class that no other program has."""


@app.task(name="py.add")
def add(x, y):
    return x + y


@app.task(name="py.echo")
def echo(value):
    return value


@app.task(name="py.describe")
def describe(*args, **kwargs):
    """What arrived, as Python sees it."""
    return [repr(arg) for arg in args] + [f"{name}={kwargs[name]!r}" for name in sorted(kwargs)]


@app.task(name="py.make")
def make(source):
    """A value that only Python can write."""
    import datetime  # noqa: F401
    import decimal  # noqa: F401
    import uuid  # noqa: F401

    return eval(source)


@app.task(name="py.fail")
def fail(kind, *args):
    raise {"ValueError": ValueError, "KeyError": KeyError, "QuotaError": QuotaError}[kind](*args)


@app.task(name="py.request", bind=True)
def request(self):
    """What the worker made of the message."""
    r = self.request
    return {
        "id": r.id, "root_id": r.root_id, "parent_id": r.parent_id, "retries": r.retries, "eta": r.eta, "expires": r.expires,
        "timelimit": r.timelimit, "ignore_result": r.ignore_result, "shadow": r.shadow, "my": (r.headers or {}).get("my"),
        "argsrepr": r.argsrepr, "kwargsrepr": r.kwargsrepr, "reply_to": r.reply_to, "correlation_id": r.correlation_id,
        "delivery_info": r.delivery_info, "stamps": r.stamps,
    }


@app.task(name="py.note")
def note(key, text):
    """Leaves a trace beside the result."""
    store.rpush(key, text)


@app.task(name="py.failed")
def failed(task_id):
    """An error callback."""
    store.rpush("failed", task_id)


@app.task(name="py.started", track_started=True)
def started(gate):
    """Runs until somebody opens the gate."""
    store.blpop(gate, 20)
    return "through"


@app.task(name="py.progress", bind=True)
def progress(self, gate):
    self.update_state(state="PROGRESS", meta={"current": 3, "total": 10})
    store.blpop(gate, 20)
    return "done"


@app.task(name="py.rest")
def rest(seconds):
    time.sleep(seconds)


@app.task(name="py.retry", bind=True, max_retries=3)
def retry(self, times):
    """Fails so many times before it succeeds."""
    if self.request.retries < times:
        raise self.retry(exc=ValueError("again"), countdown=0.1)
    return self.request.retries


@app.task(name="py.ignores")
def ignores():
    raise Ignore()


@app.task(name="py.rejects", acks_late=True)
def rejects():
    raise Reject("not for me", requeue=False)


@app.task(name="py.becomes", bind=True)
def becomes(self, what, x):
    """Lets others take its place, in both workers."""
    here = app.signature("py.add", args=(x, 1), queue="theirs")
    there = app.signature("js.add", args=(10,), queue="ours")
    if what == "chain":
        return self.replace(chain(here, there))
    if what == "group":
        return self.replace(group([here, there.clone(args=(x,))]))
    return self.replace(there.clone(args=(x,)))


@app.task(name="py.adds", bind=True)
def adds(self, x):
    """Adds a part to its chord."""
    self.add_to_chord(app.signature("js.add", args=(x, 100), queue="ours"))
    return x


@app.task(name="py.sends")
def sends(x):
    """Sends a task and a group."""
    group([app.signature("js.add", args=(x, y), queue="ours") for y in (1, 2)]).delay()
    return app.send_task("js.request", queue="ours").id


@app.task(name="shared.again", bind=True)
def retry_shared(self):
    """Leaves the rest to the other worker."""
    raise self.retry(queue="ours", countdown=0)


@app.task(name="shared.run")
def run_shared(number):
    """Known to both workers: notes each of its runs, says who ran it."""
    store.hincrby("runs", number, 1)
    return "python"


@app.task(name="shared.held")
def hold_shared(number):
    """The same, but does not end by itself the first time that it runs anywhere."""
    if store.hincrby("runs", number, 1) == 1:
        store.rpush("held", "python")
        store.blpop("never", 60)
    return "python"


@app.task(name="shared.sleep")
def sleep_shared(number, seconds):
    store.hincrby("runs", number, 1)
    time.sleep(seconds)
    return "python"
