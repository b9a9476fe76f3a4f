"""A generator in the forms that other programs read, each opened again by its own runtime and held to Keras's faces.

path, difference = export(generator, "onnx", Path("output/RUN/export"), noise)
"""

import importlib.util
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.errors import RunError, UsageError
from gan.export import web_demo
from gan.generation.generator import Generator

MAX_DIFFERENCE = 1e-4  # difference of a colour, of 2 from black to white


class Format(NamedTuple):
    """What a form's file is called, which modules it needs (and what to install), how it is written and read."""

    name: str
    needs: dict[str, str]
    write: Callable
    open: Callable


def export(generator: Generator, form: str, folder: Path, noise: np.ndarray) -> tuple[Path, float]:
    """Writes a generator in one of `FORMATS` into a folder; returns where, and how far its faces are from Keras's.

    Both draw the same noise, (n, *noise_shape), at once and one by one, so its batch is seen to be free. Raises
    RunError where the faces differ by more than `MOST`; then nothing is left.
    """
    there = FORMATS[form]
    expected = generator.generate(noise).numpy()  # first: Keras exports no network that has never drawn
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        path = Path(part) / there.name
        there.write(generator, path)
        draw = there.open(path)
        found = [draw(noise), np.concatenate([draw(one[None]) for one in noise])]
        difference = max(float(np.abs(faces - expected).max()) for faces in found)
        if not difference <= MAX_DIFFERENCE:
            raise RunError(f"its faces differ from Keras's by {difference:.1e}, of {MAX_DIFFERENCE:.0e} at most")
        return move_into_place(path, folder / there.name), difference


def missing_packages(form: str) -> list[str]:
    """What is to be installed before a form can be written."""
    return [package for module, package in FORMATS[form].needs.items() if importlib.util.find_spec(module) is None]


def require_packages(form: str) -> None:
    """Raises UsageError where something is to be installed."""
    if lacking := missing_packages(form):
        raise UsageError(f"{form} needs {' and '.join(lacking)}: pip install {' '.join(lacking)}")


def move_into_place(path: Path, target: Path) -> Path:
    """Puts a finished file or folder where it belongs, in place of an older one."""
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(path, target)
    return target


def save_keras(generator: Generator, path: Path) -> None:
    """Keras's own file."""
    generator.network.save(path)


def open_keras(path: Path) -> Callable:
    """A function from noise to faces."""
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return lambda noise: model(noise, training=False).numpy()


def save_savedmodel(generator: Generator, path: Path) -> None:
    """TensorFlow's folder, with a function `serve`."""
    generator.network.export(path, format="tf_saved_model", verbose=False)


def open_savedmodel(path: Path) -> Callable:
    """A function from noise to faces."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # kept: its function dies with it
    return lambda noise: loaded.serve(noise).numpy()


def save_onnx(generator: Generator, path: Path) -> None:
    """For ONNX Runtime and what else reads ONNX."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of np.object, by which Keras looks how old NumPy is
        generator.network.export(path, format="onnx", verbose=False)


def open_onnx(path: Path) -> Callable:
    """A function from noise to faces."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [name] = [one.name for one in session.get_inputs()]
    return lambda noise: session.run(None, {name: noise})[0]


def save_litert(generator: Generator, path: Path) -> None:
    """For LiteRT (formerly TensorFlow Lite), on phones and small devices."""
    import tensorflow as tf

    network = generator.network
    # As constants: LiteRT's variables would have to be filled before use.
    moved = [variable.numpy() for variable in network.trainable_variables]
    fixed = [variable.numpy() for variable in network.non_trainable_variables]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, *generator.noise_shape), tf.float32)])
    def serve(noise):
        faces, _ = network.stateless_call(moved, fixed, noise)
        return faces

    # Not by Keras's export, which makes TensorFlow's own operations of what it cannot convert.
    # That it is given `serve` as well changes nothing, but without it, it warns that it should be.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], serve)
    path.write_bytes(converter.convert())


def open_litert(path: Path) -> Callable:
    """A function from noise to faces."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))

    def draw(noise: np.ndarray) -> np.ndarray:
        [given], [made] = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(given["index"], noise.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], noise)
        interpreter.invoke()
        return interpreter.get_tensor(made["index"])

    return draw


def save_web(generator: Generator, path: Path) -> None:
    """A page that draws faces, in a folder for any web server."""
    path.mkdir()
    save_onnx(generator, path / web_demo.MODEL)
    web_demo.write_demo(generator, path)


def open_web(path: Path) -> Callable:
    """A function from noise to faces: what the page draws with."""
    return open_onnx(path / web_demo.MODEL)


ONNX = {"onnx": "onnx", "tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"}
FORMATS = {
    "keras": Format("generator.keras", {}, save_keras, open_keras),
    "savedmodel": Format("savedmodel", {}, save_savedmodel, open_savedmodel),
    "onnx": Format("generator.onnx", ONNX, save_onnx, open_onnx),
    "litert": Format("generator.tflite", {"ai_edge_litert": "ai-edge-litert"}, save_litert, open_litert),
    "web": Format("web", ONNX, save_web, open_web),
}
