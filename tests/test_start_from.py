"""--start-from and --freeze-discriminator, from flags to resumed runs."""

import json
import shutil
import signal

import numpy as np
import pytest
from helpers import eager, save_faster

import train
from dcgan import DCGAN
from gan.config import Config
from gan.experiment import rebuild_generator
from gan.runs import checkpoints
from gan.runs.run_directory import Run
from gan.start_from import load_start

DENSE = [
    *("--image-size", "16", "--width", "4", "--noise-size", "8", "--batch-size", "8", "--precision", "float32"),
    *("--depth", "0"),
    *("--generator", "dense", "--discriminator", "dense", "--penalty", "none", "--limit", "60", "--holdout", "0"),
    *("--sample-every", "3"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with output/first, a run of three iterations of dense networks, and a cache."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch, eager():
        patch.chdir(home)
        save_faster(patch)
        line = [*DENSE, "--cache-dir", "cache", "--run", "first", "--epochs", "3", "--augment", "none"]
        assert train.main(line) == 0
    return home


@pytest.fixture
def there(home, tmp_path, monkeypatch, fast_saves):
    """A copy of that folder, the current one."""
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def newest(run):
    """The arrays of a run's newest checkpoint, except those that depend on the time."""
    path = checkpoints.list_paths(run.checkpoints)[-1]
    arrays = checkpoints.load(path, {})
    return {name: array for name, array in arrays.items() if not name.endswith("seconds") and name != "validation"}


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_start_from_a_run(there, monkeypatch, capsys):
    """A run that starts from another, with frozen layers and ADA, resumes bit for bit though the other is gone."""
    line = [*DENSE, "--cache-dir", "cache", "--epochs", "6", "--start-from", "output/first", "--augment", "ada"]
    line += ["--freeze-discriminator", "1", "--seed", "7"]
    first, step = newest(Run("output/first")), DCGAN.train_step
    assert train.main([*line, "--run", "whole"]) == 0
    printed = capsys.readouterr().out
    assert "generator: 7 of 7 layers" in printed and "000000003.npz" in printed and "averages" in printed
    weights = sum(first[f"discriminator/{i:03d}"].size for i in (0, 1))
    assert f"{weights:,} weights" in printed and "ada" in printed

    def stop_at_3(gan, batch):
        if int(gan.iteration) == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(gan, batch)

    with monkeypatch.context() as patch:
        patch.setattr(DCGAN, "train_step", stop_at_3)
        assert train.main([*line, "--run", "halves"]) == 128 + signal.SIGTERM
    shutil.rmtree("output/first")
    assert train.main([*line, "--run", "halves"]) == 0
    whole, halves = Run("output/whole"), Run("output/halves")
    assert int(newest(whole)["iteration"]) == 6
    assert newest(whole).keys() == newest(halves).keys() >= {"augment_probability", "real_sign"}
    for name, array in newest(whole).items():
        np.testing.assert_array_equal(array, newest(halves)[name], err_msg=name)
    log = whole.tables.read_log()
    assert {"augment_probability", "real_sign"} <= log.keys()
    np.testing.assert_array_equal(log["augment_probability"], halves.tables.read_log()["augment_probability"])
    for i in (0, 1):  # frozen
        np.testing.assert_array_equal(newest(whole)[f"discriminator/{i:03d}"], first[f"discriminator/{i:03d}"])
    assert not np.array_equal(newest(whole)["discriminator/002"], first["discriminator/002"])
    assert json.loads((whole.folder / "config.json").read_text())["start_from"] == "output/first"
    assert "--start-from output/first" in whole.resume_command()


@pytest.mark.usefixtures("eagerly")
def test_the_average_that_is_shown(there, capsys):
    """Of two, it is what a generator is rebuilt from, and what both averages of another run start at."""
    half_lives = ["--ema-half-life", "1", "1000", "--augment", "none", "--cache-dir", "cache"]
    assert train.main([*DENSE, *half_lives, "--run", "two", "--epochs", "3"]) == 0
    run = Run("output/two")
    [path] = checkpoints.list_paths(run.checkpoints)[-1:]
    for shown, part in ((0, "ema_generator"), (1, "ema_generator-2")):
        arrays = checkpoints.load(path, {}) | {"shown_average": np.int64(shown)}
        arrays["ema_generator-2/000"] = -arrays["ema_generator/000"]
        checkpoints.save(run.checkpoints, 3, arrays)
        rebuilt = rebuild_generator(run, run.load_config()).network.get_weights()
        start = load_start(Config(**{**vars(run.load_config()), "start_from": "output/two"}), Run("output/new"))
        first = start.layers["ema_generator"][0][0]
        np.testing.assert_array_equal(first, arrays[f"{part}/000"])
        assert rebuilt[0].shape == first.shape and np.corrcoef(rebuilt[0].ravel(), first.ravel())[0, 1] > 0.9999
    checkpoints.save(run.checkpoints, 3, arrays | {"shown_average": np.int64(2)})
    with pytest.raises(ValueError, match="there are 2 averages"):
        checkpoints.load(path, {})


@pytest.mark.filterwarnings("default")
def test_start_from_a_generator(there, capsys):
    """A .keras file gives the generator alone, and a warning."""
    line = [*DENSE, "--cache-dir", "cache", "--run", "new", "--dry-run", "--start-from", "output/first/generator.keras"]
    assert train.main(line) == 0
    printed = capsys.readouterr()
    assert "7 of 7" in printed.out and "discriminator: 0 of 3" in printed.out
    assert "discriminator starts anew" in printed.err


def test_start_from_another_width(there, capsys):
    """What fits of networks of another width is taken, and the rest is named."""
    line = [*DENSE, "--cache-dir", "cache", "--run", "new", "--dry-run", "--start-from", "output/first", "--width", "8"]
    assert train.main(line) == 2
    assert "no layer" in capsys.readouterr().err
    line[line.index("--width", line.index("--start-from")) + 1] = "4"
    assert train.main([*line, "--noise-size", "9"]) == 0
    printed = capsys.readouterr().out
    assert "generator: 6 of 7" in printed and "(9, " in printed
    assert "discriminator: 3 of 3" in printed


@pytest.mark.parametrize(
    ("start", "more", "message"),
    [
        ("output", [], "output/first"),  # not a run; which there are
        ("output/none.keras", [], "no such file"),
        ("output/first", ["--discriminator", "conv"], "--discriminator dense"),
        ("output/first", ["--generator", "conv"], "--generator dense"),
        ("output/first", ["--freeze-discriminator", "3"], "at most 2"),
        ("", ["--freeze-discriminator", "1"], "needs --start-from"),
    ],
)
def test_what_cannot_be_started_from(there, capsys, start, more, message):
    """Exit code 2, and what there is or what to type; nothing is written."""
    line = [*DENSE, "--cache-dir", "cache", "--run", "new", *(["--start-from", start] if start else []), *more]
    assert train.main(line) == 2
    assert message in capsys.readouterr().err.replace("\\", "/")
    assert not Run("output/new").folder.exists()


def test_a_start_of_another_version(there, capsys):
    """A run whose networks have a part that this version does not have: exit code 2."""
    path = Run("output/first").folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "generator": "conv", "upsampling": "lanczos"}))
    line = [*DENSE, "--cache-dir", "cache", "--run", "new", "--start-from", "output/first", "--generator", "conv"]
    assert train.main(line) == 2
    assert "of another version" in capsys.readouterr().err


@pytest.mark.slow
def test_start_from_a_run_without_checkpoints(there, capsys):
    """Its generator is named, which is what is left."""
    shutil.rmtree("output/first/checkpoints")
    assert train.main([*DENSE, "--cache-dir", "cache", "--run", "new", "--start-from", "output/first"]) == 2
    assert "--start-from output/first/generator.keras" in capsys.readouterr().err.replace("\\", "/")


@pytest.mark.usefixtures("eagerly")
def test_an_older_run_goes_on(there, capsys):
    """A run of before there were --align and --augment is resumed by its command."""
    path = Run("output/first").folder / "config.json"
    saved = json.loads(path.read_text())
    for name in ("align", "min_face", "keep_duplicates", "augment"):
        del saved[name]
    path.write_text(json.dumps(saved))
    assert train.main([*DENSE, "--cache-dir", "cache", "--run", "first", "--epochs", "4"]) == 0
    assert "after iteration 3" in capsys.readouterr().out
