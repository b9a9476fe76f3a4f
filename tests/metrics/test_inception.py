"""The Inception graph, by a small one with the names, shapes and operations of 2015: features, and what is refused."""

import contextlib
import gzip
import os
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from helpers import serving
from inception_graphs import IMAGES, add_node, compute_features, pack, pool_attributes, save, small_graph

from gan.errors import RunError, UsageError
from gan.metrics import inception

GRAPH = "classify_image_graph_def.pb"


@pytest.mark.parametrize("scaled", [False, True])
def test_features(tmp_path, scaled):
    """Features of five images, and of one, match NumPy's; batch normalization is that of 2015."""
    features, _ = inception.load(save(tmp_path / "a.pb", small_graph(scaled=scaled)))
    found = features(IMAGES)
    assert found.dtype == np.float32 and found.shape == (5, 2048)
    np.testing.assert_allclose(found, compute_features(IMAGES, scaled), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features(IMAGES[3:4]), found[3:4], rtol=1e-5, atol=1e-6)


def test_graph_of_batches_of_one(tmp_path):
    """A graph whose placeholder, devices and private attributes are of one image on one machine takes five."""
    graph = small_graph(placeholder=1)
    for node in graph.node:
        node.device = "/gpu:7"
        node.attr["_class"].list.s.append(b"loc:@gone")
        if node.name == "pool_3":
            node.attr["_output_shapes"].list.shape.add().CopyFrom(tf.TensorShape([1, 1, 1, 2048]).as_proto())
    features, _ = inception.load(save(tmp_path / "a.pb", graph))
    np.testing.assert_allclose(features(IMAGES), compute_features(IMAGES), rtol=1e-4, atol=1e-5)


def test_archive(tmp_path):
    """A .tgz of any name gives the features and the digest of the .pb in it."""
    plain = save(tmp_path / "a.pb", small_graph())
    (tmp_path / "b").write_bytes(pack(data=plain.read_bytes()))
    (features, digest), (packed_features, packed_digest) = inception.load(plain), inception.load(tmp_path / "b")
    np.testing.assert_array_equal(packed_features(IMAGES), features(IMAGES))
    assert packed_digest == digest


def test_digest(tmp_path, monkeypatch):
    """SHA-256 of "abc" begins with ba7816bf 8f01cfea (FIPS 180-2)."""
    monkeypatch.setattr(inception, "build", lambda graph: None)
    monkeypatch.setattr(inception.tf.compat.v1.GraphDef, "FromString", lambda data: None)
    (tmp_path / "a").write_bytes(b"abc")
    assert inception.load(tmp_path / "a")[1] == "ba7816bf8f01cfea"


def test_prune():
    """Nothing before Mul or after pool_3 is kept, no check for NaN, and no function with the name of an operation."""
    graph = small_graph()
    graph.library.function.add().signature.name = "Relu"
    graph.node.add(name="thief", op="ReadFile")
    names = {node.name for node in graph.node}
    pruned = inception.prune(graph)
    removed = {"DecodeJpeg", "Mul", "conv/CheckNumerics", "softmax", "thief"}
    assert names - {node.name for node in pruned.node} == removed
    assert not pruned.library.function


def remove(name):
    graph = small_graph()
    graph.node.remove(next(node for node in graph.node if node.name == name))
    return graph


def change(name, op):
    graph = small_graph()
    next(node for node in graph.node if node.name == name).op = op
    return graph


def replace_end(op, *inputs, **attributes):
    graph = remove("pool_3")
    add_node(graph, "pool_3", op, *inputs, **attributes)
    return graph


REFUSED = {
    "empty": (b"", "it has no node"),
    "page": (b"<html>Moved</html>", "not a TensorFlow graph"),
    "bytes": (bytes(range(256)), "not a TensorFlow graph"),
    "cut": (small_graph().SerializeToString()[:-99], "not a TensorFlow graph"),
    "no start": (remove("Mul"), "it has no node Mul"),
    "no end": (remove("pool_3"), "it has no node pool_3"),
    "no node": (remove("conv"), "it has no node conv"),
    "python": (change("conv", "PyFunc"), "conv is a PyFunc"),
    "file": (change("join/concat_dim", "ReadFile"), "join/concat_dim is a ReadFile"),
    "wrong inputs": (change("pool_3", "Concat"), "pool_3"),
    "narrow": (replace_end("AvgPool", "pool", **pool_attributes(2)), "(None, 1, 1, 3)"),
    "constant": (replace_end("Const", dtype=tf.float32, value=np.zeros((1, 1, 1, 2048), np.float32)), "Mul:0"),
    "other archive": (pack("other.pb"), f"it holds no {GRAPH}"),
    "symbolic link": (pack(type=tarfile.SYMTYPE, linkname="/etc/passwd", data=b""), "not a plain file"),
    "hard link": (pack(type=tarfile.LNKTYPE, linkname="imagenet.txt", data=b""), "not a plain file"),
    "folder": (pack(type=tarfile.DIRTYPE, data=b""), "not a plain file"),
    "sparse": (pack(pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.realsize": "9" * 15}), "not a plain file"),
    "archive cut late": (pack()[:-99], "not a whole .tgz"),
    "archive cut early": (pack()[:5000], "not a whole .tgz"),
    "no tar": (gzip.compress(b"no tar at all" * 99), "not a whole .tgz"),
    "no gzip": (b"\x1f\x8bgzip by its first two bytes", "not a whole .tgz"),
    "bomb": (gzip.compress(bytes(2_000_000)), "unpacks to more than 1,000,000 bytes"),
    "large": (bytes(1_000_001), "more than 1,000,000 bytes"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path, monkeypatch, data, reason):
    """A file that is not the network is refused in one line: its path, the reason, what is needed and its address."""
    monkeypatch.setattr(inception, "LIMIT", 1_000_000)
    path = tmp_path / "a.pb"
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    with pytest.raises(UsageError) as caught:
        inception.load(path)
    message = str(caught.value)
    assert message.startswith(f"--inception {path}: ") and "\n" not in message
    assert all(part in message for part in (reason, GRAPH, inception.URL))


def test_no_file(tmp_path):
    """A missing file and a folder are refused alike."""
    with pytest.raises(UsageError, match="No such file"):
        inception.load(tmp_path / "a.pb")
    with pytest.raises(UsageError, match="Is a directory"):
        inception.load(tmp_path)


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """fetch(url) into tmp_path/c from another address -> the path, and the titles of the progress bars."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    titles = []

    @contextlib.contextmanager
    def progress(title):
        titles.append(title)
        yield lambda done, total: None

    def fetch(url):
        monkeypatch.setattr(inception, "URL", url)
        monkeypatch.setattr(inception, "track_task", progress)
        return inception.fetch(tmp_path / "c"), titles

    return fetch


def test_fetch(tmp_path, fetch):
    """The archive is downloaded once, and loads."""
    with serving(pack()) as (url, requests):
        for _ in range(2):
            path, titles = fetch(url)
    assert len(requests) == 1 and titles == ["Downloading Inception"]
    assert os.listdir(tmp_path / "c") == [path.name]
    assert inception.load(path)[0](IMAGES[:1]).shape == (1, 2048)


@pytest.mark.parametrize("name", [GRAPH, "a.tgz"])
def test_fetch_uses_saved_file(tmp_path, fetch, name):
    """An archive that was saved by hand, and a graph that an earlier version unpacked, are used without a request."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / name).touch()
    assert fetch("http://127.0.0.1:9/a.tgz") == (tmp_path / "c" / name, [])


def test_fetch_without_network(tmp_path, fetch):
    """The message has the address, where to save the file, and the flag for a copy elsewhere."""
    with serving() as (url, _):
        pass  # now nobody listens there
    with pytest.raises(RunError) as caught:
        fetch(url)
    assert all(part in str(caught.value) for part in (url, str(tmp_path / "c" / "faces.zip"), "--inception PATH"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>Sorry</html>", "not a whole .tgz"),
        (pack("other.pb"), f"holds no {GRAPH}"),
        (pack(type=tarfile.SYMTYPE, linkname="/etc/passwd", data=b""), "not a plain file"),
    ],
    ids=["page", "other", "link"],
)
def test_fetch_of_another_file(tmp_path, fetch, body, reason):
    """A download that is not the archive is not kept."""
    with serving(body) as (url, _), pytest.raises(RunError, match=reason):
        fetch(url)
    assert os.listdir(tmp_path / "c") == []
