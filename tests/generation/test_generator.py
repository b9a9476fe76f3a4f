"""A generator out of a run's folder, whatever is left of that."""

import json
import shutil

import numpy as np
import pytest

from gan import experiment
from gan.errors import RunError, UsageError
from gan.generation import noise
from gan.generation.generator import BATCH_SIZE
from gan.runs.run_directory import Run


def faces(generator, count=5):
    """The first faces."""
    return generator(noise.sample_noise(range(count), generator.noise_shape, generator.noise_distribution))


def test_a_finished_run(tiny):
    """Shapes, law and source are the run's; a face is the same alone and in a crowd that fills no whole batch."""
    generator = experiment.load_generator(Run(tiny))
    assert (generator.noise_shape, generator.noise_distribution, generator.size) == ((8,), "normal", 16)
    assert generator.source == tiny / "generator.keras" and generator.iteration == 4
    assert generator.description == f"{tiny / 'generator.keras'} of iteration 4"
    many = faces(generator, BATCH_SIZE + 3)
    assert many.shape == (BATCH_SIZE + 3, 16, 16, 3) and many.dtype == np.uint8
    assert np.abs(many[:5].astype(int) - faces(generator)).max() <= 1  # other batches round otherwise


def test_the_best_or_the_last(tiny):
    """The best is what is drawn with where there is one, unless the last is asked for."""
    shutil.copy(tiny / "generator.keras", tiny / "best.keras")
    (tiny / "best.json").write_text(json.dumps({"iteration": 2}))
    best, last = (experiment.load_generator(Run(tiny), best) for best in (True, False))
    assert (best.source.name, best.iteration) == ("best.keras", 2)
    assert (last.source.name, last.iteration) == ("generator.keras", 4)


def test_a_checkpoint_alone(tiny):
    """A run that was killed before its first generator.keras draws what that would."""
    expected = faces(experiment.load_generator(Run(tiny)))
    (tiny / "generator.keras").unlink()
    generator = experiment.load_generator(Run(tiny))
    assert generator.source.parent == tiny / "checkpoints" and generator.iteration == 4
    assert np.abs(faces(generator).astype(int) - expected).max() <= 1
    (tiny / "best.json").write_text(json.dumps({"iteration": 2}))  # of a best.keras that is no more
    assert experiment.load_generator(Run(tiny)).source.parent == tiny / "checkpoints"
    for path in (tiny / "checkpoints").glob("*.npz"):
        path.write_bytes(b"torn")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(RunError, match="No checkpoint"):
        experiment.load_generator(Run(tiny))


@pytest.mark.filterwarnings("ignore:.*of another version")
def test_a_checkpoint_of_another_version(tiny):
    """Optimizers that are no more, and a precision that config.json lacks, matter to training alone; widths matter."""
    expected = faces(experiment.load_generator(Run(tiny)))
    (tiny / "generator.keras").unlink()
    saved = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({k: v for k, v in saved.items() if k != "precision"}))
    for path in (tiny / "checkpoints").glob("*.npz"):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if not name.startswith("g_optimizer")}
        np.savez(path, **arrays)
    generator = experiment.load_generator(Run(tiny))
    assert generator.iteration == 4 and np.abs(faces(generator).astype(int) - expected).max() <= 1
    (tiny / "config.json").write_text(json.dumps({**saved, "width": saved["width"] + 1}))
    with pytest.raises(RunError, match=r"holds a generator as output/tiny/config\.json has it"):
        experiment.load_generator(Run(tiny))
    assert not list((tiny / "checkpoints").glob("*.damaged"))


def test_settings_of_another_version(tiny):
    """A network and a law of noise that this version has not: named, in a line."""
    saved = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**saved, "noise_distribution": "cauchy"}))
    with pytest.raises(UsageError, match="noise is 'cauchy': this version has normal and uniform"):
        experiment.load_generator(Run(tiny))
    (tiny / "config.json").write_text(json.dumps({**saved, "generator": "residual"}))
    assert faces(experiment.load_generator(Run(tiny))).any()  # its file is enough
    (tiny / "generator.keras").unlink()
    with pytest.raises(UsageError, match="asks for what this version has not: 'residual'"):
        experiment.load_generator(Run(tiny))


def test_a_generator_and_its_settings_alone(tiny):
    """All that a person copies elsewhere."""
    shutil.rmtree(tiny / "checkpoints")
    (tiny / "log.csv").unlink()
    generator = experiment.load_generator(Run(tiny))
    assert generator.description == f"{tiny / 'generator.keras'} of iteration unknown" and faces(generator).any()


def test_an_older_version(tiny):
    """A config.json that lacks what came later."""
    saved = json.loads((tiny / "config.json").read_text())
    older = {name: saved[name] for name in ("image_size", "noise_distribution", "data")}
    (tiny / "config.json").write_text(json.dumps(older))
    assert faces(experiment.load_generator(Run(tiny))).shape == (5, 16, 16, 3)


def test_no_generator(tiny, tmp_path):
    """No run, nothing saved yet, and a file that is none: each in a line that says what there is."""
    with pytest.raises(UsageError, match=r"nothing is not the folder of a run. There are: output/tiny"):
        experiment.load_generator(Run("output/nothing"))
    (tiny / "generator.keras").write_text("no archive")
    with pytest.raises(UsageError, match=r"generator.keras is not a generator that can be opened \("):
        experiment.load_generator(Run(tiny))
    shutil.rmtree(tiny / "checkpoints")
    (tiny / "generator.keras").unlink()
    with pytest.raises(UsageError, match=r"has no generator yet. Its training goes on with: python train.py --"):
        experiment.load_generator(Run(tiny))
