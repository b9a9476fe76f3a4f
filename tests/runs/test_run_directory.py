import csv
import dataclasses
import errno
import json
import os
import zipfile

import keras
import numpy as np
import pytest
from sample_runs import make_log_row, make_score

from gan.config import PRECISIONS, Config
from gan.errors import UsageError
from gan.labels import Attribute, Labels
from gan.recipes import RECIPES
from gan.runs import run_directory
from gan.runs.run_directory import Run, read_iteration
from gan.runs.tables import SCORE_COLUMNS


@pytest.fixture
def run(tmp_path):
    """A run whose folder does not exist yet, two levels deep."""
    return Run(tmp_path / "output" / "run")


def settings(**changes):
    """A configuration as a dict, as train.py passes it to Run.claim."""
    return {**dataclasses.asdict(Config()), "data_key": "abc", **changes}


def test_claim_writes_the_settings(run):
    """Run.claim creates the folder, with the settings in config.json."""
    run.claim(settings())
    assert json.loads((run.folder / "config.json").read_text()) == json.loads(json.dumps(settings()))


def test_claim_again(run):
    """A second claim with the same settings is allowed; changes of mutable settings are saved."""
    run.claim(settings())
    run.claim(settings(epochs=9, steps_per_epoch="all", data="elsewhere"))
    saved = json.loads((run.folder / "config.json").read_text())
    assert (saved["epochs"], saved["steps_per_epoch"], saved["data"]) == (9, "all", "elsewhere")


SCORED = {
    **dict.fromkeys(SCORE_COLUMNS, 0.5),
    **{"iteration": 3, "images": 192, "network": "onet", "samples": 64, "copying": 0},
}


def test_scores_against_other_images_are_set_aside(run):
    """They and the best generator move to a folder of their own, at each change of the images; nothing else does."""
    for number, faces in enumerate(("5 of a (x)", "7 of a (y)", "9 of a (z)", "9 of a (z)")):
        before = run.claim(settings(faces=faces, accept_new_data=True))
        assert bool(before) == (number in (1, 2))
        assert len(list(run.folder.glob("earlier-*"))) == min(number, 2)
        if before:
            moved = {path.name for path in (run.folder / f"earlier-{number}").iterdir()}
            assert (
                moved == {"metrics.csv", "best.json", "best.keras"} and str(run.folder) in run.describe_earlier_scores()
            )
            left = {path.name for path in run.folder.iterdir()}
            assert {"config.json", "log.csv"} < left and not moved & left
        run.tables.truncate(0)
        run.tables.append_score(SCORED)
        for name in ("best.json", "best.keras", "log.csv"):
            (run.folder / name).touch()


def test_new_data_with_labels(run):
    """Other images have other counts of labels, which --accept-new-data accepts, too; other attributes it does not."""

    def count(name, *counts):
        return Labels((Attribute(name),), np.arange(len(counts), dtype=np.int32)[:, None], np.array(counts))

    run.claim(settings(faces="5 of a (x)"), count("Smiling", 3, 2))
    with pytest.raises(UsageError, match=r"Smiling of other images.*\n.*add --accept-new-data"):
        run.claim(settings(faces="7 of a (y)"), count("Smiling", 3, 4))
    with pytest.raises(UsageError, match="Smiling there, Male here") as raised:
        run.claim(settings(faces="7 of a (y)"), count("Male", 3, 4))
    assert "--accept-new-data" not in str(raised.value)
    assert run.claim(settings(faces="7 of a (y)", accept_new_data=True), count("Smiling", 3, 4)) == "5 of a (x)"
    assert run.load_labels().counts.tolist() == [3, 4]


def test_without_scores_nothing_is_set_aside(run):
    """Of a run that was never scored, metrics.csv has only a header."""
    run.claim(settings(faces="5 of a (x)"))
    run.tables.truncate(0)
    run.claim(settings(faces="7 of a (y)", accept_new_data=True))
    assert run.tables.metrics.exists() and run.describe_earlier_scores() == ""


def test_a_kill_while_scores_are_set_aside(run, monkeypatch):
    """The next start moves the rest to the same folder, and never beside the scores of other data."""
    run.claim(settings(faces="5 of a (x)"))
    run.tables.truncate(0)
    run.tables.append_score(SCORED)
    run.set_scores_aside()
    run.tables.truncate(0)
    run.tables.append_score(SCORED)
    for name in ("best.json", "best.keras"):
        (run.folder / name).touch()
    replace, moved = os.replace, []

    def kill_after_the_first(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", kill_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        run.set_scores_aside()
    monkeypatch.setattr(os, "replace", replace)
    run.set_scores_aside()
    assert {path.name for path in (run.folder / "earlier-1").iterdir()} == {"metrics.csv"}
    assert {path.name for path in (run.folder / "earlier-2").iterdir()} == {"metrics.csv", "best.json", "best.keras"}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"noise_size": 7}, f"noise-size: {Config.noise_size} there, 7 here"),
        ({"generator_betas": (0.5, 0.6)}, "generator-betas: [0.0, 0.99] there, [0.5, 0.6] here"),
        ({"data_key": "xyz"}, "data-key: abc there, xyz here"),
    ],
)
def test_claim_of_another_configuration(run, change, difference):
    """A claim with other settings raises a UsageError with the difference, and config.json is unchanged."""
    run.claim(settings(generator_betas=(0.0, 0.99)))
    before = (run.folder / "config.json").read_bytes()
    with pytest.raises(UsageError) as error:
        run.claim(settings(**{"generator_betas": (0.0, 0.99), **change}))
    assert difference in str(error.value) and "--run" in str(error.value) and str(run.folder) in str(error.value)
    assert (run.folder / "config.json").read_bytes() == before


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_claim_of_a_folder_that_is_not_a_run(run, content):
    """A config.json that is not of a run is not overwritten."""
    run.folder.mkdir(parents=True)
    (run.folder / "config.json").write_bytes(content)
    with pytest.raises(UsageError):
        run.claim(settings())
    assert (run.folder / "config.json").read_bytes() == content


def test_claim_removes_temporary_files(run):
    """Run.claim removes temporary files of grids, checkpoints and the generator, and no others."""
    run.checkpoints.mkdir(parents=True)
    temporary = [
        run.folder / ".000150.png.x1y2.part",
        run.folder / ".generator.part.keras",
        run.checkpoints / ".000000150.npz.x1y2.part",
    ]
    others = [run.folder / "notes.part", run.folder / ".hidden", run.checkpoints / "000000100.npz"]
    for path in temporary + others:
        path.write_bytes(b"x")
    run.claim(settings())
    assert not any(path.exists() for path in temporary) and all(path.exists() for path in others)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
@pytest.mark.parametrize(
    ("code", "locked"),
    [(errno.ENOLCK, False), (errno.ENOTSUP, False), (errno.ENOSYS, False), (errno.EAGAIN, True), (errno.EACCES, True)],
)
def test_locks(run, monkeypatch, code, locked):
    """A lock that another process holds is an error; where the file system has none, there is one warning."""

    def flock(*given):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(run_directory.fcntl, "flock", flock)
    expected = pytest.raises(UsageError, match="Another") if locked else pytest.warns(UserWarning, match="not locked")
    with expected as found, run.lock():
        pass
    assert locked or len(found) == 1


@pytest.mark.parametrize(
    ("content", "precision"),
    [
        ('{"precision": "mixed_bfloat16"}', "mixed_bfloat16"),
        ('{"precision": "float32"}', "float32"),
        *((text, "") for text in ('{"precision": "auto"}', '{"precision": ["float32"]}', "{}", "{", "[]")),
    ],
)
def test_precision_of_a_run(run, content, precision):
    """It is the one in config.json, if there is a usable one."""
    assert run.read_choice("precision", PRECISIONS[1:]) == ""
    run.folder.mkdir(parents=True)
    (run.folder / "config.json").write_text(content)
    assert run.read_choice("precision", PRECISIONS[1:]) == precision


def test_augment_of_an_older_run(run):
    """A run of before there was --augment had none; a folder without a run has had nothing."""
    assert run.read_choice("augment", ("none", "ada")) == ""
    run.folder.mkdir(parents=True)
    (run.folder / "config.json").write_text('{"precision": "float32"}')
    assert run.read_choice("augment", ("none", "ada")) == "none"


@pytest.mark.parametrize(
    ("folder", "flags"),
    [
        ("output/it", "--run it"),
        ("my runs/it", "--output 'my runs' --run it"),
        ("output/a/it", "--output output/a --run it"),
    ],
)
def test_command_that_continues_a_run(tmp_path, monkeypatch, folder, flags):
    """It names the folder where the run is now, wherever it was when it was trained."""
    monkeypatch.chdir(tmp_path)
    run = Run(folder)
    run.claim({**settings(output="elsewhere", run="former"), "recipe": "avatars", **RECIPES["avatars"]})
    assert run.resume_command() == f"python train.py {flags}"


def test_write_data_report(run):
    """data.json has the report, and skipped.csv the skipped files, with names of any bytes."""
    odd = os.fsdecode(b"caf\xe9.jpg")  # not UTF-8
    run.write_data_report({"found": 3, "naïve": "ü"}, [(odd, "truncated"), ('a,"b".jpg', "too small, 4x4")])
    assert json.loads((run.folder / "data.json").read_text("utf-8")) == {"found": 3, "naïve": "ü"}
    raw = (run.folder / "skipped.csv").read_bytes()
    assert raw.splitlines()[:2] == [b"file,reason", b"caf\xe9.jpg,truncated"]
    assert list(csv.reader(raw.decode("utf-8", "surrogateescape").splitlines()))[1:] == [
        [odd, "truncated"], ['a,"b".jpg', "too small, 4x4"],
    ]  # fmt: skip


def test_best_of_several_averages(run):
    """Its score has one more column."""
    run.claim(settings())
    best = make_score(3, half_life=60.0)
    run.save_best(small_model(3.0), best, {})
    assert json.loads((run.folder / "best.json").read_text()) == best | {"protocol": {}}


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("best.json", '{"kid": 1.0}', Run.best_iteration),
        ("best.json", "{", Run.find_generator),
        ("best.json", '{"iteration": "4"}', Run.best_iteration),
        ("data.json", '{"used": 1, "source": 2, "crop": "center"}', Run.read_data_report),
        ("scores.json", '[{"protocol": [], "generator": {}, "scores": {}}]', Run.read_evaluations),
    ],
)
def test_damaged_files(run, name, text, read):
    """A damaged file raises a UsageError that names the file and says what to do."""
    run.claim(settings())
    (run.folder / "best.keras").write_bytes(b"whole")
    (run.folder / name).write_text(text)
    with pytest.raises(UsageError, match=f"{name} is damaged: move it away"):
        read(run)


def test_generator_of_an_older_version(run):
    """The iteration of a generator that does not tell it is that of the newest checkpoint, or the log's last."""
    run.claim(settings())
    path = run.folder / "generator.keras"
    small_model(2.0).save(path)
    assert run.find_generator() == (path, None)
    run.tables.append_log([make_log_row(i) for i in range(1, 8)])
    assert run.find_generator() == (path, 7) and run.best_iteration() is None
    run.checkpoints.mkdir()
    for iteration in (3, 6):
        (run.checkpoints / f"{iteration:09d}.npz").touch()
    assert run.find_generator() == (path, 6)


@pytest.mark.parametrize("comment", [b"", b"{}", b"[1]", b"7", b'{"iteration": -1}', b'{"iteration": "4"}', b"\xff"])
def test_no_iteration(tmp_path, comment):
    """A file that has no iteration, is damaged or is not there has none."""
    path = tmp_path / "generator.keras"
    assert read_iteration(path) is None
    path.write_bytes(b"PK")
    assert read_iteration(path) is None
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = comment
    assert read_iteration(path) is None


def small_model(value):
    """A network of one weight."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((1, 1), value)])
    return model


def test_find_generator(run):
    """find_generator returns the best generator, or without a score the last one, with its iteration."""
    run.claim(settings())
    with pytest.raises(UsageError, match=r"has no generator yet\. Its training goes on with: python train\.py"):
        run.find_generator()
    run.save_generator(small_model(2.0), 6)
    run.tables.append_log([make_log_row(i) for i in range(1, 8)])
    assert run.find_generator() == (run.folder / "generator.keras", 6) and run.best_iteration() is None
    run.save_best(small_model(3.0), make_score(3, kid=5.0), {"network": "n"})
    assert run.find_generator() == (run.folder / "best.keras", 3) and run.best_iteration() == 3
    assert run.find_generator(best=False) == (run.folder / "generator.keras", 6)
    saved = json.loads((run.folder / "best.json").read_text())
    assert saved == {**make_score(3, kid=5.0), "protocol": {"network": "n"}} and list(saved)[:-1] == SCORE_COLUMNS
    assert keras.saving.load_model(run.folder / "best.keras").get_weights()[0].item() == 3


def test_killed_between_best_keras_and_best_json(run, monkeypatch):
    """best.json is written after best.keras; without it, find_generator returns the last generator.

    With an earlier one, it returns the best generator that is there, and its own iteration.
    """
    run.claim(settings())
    run.save_generator(small_model(2.0), 1)
    with monkeypatch.context() as patch:
        patch.setattr("gan.runs.run_directory.write_json", lambda path, content: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.save_best(small_model(3.0), make_score(1), {})
    assert (run.folder / "best.keras").exists() and run.find_generator() == (run.folder / "generator.keras", 1)
    run.save_best(small_model(3.0), make_score(1), {})
    monkeypatch.setattr("gan.runs.run_directory.write_json", lambda path, content: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.save_best(small_model(4.0), make_score(2), {})
    assert run.find_generator() == (run.folder / "best.keras", 2)


def test_config_of_a_run(run, tmp_path):
    """load_config returns the saved Config; folders that are not runs raise a UsageError that lists the runs."""
    run.claim(settings(width=7, generator_betas=(0.5, 0.9), faces="60 of faces (abc)"))
    assert run.load_config() == Config(width=7, generator_betas=(0.5, 0.9)) and run.trained_on() == "60 of faces (abc)"
    reasons = {
        "[]": "it is damaged",
        "{": "it is damaged",
        '{"units": 3}': "none of a run's",
        '{"width": "7"}': "width is '7'",
    }
    for content, reason in reasons.items():
        other = Run(run.folder.parent / "other")
        other.folder.mkdir(exist_ok=True)
        (other.folder / "config.json").write_text(content)
        with pytest.raises(UsageError, match=f"config.json does not describe a run: .*{reason}"):
            other.load_config()
    with pytest.raises(UsageError, match=r"There are: .*other, .*run"):
        Run(run.folder.parent / "missing").load_config()


def test_save_generator(run):
    """save_generator replaces generator.keras, which loads in safe mode, and leaves no other file."""
    run.folder.mkdir(parents=True)
    for value in (1.0, 2.0):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.set_weights([np.full((3, 2), value), np.zeros(2)])
        run.save_generator(model, 5)
    loaded = keras.saving.load_model(run.folder / "generator.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(np.ones((1, 3))), [[6, 6]])
    assert os.listdir(run.folder) == ["generator.keras"]
