"""The FID network, as a small graph of the same kind: the names, shapes and operations of 2015, few weights."""

import contextlib
import gzip
import os
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from helpers import serving
from inception_graphs import (
    IMAGES,
    by_hand,
    constant,
    node,
    packed,
    pooling,
    save,
    small,
)

from gan.errors import RunError, UsageError
from gan.metrics import inception


@pytest.mark.parametrize("scaled", [False, True])
def test_features(tmp_path, scaled):
    """Five images give what NumPy gives, one gives the same alone, and the batch norm of 2015 runs."""
    features = inception.load(save(tmp_path / "a.pb", small(scaled=scaled)))
    answer = features(IMAGES)
    assert answer.dtype == tf.float32
    assert answer.shape == (5, 2048)
    np.testing.assert_allclose(answer, by_hand(IMAGES, scaled), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features(tf.constant(IMAGES[3:4])), answer[3:4], rtol=1e-5, atol=1e-6)


def test_batch_of_one(tmp_path):
    """A graph whose entrance, and whose notes on the nodes, are of one image takes five."""
    graph = small(placeholder=1)
    for each in graph.node:
        each.device = "/gpu:7"
        each.attr["_class"].list.s.append(b"loc:@gone")
        if each.name == "pool_3":
            each.attr["_output_shapes"].list.shape.add().CopyFrom(tf.TensorShape([1, 1, 1, 2048]).as_proto())
    features = inception.load(save(tmp_path / "a.pb", graph))
    np.testing.assert_allclose(features(IMAGES), by_hand(IMAGES), rtol=1e-4, atol=1e-5)


def test_load_packed(tmp_path):
    """A .tgz, by whatever name, is as good as the .pb in it, and has its digest."""
    plain = save(tmp_path / "a.pb", small())
    (tmp_path / "b").write_bytes(packed(data=plain.read_bytes()))
    np.testing.assert_array_equal(inception.load(tmp_path / "b")(IMAGES), inception.load(plain)(IMAGES))
    assert inception.digest(tmp_path / "b") == inception.digest(plain)


def test_digest(tmp_path):
    """SHA-256 of "abc" begins with ba7816bf 8f01cfea (FIPS 180-2)."""
    (tmp_path / "a").write_bytes(b"abc")
    assert inception.digest(tmp_path / "a") == "ba7816bf8f01cfea"


def test_only_what_is_needed_is_imported():
    """Nothing before Mul or after pool_3, no check for NaN, and no function by the name of an operation."""
    graph = small()
    graph.library.function.add().signature.name = "Relu"
    graph.node.add(name="thief", op="ReadFile")
    pruned = inception._pruned(graph)
    gone = {"DecodeJpeg", "Mul", "conv/CheckNumerics", "softmax", "thief"}
    assert {each.name for each in graph.node} - {each.name for each in pruned.node} == gone
    assert not pruned.library.function


def without(name):
    graph = small()
    graph.node.remove(next(each for each in graph.node if each.name == name))
    return graph


def changed(name, **fields):
    graph = small()
    for field, value in fields.items():
        setattr(next(each for each in graph.node if each.name == name), field, value)
    return graph


def narrow():
    graph = small()
    graph.node.remove(next(each for each in graph.node if each.name == "pool_3"))
    node(graph, "pool_3", "AvgPool", "pool", **pooling(2))
    return graph


def constant_end():
    graph = without("pool_3")
    constant(graph, "pool_3", np.zeros((1, 1, 1, 2048), np.float32))
    return graph


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it has no node named Mul"),
        (b"<html>Moved</html>", "it is not a TensorFlow graph"),
        (bytes(range(256)), "it is not a TensorFlow graph"),
        (small().SerializeToString()[:-99], "it is not a TensorFlow graph"),
        (without("Mul"), "it has no node named Mul"),
        (without("pool_3"), "it has no node named pool_3"),
        (without("conv"), "its node conv is missing"),
        (changed("conv", op="PyFunc"), "its node conv is a PyFunc, which is no part of that network"),
        (changed("join/concat_dim", op="ReadFile"), "its node join/concat_dim is a ReadFile"),
        (changed("pool_3", op="Concat"), "pool_3"),
        (narrow(), "its pool_3 has the shape (None, 1, 1, 3), where (n, 1, 1, 2048) is needed"),
        (constant_end(), "Mul:0"),
        (packed("other.pb"), "it holds no classify_image_graph_def.pb"),
        (packed(type=tarfile.SYMTYPE, linkname="/etc/passwd", data=b""), "is not a plain file"),
        (packed(type=tarfile.LNKTYPE, linkname="imagenet.txt", data=b""), "is not a plain file"),
        (packed(type=tarfile.DIRTYPE, data=b""), "is not a plain file"),
        (packed(pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.realsize": "9" * 15}), "is not a plain file"),
        (packed()[:-99], "it is not a whole .tgz"),
        (packed()[:5000], "it is not a whole .tgz"),
        (gzip.compress(b"no tar at all" * 99), "it is not a whole .tgz"),
        (b"\x1f\x8bgzip by its first two bytes", "it is not a whole .tgz"),
        (gzip.compress(bytes(2_000_000)), "it unpacks to more than 1,000,000 bytes"),
        (bytes(1_000_001), "it has more than 1,000,000 bytes"),
    ],
    ids=range(23),
)
def test_refused(tmp_path, monkeypatch, data, reason):
    """What is not the network is refused with the reason, with what is needed, and where to get it."""
    monkeypatch.setattr(inception, "LIMIT", 1_000_000)
    path = tmp_path / "a.pb"
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    with pytest.raises(UsageError) as caught:
        inception.load(path)
    message = str(caught.value)
    assert message.startswith(f"--inception {path}: ")
    assert reason in message
    assert "classify_image_graph_def.pb, or the .tgz that holds it (http://download.tensorflow.org/" in message
    assert "\n" not in message


def test_no_such_file(tmp_path):
    """A file that is not there, and a folder, are no graphs either."""
    with pytest.raises(UsageError, match="No such file"):
        inception.load(tmp_path / "a.pb")
    with pytest.raises(UsageError, match="Is a directory"):
        inception.digest(tmp_path)


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """`fetch(url)` into tmp_path/c from another address, and the titles of what it showed the progress of."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    titles = []

    @contextlib.contextmanager
    def progress(title):
        titles.append(title)
        yield lambda done, total: None

    def fetch(url):
        monkeypatch.setattr(inception, "URL", url)
        return inception.fetch(tmp_path / "c", progress), titles

    return fetch


def test_fetch(tmp_path, fetch):
    """The graph is downloaded once, its archive is not kept, and it loads."""
    with serving(packed()) as (url, asked):
        for _ in range(2):
            path, titles = fetch(url)
    assert len(asked) == 1
    assert titles == ["Downloading Inception"]
    assert path == tmp_path / "c" / "classify_image_graph_def.pb"
    assert os.listdir(tmp_path / "c") == [path.name]
    assert path.read_bytes() == small().SerializeToString()
    assert inception.load(path)(IMAGES[:1]).shape == (1, 2048)


def test_fetch_takes_an_archive_saved_by_hand(tmp_path, fetch):
    """What the message tells one to do without a network does it: no request is made."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.tgz").write_bytes(packed())
    path, titles = fetch("http://127.0.0.1:9/a.tgz")
    assert titles == []
    assert os.listdir(tmp_path / "c") == [path.name]


def test_fetch_refuses_a_bad_archive_saved_by_hand(tmp_path, fetch):
    """Half an archive is named, and stays: it is not ours to delete."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.tgz").write_bytes(packed()[:5000])
    with pytest.raises(RunError, match=r"Could not unpack .*a.tgz: it is not a whole .tgz .* Delete it"):
        fetch("http://127.0.0.1:9/a.tgz")
    assert os.listdir(tmp_path / "c") == ["a.tgz"]


def test_fetch_without_a_network(tmp_path, fetch):
    """The message has the address, where to save the file, and the flag for a copy elsewhere."""
    with serving() as (url, _):
        pass  # now nobody listens there
    with pytest.raises(RunError) as caught:
        fetch(url)
    assert url in str(caught.value)
    assert f"save it as {tmp_path / 'c' / 'faces.zip'}; a copy" in str(caught.value)
    assert str(caught.value).endswith("--inception PATH.")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>Sorry</html>", "not a whole .tgz"),
        (packed("other.pb"), "holds no classify_image_graph_def.pb"),
        (packed(type=tarfile.SYMTYPE, linkname="/etc/passwd", data=b""), "is not a plain file"),
    ],
    ids=["page", "other", "link"],
)
def test_fetch_of_something_else(tmp_path, fetch, body, reason):
    """An archive that is not the right one is not kept."""
    with serving(body) as (url, _), pytest.raises(RunError, match=reason):
        fetch(url)
    assert os.listdir(tmp_path / "c") == []
