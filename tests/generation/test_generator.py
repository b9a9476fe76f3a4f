"""Generators loaded from a run's folder, whatever is left of it."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest

from gan import experiment
from gan.errors import RunError, UsageError
from gan.generation import noise
from gan.generation.generator import BATCH_SIZE, load_model
from gan.runs.run_directory import Run


def generate(generator, count=5):
    """The images of the first seeds."""
    return generator(noise.sample_noise(range(count), generator.noise_shape, generator.noise_distribution))


def test_a_finished_run(tiny):
    """Shapes, distribution and source are the run's; an image does not depend on others, nor on the batch."""
    generator = experiment.load_generator(Run(tiny))
    assert (generator.noise_shape, generator.noise_distribution, generator.size) == ((8,), "normal", 16)
    assert generator.source == tiny / "generator.keras" and generator.iteration == 4
    assert generator.description == f"{tiny / 'generator.keras'} of iteration 4"
    many = generate(generator, BATCH_SIZE + 3)
    assert many.shape == (BATCH_SIZE + 3, 16, 16, 3) and many.dtype == np.uint8
    np.testing.assert_array_equal(generator.generate_seeds(range(BATCH_SIZE + 3)), many)
    assert np.abs(many[:5].astype(int) - generate(generator)).max() <= 1  # batches of other sizes round differently


def test_the_best_or_the_last(tiny):
    """The generator of the best score is loaded where there is one, unless the last is asked for."""
    shutil.copy(tiny / "generator.keras", tiny / "best.keras")
    with zipfile.ZipFile(tiny / "best.keras", "a") as archive:
        archive.comment = b'{"iteration": 2}'
    (tiny / "best.json").write_text(json.dumps({"iteration": 2}))
    best, last = (experiment.load_generator(Run(tiny), best) for best in (True, False))
    assert (best.source.name, best.iteration) == ("best.keras", 2)
    assert (last.source.name, last.iteration) == ("generator.keras", 4)


@pytest.mark.usefixtures("eagerly")
def test_checkpoint_alone(tiny):
    """A run that was killed before its first generator.keras generates what that would."""
    expected = generate(experiment.load_generator(Run(tiny)))
    (tiny / "generator.keras").unlink()
    generator = experiment.load_generator(Run(tiny))
    assert generator.source.parent == tiny / "checkpoints" and generator.iteration == 4
    assert np.abs(generate(generator).astype(int) - expected).max() <= 1
    (tiny / "best.json").write_text(json.dumps({"iteration": 2}))  # best.keras is missing
    assert experiment.load_generator(Run(tiny)).source.parent == tiny / "checkpoints"
    for path in (tiny / "checkpoints").glob("*.npz"):
        path.write_bytes(b"torn")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(RunError, match="No checkpoint"):
        experiment.load_generator(Run(tiny))


@pytest.mark.filterwarnings("ignore:.*of another version")
@pytest.mark.usefixtures("eagerly")
def test_checkpoint_of_another_version(tiny):
    """Missing optimizers and a missing precision do not matter to a generator; its width does."""
    expected = generate(experiment.load_generator(Run(tiny)))
    (tiny / "generator.keras").unlink()
    saved = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({k: v for k, v in saved.items() if k != "precision"}))
    for path in (tiny / "checkpoints").glob("*.npz"):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if not name.startswith("g_optimizer")}
        np.savez(path, **arrays)
    generator = experiment.load_generator(Run(tiny))
    assert generator.iteration == 4 and np.abs(generate(generator).astype(int) - expected).max() <= 1
    (tiny / "config.json").write_text(json.dumps({**saved, "width": saved["width"] + 1}))
    with pytest.raises(RunError, match=r"No checkpoint in .*config\.json"):
        experiment.load_generator(Run(tiny))
    assert not list((tiny / "checkpoints").glob("*.damaged"))


def test_settings_of_another_version(tiny):
    """Errors name the network and the noise distribution that this version does not have."""
    saved = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**saved, "noise_distribution": "cauchy"}))
    with pytest.raises(UsageError, match=r"'cauchy'.*normal and uniform"):
        experiment.load_generator(Run(tiny))
    (tiny / "config.json").write_text(json.dumps({**saved, "generator": "transformer"}))
    assert generate(experiment.load_generator(Run(tiny))).any()  # the saved file is enough
    (tiny / "generator.keras").unlink()
    with pytest.raises(UsageError, match="'transformer'"):
        experiment.load_generator(Run(tiny))


def test_generator_and_config_alone(tiny):
    """The two files that somebody may copy elsewhere are enough."""
    shutil.rmtree(tiny / "checkpoints")
    (tiny / "log.csv").unlink()
    generator = experiment.load_generator(Run(tiny))
    assert generator.description == f"{tiny / 'generator.keras'} of iteration 4" and generate(generator).any()


def test_config_of_an_older_version(tiny):
    """A config.json that lacks later settings is read."""
    saved = json.loads((tiny / "config.json").read_text())
    older = {name: saved[name] for name in ("image_size", "noise_distribution", "data")}
    (tiny / "config.json").write_text(json.dumps(older))
    assert generate(experiment.load_generator(Run(tiny))).shape == (5, 16, 16, 3)


def rewrite(path, member, change):
    """Writes a .keras file again with a member's bytes changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = change(members.get(member, b""))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def save_network(path, outputs=(16, 16, 3), inputs=(8,), units=16 * 16 * 3):
    """Saves a network of one matrix."""
    import keras

    last = [keras.layers.Reshape(outputs)] if len(outputs) != 1 else []
    keras.Sequential([keras.Input(inputs), keras.layers.Flatten(), keras.layers.Dense(units), *last]).save(path)


@pytest.mark.parametrize(
    ("outputs", "reason"), [((16, 16, 3), None), ((8, 32, 3), "images"), ((16, 48), "images"), ((768,), "images")]
)
def test_networks_that_are_no_generators(tmp_path, outputs, reason):
    """Another output than square color images is refused."""
    save_network(tmp_path / "a.keras", outputs)
    if not reason:
        assert load_model(tmp_path / "a.keras").output_shape == (None, 16, 16, 3)
        return
    with pytest.raises(UsageError, match=reason):
        load_model(tmp_path / "a.keras")


@pytest.mark.parametrize(
    ("member", "change", "reason"),
    [
        ("assets/../../escaped", lambda content: b"x", "more in it"),
        ("config.json", lambda content: b"{}", "config"),
        ("config.json", lambda content: b"[" * 100_000, "recursion"),
        ("config.json", lambda content: content.replace(b'"Reshape"', b'"Lambda"'), "function"),
        ("config.json", lambda content: content.replace(b'"units": 768', b'"units": 10000000000'), "10000000000"),
        ("model.weights.h5", lambda content: content[:500], "not all in the file"),
        ("model.weights.h5", lambda content: b"\0" * len(content), "file signature"),
    ],
)
def test_hostile_files(tmp_path, member, change, reason):
    """Other members, other classes, and weights that are not there are refused, before anything is written."""
    path = tmp_path / "run" / "a.keras"
    path.parent.mkdir()
    save_network(path)
    rewrite(path, member, change)
    with pytest.raises(UsageError, match=reason) as caught:
        load_model(path)
    assert len(str(caught.value)) < 600 and list(tmp_path.rglob("*")) == [path.parent, path]


def test_no_memory_is_taken_for_weights_that_are_not_there(tmp_path, monkeypatch):
    """Two matrices of 24 GB in a file of kilobytes are refused before either is allocated."""
    import keras

    path = tmp_path / "a.keras"
    wide = keras.layers.Dense(16)
    keras.Sequential([keras.Input((8,)), wide, keras.layers.Dense(768), keras.layers.Reshape((16, 16, 3))]).save(path)
    rewrite(path, "config.json", lambda content: re.sub(rb'"units": 16\b', b'"units": 8000000', content))
    rewrite(
        path,
        "config.json",
        lambda content: content.replace(b'"input_shape": [null, 16]', b'"input_shape": [null, 8000000]'),
    )
    monkeypatch.setattr(keras.saving, "load_model", None)  # which would allocate them
    with pytest.raises(UsageError, match="not all in the file"):
        load_model(path)


def test_no_generator(tiny, tmp_path):
    """Errors say which runs there are, which file cannot be opened, and how to continue the run."""
    with pytest.raises(UsageError, match=r"output/nothing .* output/tiny"):
        experiment.load_generator(Run("output/nothing"))
    (tiny / "generator.keras").write_text("no archive")
    with pytest.raises(UsageError, match=r"generator\.keras is not a generator"):
        experiment.load_generator(Run(tiny))
    shutil.rmtree(tiny / "checkpoints")
    (tiny / "generator.keras").unlink()
    with pytest.raises(UsageError, match=r"no generator .* python train\.py --"):
        experiment.load_generator(Run(tiny))
