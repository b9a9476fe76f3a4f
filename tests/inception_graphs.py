"""Small graphs with the node names, shapes and operations of the Inception graph of 2015."""

import io
import tarfile

import numpy as np
import tensorflow as tf

RNG = np.random.default_rng(2015)
IMAGES = RNG.uniform(-1, 1, (5, 299, 299, 3)).astype(np.float32)
WEIGHTS = RNG.normal(size=(3, 2045)).astype(np.float32)
MEAN, BETA, GAMMA = RNG.normal(size=(3, 2045)).astype(np.float32)
VARIANCE = RNG.uniform(1, 2, 2045).astype(np.float32)


def add_node(graph, name, op, *inputs, **attributes):
    """Adds a node to a GraphDef; an attribute is a number, list, string, dtype, shape or array."""
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


def add_constant(graph, name, value):
    """Adds a node of type Const."""
    value = np.asarray(value)
    add_node(graph, name, "Const", dtype=tf.as_dtype(value.dtype), value=value)


def pool_attributes(size):
    """The attributes of an AvgPool over `size` x `size` pixels."""
    return {"T": tf.float32, "ksize": [1, size, size, 1], "strides": [1, size, size, 1], "padding": "VALID"}


def small_graph(*, scaled=False, placeholder=None):
    """Builds a GraphDef: JPEG -> Mul -> pool -> convolution, batch norm, Relu; concatenated with the pool -> pool_3.

    With `scaled`, gamma is used. With `placeholder`, a batch size, a placeholder replaces Mul and what precedes it.
    """
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = 8
    if placeholder:
        add_node(graph, "Mul", "Placeholder", dtype=tf.float32, shape=tf.TensorShape([placeholder, 299, 299, 3]))
    else:
        add_node(graph, "DecodeJpeg", "DecodeJpeg", "DecodeJpeg/contents")
        add_node(graph, "Mul", "Mul", "DecodeJpeg", "Mul/y")
    add_node(graph, "pool", "AvgPool", "Mul", **pool_attributes(149))  # 2 x 2 x 3
    add_constant(graph, "conv/conv2d_params", WEIGHTS.reshape(1, 1, 3, 2045))
    convolution = {"T": tf.float32, "strides": [1, 1, 1, 1], "padding": "SAME"}
    add_node(graph, "conv/Conv2D", "Conv2D", "pool", "conv/conv2d_params", **convolution)
    parts = {"mean": MEAN, "variance": VARIANCE, "beta": BETA, "gamma": GAMMA}
    for name, value in parts.items():
        add_constant(graph, f"conv/batchnorm/{name}", value)
    norm = {"T": tf.float32, "variance_epsilon": 0.001, "scale_after_normalization": scaled}
    inputs = ["conv/Conv2D:0", *(f"conv/batchnorm/{name}" for name in parts)]
    add_node(graph, "conv/batchnorm", "BatchNormWithGlobalNormalization", *inputs, **norm)
    add_node(graph, "conv/CheckNumerics", "CheckNumerics", "conv/batchnorm", T=tf.float32, message="NaN")
    add_node(graph, "conv/control_dependency", "Identity", "conv/batchnorm", "^conv/CheckNumerics", T=tf.float32)
    add_node(graph, "conv", "Relu", "conv/control_dependency", T=tf.float32)
    add_constant(graph, "join/concat_dim", np.int32(3))
    add_node(graph, "join", "Concat", "join/concat_dim", "conv", "pool", T=tf.float32, N=2)
    add_node(graph, "pool_3", "AvgPool", "join", **pool_attributes(2))
    add_node(graph, "softmax", "Softmax", "pool_3", T=tf.float32)
    return graph


def compute_features(images, scaled=False):
    """Computes in NumPy the features of `small_graph`: images (n, 299, 299, 3) -> (n, 2048)."""
    pool = images[:, :298, :298].reshape(-1, 2, 149, 2, 149, 3).mean((2, 4))
    normalized = (pool @ WEIGHTS - MEAN) / np.sqrt(VARIANCE + 0.001) * (GAMMA if scaled else 1) + BETA
    return np.concatenate([np.maximum(normalized, 0), pool], axis=-1).mean((1, 2))


def save(path, graph):
    """Writes a GraphDef and returns its path."""
    path.write_bytes(graph.SerializeToString())
    return path


def pack(name="./classify_image_graph_def.pb", data=None, **header):
    """Returns the bytes of a .tgz with a text file and, under `name`, the graph or `data`."""
    data = small_graph().SerializeToString() if data is None else data
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        add_member(archive, "imagenet.txt", b"n01440764 tench")
        add_member(archive, name, data, **header)
    return buffer.getvalue()


def add_member(archive, name, data, **header):
    """Adds a file to a tar archive; `header` has fields of its TarInfo."""
    member = tarfile.TarInfo(name)
    for key, value in {"size": len(data), **header}.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data))
