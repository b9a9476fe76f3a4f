"""Export formats: how each is written, and opened again by its own runtime.

    FORMATS["onnx"].save(generator, Path("generator.onnx"))
    generate = FORMATS["onnx"].load(Path("generator.onnx"))
    images = generate(noise)                                   # or generate(noise, labels)

Files take noise (n, *noise_shape) and, of a generator with labels, labels (n, k): inputs of these names.

To add a format, add its two functions and a row in `FORMATS`. `gan.export.exporter` compares what a file generates with
what Keras does.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.export import web_demo
from gan.generation.generator import Generator


class Format(NamedTuple):
    """An export format.

    `file` is the name of its file or folder. `packages` maps the modules that it needs to their packages on PyPI.
    `save(generator, path)` writes it; `load(path)` returns a function from noise (n, *noise_shape), and labels (n, k)
    where the generator takes some, to images (n, h, w, 3), all float32 arrays.
    """

    file: str
    packages: dict[str, str]
    save: Callable
    load: Callable


def save_keras(generator: Generator, path: Path) -> None:
    """Writes a .keras file."""
    generator.network.save(path)


def load_keras(path: Path) -> Callable:
    """Loads a .keras file."""
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return lambda *inputs: model(unpack(inputs), training=False).numpy()


def unpack(inputs: tuple):
    """What a Keras model takes: its one input, or a list of several."""
    return list(inputs) if len(inputs) > 1 else inputs[0]


def save_savedmodel(generator: Generator, path: Path) -> None:
    """Writes TensorFlow's SavedModel, a folder, with a function `serve`."""
    generator.network.export(path, format="tf_saved_model", verbose=False)


def load_savedmodel(path: Path) -> Callable:
    """Loads a SavedModel."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # referenced below, because its functions do not outlive it
    return lambda *inputs: loaded.serve(unpack(inputs)).numpy()


def save_onnx(generator: Generator, path: Path) -> None:
    """Writes an .onnx file, for ONNX Runtime and others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of np.object, by which Keras finds the version of NumPy
        generator.network.export(path, format="onnx", verbose=False)


def load_onnx(path: Path) -> Callable:
    """Loads an .onnx file with ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def save_litert(generator: Generator, path: Path) -> None:
    """Writes a .tflite file for LiteRT (formerly TensorFlow Lite), on phones and small devices."""
    import tensorflow as tf

    network = generator.network
    # Weights become constants: variables of LiteRT would have to be initialized before use.
    trainable = [variable.numpy() for variable in network.trainable_variables]
    non_trainable = [variable.numpy() for variable in network.non_trainable_variables]

    shapes = {"noise": generator.noise_shape, "labels": (generator.labels.width,) if generator.labels else None}
    signature = [tf.TensorSpec((None, *shape), tf.float32, name) for name, shape in shapes.items() if shape]

    @tf.function(autograph=False, input_signature=signature)
    def serve(*inputs):
        images, _ = network.stateless_call(trainable, non_trainable, unpack(inputs))
        return images

    # Keras's own export would keep TensorFlow operations that LiteRT lacks. The second argument changes nothing, but
    # without it the converter warns.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], serve)
    path.write_bytes(converter.convert())


def load_litert(path: Path) -> Callable:
    """Loads a .tflite file with LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))

    def generate(*inputs: np.ndarray) -> np.ndarray:
        [outputs] = interpreter.get_output_details()
        places = sorted(interpreter.get_input_details(), key=lambda each: "labels" in each["name"])
        for place, array in zip(places, inputs, strict=True):
            interpreter.resize_tensor_input(place["index"], array.shape)
        interpreter.allocate_tensors()
        for place, array in zip(places, inputs, strict=True):
            interpreter.set_tensor(place["index"], array)
        interpreter.invoke()
        return interpreter.get_tensor(outputs["index"])

    return generate


def save_web(generator: Generator, path: Path) -> None:
    """Writes the web demo, a folder for any web server."""
    path.mkdir()
    save_onnx(generator, path / web_demo.MODEL)
    web_demo.write_demo(generator, path)


def load_web(path: Path) -> Callable:
    """Loads the model of a web demo."""
    return load_onnx(path / web_demo.MODEL)


ONNX = {"onnx": "onnx", "tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"}
FORMATS = {
    "keras": Format("generator.keras", {}, save_keras, load_keras),
    "savedmodel": Format("savedmodel", {}, save_savedmodel, load_savedmodel),
    "onnx": Format("generator.onnx", ONNX, save_onnx, load_onnx),
    "litert": Format("generator.tflite", {"ai_edge_litert": "ai-edge-litert"}, save_litert, load_litert),
    "web": Format("web", ONNX, save_web, load_web),
}
