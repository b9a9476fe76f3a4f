"""Generators: .keras files, some of them hostile, in the folder of a run."""

import contextlib
import functools
import io
import json
import tempfile
import zipfile
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz_targets.run_folders import run_files
from benchmarks.fuzz_targets.target import SIZE
from benchmarks.mutations import write_zip
from gan import experiment
from gan.runs.run_directory import Run


@functools.cache
def generators() -> tuple[bytes, ...]:
    """Small generators as runs save them, and hostile files."""
    import keras

    from models import GENERATORS
    from models.portable import to_stock_keras

    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "generator.keras")
        for name in ("self-modulated", "conv", "dense"):
            keras.utils.set_random_seed(0)
            to_stock_keras(GENERATORS[name]((8,), (SIZE, SIZE, 3), 2)).save(path)
            found.append(path.read_bytes())
        with contextlib.chdir(folder):  # as it is called here, too
            hostile = keras.layers.Lambda(lambda x: (open("executed", "w").close(), x)[1])
            layers = [keras.Input((8,)), hostile, keras.layers.Dense(SIZE * SIZE * 3)]
            keras.Sequential([*layers, keras.layers.Reshape((SIZE, SIZE, 3))]).save(path)
        found.append(path.read_bytes())
    return tuple(found)


def make_generator(random: Random) -> dict[str, bytes]:
    """A run's folder with a generator, of whose configuration a part may be hostile."""
    content = random.choice(generators())
    if random.random() < 0.3:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        document = json.loads(entries["config.json"])
        parts = [document]
        for part in parts:
            parts += [x for x in (part.values() if isinstance(part, dict) else part) if isinstance(x, dict | list)]
        named = [part for part in parts if isinstance(part, dict) and "class_name" in part]
        random.choice(named).update(json.loads(json.dumps(random.choice(HOSTILE))))
        content = write_zip([*(entries | {"config.json": json.dumps(document).encode()}).items()])
    return {"run/config.json": run_files()["run/config.json"], "run/generator.keras": content}


def call(module: str, function: str, /, *arguments, **options) -> dict:
    """What makes a careless reader of Keras's configurations call a function."""
    config = {"args": arguments, "kwargs": options, **options}
    return {"module": module, "class_name": function, "registered_name": function, "config": config}


HOSTILE = (
    call("os", "system", "touch executed", command="touch executed"),
    call("builtins", "eval", "open('executed', 'w')", source="open('executed', 'w')"),
    call("builtins", "exec", "open('executed', 'w')"),
    {"module": "builtins", "class_name": "function", "config": "system", "registered_name": "function"},
    {"module": "os", "class_name": "function", "config": "system", "registered_name": "os.system"},
    {"class_name": "__lambda__", "config": {"value": ["4wAAAA==", None, None]}},
    call("keras.layers", "Lambda", function={"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}, name="x"),
    call("keras.layers", "TFSMLayer", filepath="../escaped", call_endpoint="serve", name="x"),
    call("keras.layers", "TorchModuleWrapper", module="gASVAA==", name="x"),
    call("keras.layers", "StringLookup", vocabulary="/etc/passwd", name="x"),
    call("keras.utils", "get_file", fname="escaped", origin="file:///etc/passwd", cache_dir="..", cache_subdir="."),
    call("keras.config", "enable_unsafe_deserialization"),
    call("keras.src.saving.saving_lib", "load_model", filepath="../escaped"),
    call("keras.callbacks", "CSVLogger", filename="../escaped"),
    call("keras.layers", "Dense", units=10**10, name="x"),
    call("keras.layers", "Dense", units=10**7, name="x"),
    call("keras.layers", "UpSampling2D", size=[10**5, 10**5], name="x"),
    call("keras.layers", "ZeroPadding2D", padding=10**6, name="x"),
    call("keras.layers", "Embedding", input_dim=10**9, output_dim=64, name="x"),
    call("keras.layers", "GaussianNoise", stddev=1e300, name="x"),
)


def load_generator(folder: Path) -> None:
    """Loads a generator and generates an image."""
    generator = experiment.load_generator(Run(folder / "run"))
    assert generator.size > 0 and len(generator.noise_shape) in (1, 3), generator.noise_shape
    pixels = generator.generate_seeds(range(2))
    assert pixels.shape == (2, generator.size, generator.size, 3) and pixels.dtype == np.uint8, pixels.shape
