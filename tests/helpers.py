"""Functions and values that several tests share."""

import contextlib
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from gan.metrics.evaluation import ImageSubset

# Two tests run in parallel, each on one core, as small operations on two threads mostly wait. The subprocesses of
# test_train use all threads.
THREADS = {
    "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip

# Tests that `make test-slow` leaves out, because a shorter variant of each is among its own.
ALL = bool(os.environ.get("FACES_ALL"))
LONG = pytest.mark.skipif(not ALL, reason="takes long: set FACES_ALL=1")


@contextlib.contextmanager
def eager():
    """Runs what TensorFlow would compile as it stands, which is faster where it runs a few times.

    What graphs compute is tested where they are the subject, and by the runs of test_train.
    """
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)  # a fixture of the session may be made inside


def each_generator(*more):
    """Parameters of a test of every generator: its name, and `more`. All but the two least alike are slow tests."""
    from models import GENERATORS

    fast = ("self-modulated", "conv-dense")
    return [pytest.param(name, *more, marks=() if name in fast else pytest.mark.slow) for name in GENERATORS]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


BODY = bytes(range(256)) * 10_000  # more than one block


@contextlib.contextmanager
def serving(body=BODY, *, ranges=True, cut=0, shift=0):
    """Serves `body` over HTTP; yields the URL, and a list to which each request adds its Range header.

    Without `ranges`, Range headers are ignored. `cut` bytes at the end are not sent. `shift` is added to the start in
    Content-Range, which makes it wrong.
    """
    requested = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.headers["Range"])
            start = int(requested[-1][6:-1]) if requested[-1] and ranges else 0
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start + shift}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start : len(body) - cut])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/faces.zip", requested
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def until(page, expression):
    """Waits for a JavaScript expression to be true, as the page's security policy forbids Playwright's own function."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"timeout: {expression}")


def save_without_charts(patch):
    """While `patch` lasts, a run draws no charts and collects no garbage; its files are as ever."""
    patch.setattr("gan.training.loss_chart.draw_chart", lambda *args: None)
    patch.setattr("gan.training.trainer.release_memory", lambda: None)


def save_faster(patch):
    """While `patch` lasts, a run draws no charts, collects no garbage, and calibrates averages by few samples.

    Each takes longer than its training.
    """
    save_without_charts(patch)
    patch.setattr("gan.training.ema.STATISTICS_BATCHES", 2)
    patch.setattr("gan.training.ema.VARIANCE_BATCHES", 3)


def faces(count, seed):
    """Random images of 4 x 4 squares, uint8 (count, 16, 16, 3)."""
    small = np.random.default_rng(seed).integers(60, 160, (count, 4, 4, 3), np.uint8)
    return small.repeat(4, axis=1).repeat(4, axis=2)


def real(images):
    """An ImageSubset of all given images."""
    return ImageSubset(images, np.arange(len(images)))
