"""Inception-v3 as frozen on 2015-12-05, the network of FID and KID: downloads it and loads it safely.

    features, digest = load(fetch(cache_dir))
    features(images)  # float32 (n, 299, 299, 3), (pixels - 128) / 128 -> float32 (n, 2048)

Published scores use these weights (arXiv:1706.08500); Keras's Inception has others, and another last block.
"""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from gan import download
from gan.errors import RunError, UsageError
from gan.files import expand_path
from gan.progress import track_task

URL = "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"  # 89 MB
GRAPH = "classify_image_graph_def.pb"
LIMIT = 200 << 20  # bytes, over twice what the archive holds
START, END = "Mul", "pool_3"  # after the graph's own resizing and scaling; before its classifier
FEATURES = 2048
PRODUCER = 8  # the version of the graph; its batch normalization does not run in later ones
# The operations between START and END, also in copies that were optimized since. None reads or writes a file.
OPS = {
    *("Const", "Identity", "Conv2D", "BiasAdd", "BatchNormWithGlobalNormalization", "CheckNumerics", "Relu"),
    *("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "Sub", "Mul", "Add", "AddV2"),
    *("MaxPool", "AvgPool", "Concat", "ConcatV2"),
}


def fetch(cache_dir: Path) -> Path:
    """Returns the path of the graph in `cache_dir`; downloads its archive if neither is there.

    Raises RunError, which says what to do without a network.
    """
    graph, archive = cache_dir / GRAPH, cache_dir / URL.rsplit("/", 1)[1]
    if graph.exists() or archive.exists():
        return graph if graph.exists() else archive
    try:
        with track_task("Downloading Inception") as tick:
            download.fetch(URL, archive, unpack, tick)
    except RunError as error:
        raise RunError(f"{error}; a copy elsewhere is used with --inception PATH.") from error
    return archive


def load(path: str | os.PathLike) -> tuple[Callable, str]:
    """Loads the network from its .pb, or from the .tgz that holds it.

    Returns:
        A function, float32 (n, 299, 299, 3) in [-1, 1) -> float32 (n, 2048); and the digest that names the weights in
        protocols: 16 hexadecimal digits of the SHA-256 of the .pb.

    Raises UsageError where the file is not that network.
    """
    try:
        with open(expand_path(path), "rb") as file:
            data = file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise ValueError(f"it has more than {LIMIT:,} bytes")
        if data.startswith(b"\x1f\x8b"):  # gzip
            data = unpack(expand_path(path))
        return build(tf.compat.v1.GraphDef.FromString(data)), hashlib.sha256(data).hexdigest()[:16]
    except DecodeError:
        reason = "it is not a TensorFlow graph"
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    raise UsageError(
        f"--inception {path}: {reason}. Give the Inception graph of 2015-12-05: {GRAPH}, or the .tgz that holds it"
        f" ({URL})."
    )


def unpack(archive: Path) -> bytes:
    """Reads the .pb in a .tgz, in memory and up to a limit: a small archive can claim any size.

    Raises ValueError unless it is there, as a plain file. No other member is read, and none is written or followed.
    """
    try:
        with gzip.open(archive) as stream:
            data = stream.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise ValueError(f"it unpacks to more than {LIMIT:,} bytes")
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as members:
            for member in members:
                if member.name.rsplit("/", 1)[-1] == GRAPH:
                    if not member.isreg() or member.issparse():
                        raise ValueError(f"its {GRAPH} is not a plain file")
                    return members.extractfile(member).read()
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError) as error:
        raise ValueError(f"it is not a whole .tgz ({error})") from error
    raise ValueError(f"it holds no {GRAPH}")


def build(graph) -> Callable:
    """Builds the function that computes END from START. Raises ValueError where the graph is another one."""
    with tf.Graph().as_default() as old:
        images = tf.compat.v1.placeholder(tf.float32, (None, 299, 299, 3))
        [features] = tf.graph_util.import_graph_def(prune(graph), {f"{START}:0": images}, [f"{END}:0"], name="")
        if features.shape.as_list()[1:] != [1, 1, FEATURES]:
            raise ValueError(f"its {END} has the shape {features.shape}, where (n, 1, 1, {FEATURES}) is needed")
        features = tf.squeeze(features, [1, 2])
    session = tf.compat.v1.Session(graph=old)  # a tf.function would have the producer version of today
    return lambda pixels: session.run(features, {images: pixels})


def prune(graph):
    """Returns a graph of only what END is computed from, down to START. Raises ValueError at an operation not in OPS.

    What is not needed is not imported: the JPEG decoder, the classifier, functions (which could have the name of one
    of OPS), and control edges, which here only check every layer for NaN.
    """
    nodes = {node.name: node for node in graph.node}
    needed, waiting = {}, [START, END]
    while waiting:
        name = waiting.pop()
        if name not in nodes:
            raise ValueError(f"it has no node {name}")
        if name == START or name in needed:
            continue
        node = needed[name] = nodes[name]
        if node.op not in OPS:
            raise ValueError(f"its node {name} is a {node.op}, which is no part of that network")
        inputs = [edge for edge in node.input if not edge.startswith("^")]
        waiting += [edge.split(":")[0] for edge in inputs]
        del node.input[:]
        node.input.extend(inputs)
        node.device = ""
        for attribute in [key for key in node.attr if key.startswith("_")]:  # notes of another device, of batches of 1
            del node.attr[attribute]
    pruned = tf.compat.v1.GraphDef(node=needed.values())
    pruned.versions.producer = PRODUCER
    return pruned
