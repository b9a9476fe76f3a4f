"""Exports as a person asks for them: every form opens in its own runtime, and draws what Keras draws."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from gan.errors import RunError
from gan.export import formats, model_card, web_demo
from gan.generation import noise
from gan.generation.generator import Generator
from gan.runs.run_directory import Run
from gan.training.ema import reestimate_batch_norm
from models import GENERATORS
from models.portable import to_stock_keras
from tools import export

NEEDED = {"onnx", "tf2onnx", "onnxruntime", "ai_edge_litert"}
LACKING = sorted(name for name in NEEDED if not importlib.util.find_spec(name))
needs_all = pytest.mark.skipif(bool(LACKING), reason=f"needs {', '.join(LACKING)}: pip install --group export")


@pytest.fixture
def no_npm(monkeypatch):
    """Nothing is fetched for the page."""
    monkeypatch.setattr(web_demo.shutil, "which", lambda name: None)


@needs_all
@pytest.mark.filterwarnings("ignore:there is no npm")
def test_all_forms(tiny, no_npm, monkeypatch, capsys):
    """With no flag: five forms, each within 1e-4 of Keras, the card and its picture; and each is said, no more."""
    warned = []
    monkeypatch.setattr("absl.logging.warning", lambda *given: warned.append(given))
    assert export.main([str(tiny)]) == 0 and warned == []
    folder = tiny / "export"
    names = ["README.md", "generator.keras", "generator.onnx", "generator.tflite", "samples.png", "savedmodel", "web"]
    assert sorted(path.name for path in folder.iterdir()) == names
    told = capsys.readouterr().out
    assert told.count("differ from Keras's by") == 5 and "Left out" not in told
    assert "http://localhost:8000 after: python -m http.server -d output/tiny/export/web\n" in told
    expected = formats.open_keras(folder / "generator.keras")(noise.sample_noise(range(7), (8,), "normal"))
    for form in ("savedmodel", "onnx", "litert", "web"):
        draw = formats.FORMATS[form].open(folder / formats.FORMATS[form].name)
        for count in (7, 1):
            found = draw(noise.sample_noise(range(count), (8,), "normal"))
            np.testing.assert_allclose(found, expected[:count], atol=1e-4)
    assert export.main([str(tiny), "--to", "keras", "savedmodel"]) == 0  # in place of those that are there


@needs_all
@pytest.mark.parametrize(
    ("name", "shape"), [*((name, (8,)) for name in GENERATORS), ("compact", (16, 16, 3)), ("conv-dense", (16, 16, 3))]
)
def test_every_network(name, shape, tmp_path):
    """Each network, with statistics as training leaves them, draws in other runtimes what it draws in Keras."""
    keras.utils.set_random_seed(0)
    network = GENERATORS[name](shape, (16, 16, 3), 4)
    reestimate_batch_norm(network, lambda i: noise.sample_noise(range(100 * i, 100 * i + 100), shape, "normal"))
    heads = [layer for layer in network.layers if layer.weights and layer.output.shape[-1] == 3]  # compact has several
    heads = heads or [next(layer for layer in reversed(network.layers) if layer.weights)]
    weights = [layer.get_weights() for layer in heads]
    given = noise.sample_noise(range(5), shape, "normal")

    def quieten(times):
        for layer, (kernel, *bias) in zip(heads, weights, strict=True):
            layer.set_weights([times * kernel, *bias])

    quieten(0.001)  # where tanh is a straight line
    quieten(0.001 * 0.5 / network(given, training=False).numpy().std())
    generator = Generator(to_stock_keras(network), None, Path("generator.keras"), 1)
    assert 0.3 < generator.generate(given).numpy().std() < 0.6  # of as much contrast as faces have
    for form in ("onnx", "litert"):
        _, difference = formats.export(generator, form, tmp_path, given)  # of five faces at once, and of each alone
        assert difference <= 1e-4


@pytest.fixture
def no_others(monkeypatch):
    """Keras and SavedModel can be made, all others lack a package."""
    there = importlib.util.find_spec
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name in NEEDED else there(name))


def test_what_is_missing_is_named(tiny, no_others, capsys):
    """Asked for: what to install, before all else; not asked for: left out, and said so."""
    assert export.main([str(tiny), "--to", "keras", "litert"]) == 2
    assert capsys.readouterr().err == "export: litert needs ai-edge-litert: pip install ai-edge-litert\n"
    assert not (tiny / "export").exists()
    assert export.main([str(tiny)]) == 0
    told = capsys.readouterr().out
    assert "Left out: onnx, which needs onnx and tf2onnx and onnxruntime: pip install onnx tf2onnx onnxruntime" in told
    assert "Left out: web" in told and (tiny / "export" / "generator.keras").exists()


def test_what_draws_otherwise_is_refused(tmp_path, monkeypatch):
    """A form whose faces are others leaves nothing behind, nor does it touch what was there."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(12), keras.layers.Reshape((2, 2, 3))])
    generator = Generator(model, None, Path("generator.keras"), 1)
    given = noise.sample_noise(range(3), (4,), "normal")
    path, difference = formats.export(generator, "keras", tmp_path, given)
    assert path == tmp_path / "generator.keras" and difference <= 1e-6
    before = path.read_bytes()
    wrong = formats.FORMATS["keras"]._replace(open=lambda path: lambda z: model(z).numpy() + 0.001)
    monkeypatch.setitem(formats.FORMATS, "keras", wrong)
    with pytest.raises(RunError, match=r"its faces differ from Keras's by 1.0e-03, of 1e-04 at most"):
        formats.export(generator, "keras", tmp_path, given)
    assert path.read_bytes() == before and len([*tmp_path.iterdir()]) == 1


def test_what_fails_costs_no_other(tiny, no_others, monkeypatch, capsys):
    """The other forms are made, with a card that names them alone; the exit code tells, and a line says what failed."""

    def fail(generator, path):
        raise ValueError("no room")  # as only somebody else's package would

    there = formats.FORMATS["keras"]
    monkeypatch.setitem(formats.FORMATS, "keras", there._replace(write=fail))
    assert export.main([str(tiny)]) == 1
    assert capsys.readouterr().err == "export: keras: no room\n"
    assert sorted(path.name for path in (tiny / "export").iterdir()) == ["README.md", "samples.png", "savedmodel"]
    assert "Files: `savedmodel`.\n" in (tiny / "export" / "README.md").read_text()
    assert export.main([str(tiny), "--to", "keras", "--out", "there"]) == 1
    assert [*Path("there").iterdir()] == []


@pytest.mark.parametrize("name", ["README.md", "samples.png", "savedmodel/mine", "generator.keras"])
def test_what_others_made_stays(tiny, name, capsys):
    """What no card says that export made is neither deleted nor replaced, nor is anything put beside it."""
    mine = Path("site", name)
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert export.main([str(tiny), "--to", "keras", "savedmodel", "--out", "site"]) == 2
    assert mine.read_text() == "mine" and len([*Path("site").iterdir()]) == 1
    assert capsys.readouterr().err == (
        f"export: site has {name.split('/')[0]}, of which no card there says that export made it: move that away, or"
        " give --out another folder.\n"
    )


def test_a_runs_own_folder(tiny):
    """An export may go there, but not in place of the generator that the run goes on with."""
    before = (tiny / "generator.keras").read_bytes()
    assert export.main([str(tiny), "--to", "savedmodel", "--out", str(tiny)]) == 0
    assert export.main([str(tiny), "--to", "keras", "--out", str(tiny)]) == 2
    assert (tiny / "generator.keras").read_bytes() == before


def test_card_names_all_that_is_there(tiny):
    """Of earlier exports too, as long as it is there; what is of another generator apart."""
    card = tiny / "export" / "README.md"
    for form, told in [("keras", "`generator.keras`"), ("savedmodel", "`generator.keras`, `savedmodel`")]:
        assert export.main([str(tiny), "--to", form]) == 0
        assert f"Files: {told}.\n" in card.read_text()
    model = keras.saving.load_model(tiny / "generator.keras", compile=False)
    model.set_weights([weight / 2 for weight in model.get_weights()])
    model.save(tiny / "generator.keras")
    assert export.main([str(tiny), "--to", "savedmodel"]) == 0
    assert "Files: `savedmodel`. Of another generator, exported earlier: `generator.keras`.\n" in card.read_text()
    shutil.rmtree(tiny / "export" / "savedmodel")
    assert export.main([str(tiny), "--to", "keras"]) == 0
    assert "Files: `generator.keras`.\n" in card.read_text()


def test_card(tiny):
    """Data, recipe, terms and scores, or how to get them; a CelebA generator says what that means."""
    assert export.main([str(tiny), "--to", "keras", "--out", "there"]) == 0
    card = Path("there/README.md").read_text()
    assert card.startswith("# tiny: a generator of 16 x 16 faces\n\n![Samples](samples.png)")
    assert "60 images of `avatars`" in card and "Pablo Stanley" in card and "never trained" not in card
    assert f"python -m tools.evaluate {tiny}" in card and '"noise_size": 8' in card
    result = {
        "protocol": {"samples": 64, "reference": {"data": "/home/alice/B.zip", "faces": 30}},
        "generator": {"file": "generator.keras", "iteration": 4},
        "scores": {"kid-onet": 1234.5, "memorisation": {"in_words": "no sign of /home/alice/B.zip in it"}},
    }
    other = {**result, "generator": {"file": "best.keras", "iteration": 2}}  # of which the card is not
    (tiny / "scores.json").write_text(json.dumps([result, other]))
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "data": "/home/alice/CelebA.zip"}))
    assert export.main([str(tiny), "--to", "keras", "--out", "there"]) == 0
    card = Path("there/README.md").read_text()
    assert "| kid-onet | 1,234 |" in card and "best.keras" not in card
    assert "Of 64 samples, against 30 faces (B.zip). No sign of B.zip in it." in card
    assert "non-commercial research only" in card and "alice" not in card and '"data": "CelebA.zip"' in card
    report = json.loads((tiny / "data.json").read_text())
    (tiny / "data.json").write_text(json.dumps({**report, "held_out": 7}))
    assert "mirrored. 7 of them never trained, for scores" in model_card.write_data_report(
        Run(tiny), Run(tiny).load_config()
    )
    (tiny / "data.json").unlink()
    (tiny / "scores.json").write_text(json.dumps([{**result, "scores": {"kid-onet": 1.0}}]))  # as older ones are
    run, generator = Run(tiny), SimpleNamespace(source=Path("generator.keras"), iteration=4)
    assert model_card.describe_scores(run, generator).endswith("\n\nOf 64 samples, against 30 faces (B.zip).")
    assert model_card.write_data_report(run, run.load_config()) == "`CelebA.zip`."
    assert "evaluate output/tiny`" in model_card.describe_scores(
        Run(tiny.resolve()), SimpleNamespace(source=tiny, iteration=1)
    )


def test_terms():
    """What is known of each data set, and a word of warning for all others."""
    assert (
        model_card.describe_terms("orl") == model_card.ORL
        and model_card.describe_terms("/a/CelebA/faces") == model_card.CELEBA
    )
    assert model_card.describe_terms("~/faces") == model_card.UNKNOWN
