"""The network that FID means: Inception-v3 as it was frozen on 2015-12-05, 2,048 features an image at pool_3.

Published numbers come from these very weights (arXiv:1706.08500); Keras's Inception has others, and another last block.

    features = load(fetch(cache_dir, progress))
    features(images)  # float32 (n, 299, 299, 3), which is (pixels - 128) / 128 -> (n, 2048)
"""

import contextlib
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

from gan import download, files
from gan.errors import RunError, UsageError

URL = "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"  # 89 MB
GRAPH = "classify_image_graph_def.pb"
LIMIT = 200 << 20  # bytes, over twice what the archive holds
START, END = "Mul", "pool_3"  # after the graph's own resizing and scaling; before its classifier
FEATURES = 2048
# All that lies between the two, there or in a copy that was optimized since. None of these reads or writes a file.
OPS = {
    *("Const", "Identity", "Conv2D", "BiasAdd", "BatchNormWithGlobalNormalization", "CheckNumerics", "Relu"),
    *("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "Sub", "Mul", "Add", "AddV2"),
    *("MaxPool", "AvgPool", "Concat", "ConcatV2"),
}


def fetch(cache_dir: Path, progress: Callable[[str], contextlib.AbstractContextManager]) -> Path:
    """The graph's .pb in `cache_dir`, downloaded once. `progress(title)` yields tick(done, total).

    An archive that was saved there by hand is used. Raises `RunError`, which says what to do without a network.
    """
    path, archive = cache_dir / GRAPH, cache_dir / URL.rsplit("/", 1)[1]
    if path.exists():
        return path
    if not archive.exists():
        _download(archive, progress)
    try:
        with files.atomic_write(path) as file:
            file.write(_unpack(archive))
        archive.unlink()
    except (OSError, ValueError) as error:
        raise RunError(f"Could not unpack {archive}: {error}. Delete it and run the same command again.") from error
    return path


def load(path: str | os.PathLike) -> Callable:
    """The network of a .pb, or of the .tgz that holds it: float32 (n, 299, 299, 3) in [-1, 1) -> (n, 2048).

    Raises `UsageError` when the file is not that network.
    """
    try:
        graph = _pruned(tf.compat.v1.GraphDef.FromString(_read(path)))
        return tf.compat.v1.wrap_function(_features_of(graph), [tf.TensorSpec([None, 299, 299, 3], tf.float32)])
    except DecodeError as error:
        raise _not_inception(path, "it is not a TensorFlow graph") from error
    except (ValueError, tf.errors.OpError) as error:
        raise _not_inception(path, str(error).splitlines()[0]) from error


def digest(path: str | os.PathLike) -> str:
    """What to name the weights by beside a score: 16 hexadecimal digits of the .pb's SHA-256, packed or not."""
    return hashlib.sha256(_read(path)).hexdigest()[:16]


def _download(archive: Path, progress: Callable) -> None:
    try:
        with progress("Downloading Inception") as tick:
            download.fetch(URL, archive, _unpack, tick)
    except RunError as error:
        raise RunError(f"{error}; a copy elsewhere is used with --inception PATH.") from error


def _read(path: str | os.PathLike) -> bytes:
    """The bytes of the .pb. Raises `UsageError`."""
    path = Path(path).expanduser()
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"\x1f\x8b":  # gzip
                return _unpack(path)
            file.seek(0)
            data = file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise ValueError(f"it has more than {LIMIT:,} bytes")
        return data
    except OSError as error:
        raise _not_inception(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _not_inception(path, str(error)) from error


def _unpack(archive: Path) -> bytes:
    """The bytes of the .pb in a .tgz. Raises `ValueError` unless it is in there, as a plain file.

    Nothing else is written or followed, and all is read in memory up to a limit: a small archive can claim any size.
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


def _not_inception(path: str | os.PathLike, reason: str) -> UsageError:
    return UsageError(
        f"--inception {path}: {reason}. Give the Inception graph of 2015-12-05: {GRAPH}, or the .tgz that holds it "
        f"({URL})."
    )


def _pruned(graph) -> tf.compat.v1.GraphDef:
    """Only what `END` is computed from, down to `START`. Raises `ValueError` at an operation not in `OPS`.

    What is not needed is not run: the JPEG decoder, the classifier, functions (which could go by the name of
    one of `OPS`), and edges of control, which here only make every layer wait for a search for NaNs.
    """
    nodes = {node.name: node for node in graph.node}
    for name in (START, END):
        if name not in nodes:
            raise ValueError(f"it has no node named {name}")
    kept, waiting = tf.compat.v1.GraphDef(), [END]
    kept.versions.producer = tf.version.GRAPH_DEF_VERSION  # what `_modern` makes of the nodes
    seen = {START}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in nodes:
            raise ValueError(f"its node {name} is missing")
        if nodes[name].op not in OPS:
            raise ValueError(f"its node {name} is a {nodes[name].op}, which is no part of that network")
        bare = _bare(nodes[name])
        kept.node.extend(_modern(bare))
        waiting += [edge.split(":")[0] for edge in bare.input]
    return kept


def _bare(node) -> tf.compat.v1.NodeDef:
    """A node without its device, its edges of control, and private attributes: those note the batch of 1."""
    bare = tf.compat.v1.NodeDef(name=node.name, op=node.op)
    bare.input.extend(edge for edge in node.input if not edge.startswith("^"))
    for key, value in node.attr.items():
        if not key.startswith("_"):
            bare.attr[key].CopyFrom(value)
    return bare


def _modern(node) -> list[tf.compat.v1.NodeDef]:
    """The node itself, but for the batch norm of 2015: the same formula in today's operation.

    (x - mean) / sqrt(variance + epsilon) [* gamma] + beta. The old operation can still be imported, and outside
    a session it is refused when it is to run.
    """
    if node.op != "BatchNormWithGlobalNormalization":
        return [node]
    images, mean, variance, beta, gamma = node.input
    kind = node.attr["T"]
    ones = tf.compat.v1.NodeDef(name=f"{node.name}/ones", op="OnesLike", input=[gamma], attr={"T": kind})
    scale = gamma if node.attr["scale_after_normalization"].b else ones.name
    attributes = {"T": kind, "U": kind, "epsilon": node.attr["variance_epsilon"]}
    attributes["is_training"] = tf.compat.v1.AttrValue(b=False)
    inputs = [images, scale, beta, mean, variance]
    return [ones, tf.compat.v1.NodeDef(name=node.name, op="FusedBatchNormV3", input=inputs, attr=attributes)]


def _features_of(graph) -> Callable:
    def features(images):
        [pool] = tf.graph_util.import_graph_def(graph, {f"{START}:0": images}, [f"{END}:0"])
        if pool.shape.as_list()[1:] != [1, 1, FEATURES]:
            raise ValueError(f"its {END} has the shape {pool.shape}, where (n, 1, 1, {FEATURES}) is needed")
        return tf.squeeze(pool, [1, 2])

    return features
