"""A million images of 128 x 128, 49 GB: trained on from the cache file, of which little is in memory at any time."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import data
from gan.datasets import cache

ROOT = Path(__file__).parents[1]
COUNT, SIZE = 1_000_000, 128
# Training that takes little memory itself, with batches of the usual size. It is long enough for its first batches,
# which nothing prepares ahead, to weigh little.
FLAGS = [
    *("--image-size", f"{SIZE}", "--align", "no", "--width", "8", "--batch-size", "64", "--epochs", "32"),
    *("--data", "faces.npy", "--cache-dir", "cache", "--precision", "float32"),
    *("--ema-half-life", "0", "--penalty", "none", "--sample-every", "32"),
]  # fmt: skip
# train.py, which says when it starts its first step, and how much memory it had at most: its own, without pages of the
# cache file, which the system takes back when others need memory, and which stay the longer the busier the machine is.
PROGRAM = """
import re, sys, threading, time
import train
from dcgan import DCGAN
step, begun = DCGAN.train_step, []
def first_step(self, batch):
    if not begun:
        begun.append(print("first step after", time.time() - float(sys.argv[1])))
    return step(self, batch)
DCGAN.train_step = first_step
peak = 0
def watch():
    global peak
    while True:
        with open("/proc/self/status") as file:
            peak = max(peak, 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", file.read())[1]))
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
code = train.main(sys.argv[2:])
print("peak", peak)
sys.exit(code)
"""


class Found(Exception):
    """The path of the cache is known."""


def write_sparse(path):
    """Writes a .npy file of a million black images, which takes no space on disk."""
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (COUNT, SIZE, SIZE, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + COUNT * SIZE * SIZE * 3)


def write_cache(monkeypatch):
    """Writes the cache of faces.npy, in the current folder, as if it had been decoded."""
    paths = []

    def find(path, *args, **settings):
        paths.append(path)
        raise Found

    monkeypatch.setattr(cache, "open_or_build", find)
    with pytest.raises(Found):
        data.load("faces.npy", SIZE, cache_dir="cache")
    paths[0].parent.mkdir(exist_ok=True)
    write_sparse(paths[0])
    report = {
        "source": "faces.npy", "found": COUNT, "used": COUNT, "different": COUNT, "looks": {}, "modes": {"RGB": COUNT},
        "skipped": {"unreadable": 0, "passed_over": 0}, "sizes": {f"{SIZE}x{SIZE}": COUNT}, "distinct_sizes": 1,
        "size": SIZE, "key": paths[0].stem, "crop": "center square",
    }  # fmt: skip
    digests = np.random.default_rng(0).integers(0, 2**63, COUNT).astype(">u8")
    parts = [report, [], digests.tobytes().hex(), []]
    paths[0].with_suffix(".json").write_text(json.dumps([*parts, cache.compute_key(*parts)]))


@pytest.mark.slow(minutes=1)
@pytest.mark.skipif(sys.platform != "linux", reason="files are sparse, and memory is measured, as on Linux")
def test_a_million_images(tmp_path, monkeypatch):
    """The first step comes within 20 seconds, memory stays below 1.5 GB, and data are waited for in less than 5%."""
    monkeypatch.chdir(tmp_path)
    write_sparse(tmp_path / "faces.npy")
    write_cache(monkeypatch)
    line = [sys.executable, "-c", PROGRAM, f"{time.time()}", *FLAGS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    start, peak, waited = (
        float(re.search(pattern, done.stdout)[1])
        for pattern in (r"first step after ([\d.]+)", r"peak (\d+)", r"([\d.]+)% of it waiting")
    )
    print(f"first step after {start:.1f} s, {peak / 1e9:.2f} GB at most, {waited}% waiting")
    assert start < 20 and peak < 1.5e9 and waited < 5
