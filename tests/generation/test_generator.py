"""Generators loaded from a run's folder, whatever is left of it."""

import json
import shutil

import numpy as np
import pytest

from gan import experiment
from gan.errors import RunError, UsageError
from gan.generation import noise
from gan.generation.generator import BATCH_SIZE
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
    (tiny / "best.json").write_text(json.dumps({"iteration": 2}))
    best, last = (experiment.load_generator(Run(tiny), best) for best in (True, False))
    assert (best.source.name, best.iteration) == ("best.keras", 2)
    assert (last.source.name, last.iteration) == ("generator.keras", 4)


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
    (tiny / "config.json").write_text(json.dumps({**saved, "generator": "residual"}))
    assert generate(experiment.load_generator(Run(tiny))).any()  # the saved file is enough
    (tiny / "generator.keras").unlink()
    with pytest.raises(UsageError, match="'residual'"):
        experiment.load_generator(Run(tiny))


def test_generator_and_config_alone(tiny):
    """The two files that somebody may copy elsewhere are enough; the iteration is then unknown."""
    shutil.rmtree(tiny / "checkpoints")
    (tiny / "log.csv").unlink()
    generator = experiment.load_generator(Run(tiny))
    assert generator.description == f"{tiny / 'generator.keras'} of iteration unknown" and generate(generator).any()


def test_config_of_an_older_version(tiny):
    """A config.json that lacks later settings is read."""
    saved = json.loads((tiny / "config.json").read_text())
    older = {name: saved[name] for name in ("image_size", "noise_distribution", "data")}
    (tiny / "config.json").write_text(json.dumps(older))
    assert generate(experiment.load_generator(Run(tiny))).shape == (5, 16, 16, 3)


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
