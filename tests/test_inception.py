"""The FID network, as a small graph of the same kind: the names, shapes and operations of 2015, few weights."""

import contextlib
import gzip
import io
import os
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from test_download import serving

from gan import inception
from gan.errors import RunError, UsageError

RNG = np.random.default_rng(2015)
IMAGES = RNG.uniform(-1, 1, (5, 299, 299, 3)).astype(np.float32)
WEIGHTS = RNG.normal(size=(3, 2045)).astype(np.float32)
MEAN, BETA, GAMMA = RNG.normal(size=(3, 2045)).astype(np.float32)
VARIANCE = RNG.uniform(1, 2, 2045).astype(np.float32)


def node(graph, name, op, *inputs, **attributes):
    """Adds a node to a GraphDef; an attribute is a number, a list, a text, a type or an array."""
    added = graph.node.add(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        attribute = added.attr[key]
        if isinstance(value, tf.DType):
            attribute.type = value.as_datatype_enum
        elif isinstance(value, bool):
            attribute.b = value
        elif isinstance(value, int):
            attribute.i = value
        elif isinstance(value, float):
            attribute.f = value
        elif isinstance(value, str):
            attribute.s = value.encode()
        elif isinstance(value, tf.TensorShape):
            attribute.shape.CopyFrom(value.as_proto())
        elif isinstance(value, np.ndarray):
            attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
        else:
            attribute.list.i.extend(value)
    return added


def constant(graph, name, value):
    value = np.asarray(value)
    node(graph, name, "Const", dtype=tf.as_dtype(value.dtype), value=value)


def pooling(size):
    return {"T": tf.float32, "ksize": [1, size, size, 1], "strides": [1, size, size, 1], "padding": "VALID"}


def small(*, scaled=False, placeholder=None):
    """A GraphDef of 2015: JPEG -> Mul -> pool -> convolution, batch norm, Relu; joined with the pool -> pool_3.

    `scaled` has gamma take part; a `placeholder` of this batch replaces all that leads to Mul.
    """
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = 8
    if placeholder:
        node(graph, "Mul", "Placeholder", dtype=tf.float32, shape=tf.TensorShape([placeholder, 299, 299, 3]))
    else:
        node(graph, "DecodeJpeg", "DecodeJpeg", "DecodeJpeg/contents")
        node(graph, "Mul", "Mul", "DecodeJpeg", "Mul/y")
    node(graph, "pool", "AvgPool", "Mul", **pooling(149))  # 2 x 2 x 3
    constant(graph, "conv/conv2d_params", WEIGHTS.reshape(1, 1, 3, 2045))
    convolution = {"T": tf.float32, "strides": [1, 1, 1, 1], "padding": "SAME"}
    node(graph, "conv/Conv2D", "Conv2D", "pool", "conv/conv2d_params", **convolution)
    parts = {"mean": MEAN, "variance": VARIANCE, "beta": BETA, "gamma": GAMMA}
    for name, value in parts.items():
        constant(graph, f"conv/batchnorm/{name}", value)
    norm = {"T": tf.float32, "variance_epsilon": 0.001, "scale_after_normalization": scaled}
    inputs = ["conv/Conv2D:0", *(f"conv/batchnorm/{name}" for name in parts)]
    node(graph, "conv/batchnorm", "BatchNormWithGlobalNormalization", *inputs, **norm)
    node(graph, "conv/CheckNumerics", "CheckNumerics", "conv/batchnorm", T=tf.float32, message="NaN")
    node(graph, "conv/control_dependency", "Identity", "conv/batchnorm", "^conv/CheckNumerics", T=tf.float32)
    node(graph, "conv", "Relu", "conv/control_dependency", T=tf.float32)
    constant(graph, "join/concat_dim", np.int32(3))
    node(graph, "join", "Concat", "join/concat_dim", "conv", "pool", T=tf.float32, N=2)
    node(graph, "pool_3", "AvgPool", "join", **pooling(2))
    node(graph, "softmax", "Softmax", "pool_3", T=tf.float32)
    return graph


def by_hand(images, scaled=False):
    """What `small` computes, in NumPy."""
    pool = images[:, :298, :298].reshape(-1, 2, 149, 2, 149, 3).mean((2, 4))
    normal = (pool @ WEIGHTS - MEAN) / np.sqrt(VARIANCE + 0.001) * (GAMMA if scaled else 1) + BETA
    return np.concatenate([np.maximum(normal, 0), pool], axis=-1).mean((1, 2))


def save(path, graph):
    path.write_bytes(graph.SerializeToString())
    return path


def packed(name="./classify_image_graph_def.pb", data=None, **header):
    """The bytes of a .tgz that holds a text and the graph, or something else under its name."""
    data = small().SerializeToString() if data is None else data
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        add(archive, "imagenet.txt", b"n01440764 tench")
        add(archive, name, data, **header)
    return buffer.getvalue()


def add(archive, name, data, **header):
    member = tarfile.TarInfo(name)
    for key, value in {"size": len(data), **header}.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data))


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
