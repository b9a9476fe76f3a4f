"""Exports are verified: a file that generates other images than Keras is refused."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

from gan.errors import RunError
from gan.export.exporter import export_format
from gan.export.formats import FORMATS
from gan.generation.generator import Generator
from gan.generation.noise import sample_noise
from gan.labels import Attribute, Labels
from gan.training.ema import Calibrator
from models import GENERATORS
from models.portable import to_stock_keras

REQUIRED = ("onnx", "tf2onnx", "onnxruntime", "ai_edge_litert")
MISSING = [name for name in REQUIRED if not importlib.util.find_spec(name)]


@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: pip install --group export")
@pytest.mark.parametrize(
    ("name", "noise_shape", "labelled"),
    [
        # Those of conv-2x2 are the layers of conv; those of upsample and dense are in conv-dense.
        *(pytest.param(name, (8,), False, marks=pytest.mark.slow) for name in ("conv", "residual", "residual-free")),
        ("self-modulated", (8,), True),
        # With labels as in all chains of layers.
        pytest.param("conv-dense", (16, 16, 3), True, marks=pytest.mark.slow),
    ],
)
def test_every_network(name, noise_shape, labelled, tmp_path):
    """Each network, with batch-norm statistics as after training, generates the same images in other runtimes."""
    keras.utils.set_random_seed(0)
    labels = Labels((Attribute("Smiling"), Attribute("hair", ("bob", "long"))), np.array([[1, 0], [0, 1]], np.int32))
    labels = labels if labelled else None
    network = GENERATORS[name](noise_shape, (16, 16, 3), 4, labels=3 if labelled else 0)
    codes = np.array([[i % 2, i // 50 % 2] for i in range(100)])
    calibrator = Calibrator(network, 0.0)

    def batch(i):
        noise = sample_noise(range(100 * i, 100 * i + 100), noise_shape, "normal")
        return [noise, labels.encode(codes)] if labelled else noise

    calibrator.reestimate_batch_norm(batch)
    # The layers before tanh, of which self-modulated has several.
    last = [layer for layer in network.layers if layer.weights and layer.output.shape[-1] == 3]
    last = last or [next(layer for layer in reversed(network.layers) if layer.weights)]
    weights = [layer.get_weights() for layer in last]
    inputs = [each[:5] for each in (batch(0) if labelled else [batch(0)])]

    def scale_kernels(factor):
        for layer, (kernel, *bias) in zip(last, weights, strict=True):
            layer.set_weights([factor * kernel, *bias])

    scale_kernels(0.001)  # where tanh is linear
    scale_kernels(0.001 * 0.5 / network(inputs if labelled else inputs[0], training=False).numpy().std())
    generator = Generator(to_stock_keras(network), None, Path("generator.keras"), 1, labels)
    assert 0.3 < generator.generate(*inputs).numpy().std() < 0.8  # images have contrast
    for target in ("onnx", "litert"):
        _, difference = export_format(generator, target, tmp_path, inputs)  # in one batch, and one by one
        assert difference <= 1e-4


def test_wrong_images_are_refused(tmp_path, monkeypatch):
    """A file that generates other images leaves nothing behind, and does not replace an older one."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(12), keras.layers.Reshape((2, 2, 3))])
    generator = Generator(model, None, Path("generator.keras"), 1)
    noise = sample_noise(range(3), (4,), "normal")
    path, difference = export_format(generator, "keras", tmp_path, [noise])
    assert path == tmp_path / "generator.keras" and difference <= 1e-6
    before = path.read_bytes()
    wrong = FORMATS["keras"]._replace(load=lambda path: lambda z: model(z).numpy() + 0.001)
    monkeypatch.setitem(FORMATS, "keras", wrong)
    with pytest.raises(RunError, match=r"1\.0e-03, more than 1e-04"):
        export_format(generator, "keras", tmp_path, [noise])
    assert path.read_bytes() == before and len([*tmp_path.iterdir()]) == 1
