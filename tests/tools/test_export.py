"""tools.export, as typed at a command line."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from gan.export import web_demo
from gan.export.formats import FORMATS, load_keras
from gan.generation.noise import sample_noise
from tools import export

REQUIRED = {"onnx", "tf2onnx", "onnxruntime", "ai_edge_litert"}
MISSING = sorted(name for name in REQUIRED if not importlib.util.find_spec(name))
needs_all = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: pip install --group export")


@pytest.fixture
def no_npm(monkeypatch):
    """The page's runtime is not fetched."""
    monkeypatch.setattr(web_demo.shutil, "which", lambda name: None)


@pytest.fixture
def no_packages(monkeypatch):
    """Only Keras and SavedModel can be exported; all other formats lack a package."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in REQUIRED else find_spec(name))


@pytest.fixture
def quick_savedmodel(monkeypatch):
    """What is exported as a SavedModel, which takes seconds, is a folder with a file of Keras."""

    def save(generator, path):
        path.mkdir()
        generator.network.save(path / "it.keras")

    quick = FORMATS["savedmodel"]._replace(save=save, load=lambda path: load_keras(path / "it.keras"))
    monkeypatch.setitem(FORMATS, "savedmodel", quick)


@needs_all
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:npm is not installed")
def test_all_formats(tiny, no_npm, monkeypatch, capsys):
    """Without flags there are five formats, each within 1e-4 of Keras, a card and samples, and no warnings."""
    warnings = []
    monkeypatch.setattr("absl.logging.warning", lambda *given: warnings.append(given))
    assert export.main([str(tiny)]) == 0 and warnings == []
    folder = tiny / "export"
    names = ["README.md", "generator.keras", "generator.onnx", "generator.tflite", "samples.png", "savedmodel", "web"]
    assert sorted(path.name for path in folder.iterdir()) == names
    printed = capsys.readouterr().out
    assert printed.count("differ from Keras's by") == 5 and "Skipped" not in printed
    assert "python -m http.server -d output/tiny/export/web" in printed
    expected = load_keras(folder / "generator.keras")(sample_noise(range(7), (8,), "normal"))
    for name in ("savedmodel", "onnx", "litert", "web"):
        generate = FORMATS[name].load(folder / FORMATS[name].file)
        for count in (7, 1):
            images = generate(sample_noise(range(count), (8,), "normal"))
            np.testing.assert_allclose(images, expected[:count], atol=1e-4)
    assert export.main([str(tiny), "--to", "keras", "savedmodel"]) == 0  # replaces those of before


@needs_all
@pytest.mark.slow
def test_inputs_of_a_run_with_labels(labelled):
    """In every format they have the names noise and labels; given by name, images are those of Keras."""
    assert export.main([str(labelled), "--to", "keras", "savedmodel", "onnx", "litert"]) == 0
    folder, noise = labelled / "export", sample_noise(range(7), (8,), "normal")
    labels = np.random.default_rng(0).random((7, 9), np.float32)
    inputs, expected = {"noise": noise, "labels": labels}, load_keras(folder / "generator.keras")(noise, labels)
    import onnxruntime
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    loaded = tf.saved_model.load(str(folder / "savedmodel"))
    session = onnxruntime.InferenceSession(str(folder / "generator.onnx"), providers=["CPUExecutionProvider"])
    interpreter = Interpreter(model_path=str(folder / "generator.tflite"))
    places = {each["name"]: each["index"] for each in interpreter.get_input_details()}
    assert places.keys() == inputs.keys()
    for name, index in places.items():
        interpreter.resize_tensor_input(index, inputs[name].shape)
    interpreter.allocate_tensors()
    for name, index in places.items():
        interpreter.set_tensor(index, inputs[name])
    interpreter.invoke()
    for images in (
        loaded.signatures["serving_default"](**inputs)["output_0"].numpy(),
        session.run(None, inputs)[0],
        interpreter.get_tensor(interpreter.get_output_details()[0]["index"]),
    ):
        np.testing.assert_allclose(images, expected, atol=1e-4)


def test_missing_packages(tiny, no_packages, quick_savedmodel, capsys):
    """A format given by --to needs its packages before anything is written; others are skipped with a message."""
    assert export.main([str(tiny), "--to", "keras", "litert"]) == 2
    assert "pip install ai-edge-litert" in capsys.readouterr().err
    assert not (tiny / "export").exists()
    assert export.main([str(tiny)]) == 0
    printed = capsys.readouterr().out
    assert "Skipped onnx" in printed and "pip install onnx tf2onnx onnxruntime" in printed and "Skipped web" in printed
    assert (tiny / "export" / "generator.keras").exists()


def test_failure_of_one_format(tiny, no_packages, quick_savedmodel, monkeypatch, capsys):
    """The other formats are exported, with a card that lists them alone; exit code and message tell of the failure."""

    def fail(generator, path):
        raise ValueError("no room")  # an exception as other packages raise them

    monkeypatch.setitem(FORMATS, "keras", FORMATS["keras"]._replace(save=fail))
    assert export.main([str(tiny)]) == 1
    assert capsys.readouterr().err == "export: keras: no room\n"
    assert sorted(path.name for path in (tiny / "export").iterdir()) == ["README.md", "samples.png", "savedmodel"]
    assert "Files: `savedmodel`.\n" in (tiny / "export" / "README.md").read_text()
    assert export.main([str(tiny), "--to", "keras", "--out", "there"]) == 1
    assert [*Path("there").iterdir()] == []


@pytest.mark.parametrize("name", ["README.md", "samples.png", "savedmodel/mine", "generator.keras"])
def test_foreign_files_are_not_replaced(tiny, name, capsys):
    """Files that no card lists are neither deleted nor replaced, and nothing is written beside them."""
    mine = Path("site", name)
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert export.main([str(tiny), "--to", "keras", "savedmodel", "--out", "site"]) == 2
    assert mine.read_text() == "mine" and len([*Path("site").iterdir()]) == 1
    printed = capsys.readouterr().err
    assert f"site has {name.split('/')[0]}," in printed and "--out" in printed


def test_export_to_the_run_itself(tiny, quick_savedmodel):
    """An export may go to the run's folder, but not replace the generator that the run continues with."""
    before = (tiny / "generator.keras").read_bytes()
    assert export.main([str(tiny), "--to", "savedmodel", "--out", str(tiny)]) == 0
    assert export.main([str(tiny), "--to", "keras", "--out", str(tiny)]) == 2
    assert (tiny / "generator.keras").read_bytes() == before
