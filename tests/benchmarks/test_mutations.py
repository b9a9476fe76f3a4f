"""Mutations change what they are given, in every structure, and the same way for the same seed."""

import io
import json
import zipfile
from random import Random

import numpy as np
import pytest
from PIL import Image

from benchmarks import mutations


def png():
    """A small picture."""
    file = io.BytesIO()
    Image.new("RGB", (9, 9), (1, 2, 3)).save(file, "PNG")
    return file.getvalue()


def npy():
    """A small array."""
    file = io.BytesIO()
    np.save(file, np.arange(6))
    return file.getvalue()


SAMPLES = {
    "a.json": b'{"a": [1, {"b": "c"}], "d": null}', "a.csv": b"iteration,kid\n1,2.5\n2,1.5\n", "a.npy": npy(),
    "a.png": png(), "a.zip": mutations.write_zip([("a.png", png()), ("b.npy", npy())]), "a.bin": bytes(range(50)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_mutations_of_valid_files(name):
    """A hundred seeds give many different results, repeatably."""
    first, again = ([mutations.mutate(name, SAMPLES[name], Random(seed)) for seed in range(100)] for _ in range(2))
    assert first == again and len({*first} - {SAMPLES[name]}) > 60


def test_nothing_is_left_to_mutate():
    """An empty file has mutations as well."""
    assert {mutations.mutate(name, b"", Random(seed)) for name in SAMPLES for seed in range(50)} > {b""}


def test_json_stays_json():
    """Most mutations of a document are another document, and some are nested too deeply to read."""
    read, deep = 0, 0
    for seed in range(300):
        try:
            read += json.loads(mutations.mutate_json(SAMPLES["a.json"], Random(seed))) is not Ellipsis
        except RecursionError:
            deep += 1
        except ValueError:
            pass
    assert read > 150 and deep > 0


def test_a_bomb(monkeypatch):
    """Three gigabytes in a few megabytes, whatever the headers say."""
    content = mutations.inflate_entry(SAMPLES["a.zip"], Random(0))
    assert len(content) < 20 << 20
    unpacked = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = archive.infolist()[0]
        entry.file_size = 1 << 40
        with archive.open(entry) as file:
            while unpacked < 100 << 20:
                unpacked += len(file.read(1 << 20))
    assert unpacked >= 100 << 20
