"""Functions and values that several tests share."""

import contextlib
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from gan.metrics.evaluation import ImageSubset

# Two tests run at a time, a core each: small operations on two threads mostly wait. What test_train types
# has all of them.
THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


BODY = bytes(range(256)) * 10_000  # more than one block


@contextlib.contextmanager
def serving(body=BODY, *, ranges=True, cut=0, shift=0):
    """Serves `body` at the yielded address; the list beside it fills with the Range of each request.

    Without `ranges` they are ignored; `cut` bytes are missing at the end; `shift` is a wrong start.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Range"])
            start = int(asked[-1][6:-1]) if asked[-1] and ranges else 0
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
        yield f"http://127.0.0.1:{server.server_port}/faces.zip", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def until(page, told):
    """Waits for an expression to be true of a page: Playwright's own way is what the page's policy forbids."""
    for _ in range(100):
        if page.evaluate(told):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never: {told}")


def faces(count, seed):
    """Coarse random pictures, uint8 (count, 16, 16, 3): their law is what there is to learn."""
    small = np.random.default_rng(seed).integers(60, 160, (count, 4, 4, 3), np.uint8)
    return small.repeat(4, axis=1).repeat(4, axis=2)


def real(images):
    """All of some images."""
    return ImageSubset(images, np.arange(len(images)))
