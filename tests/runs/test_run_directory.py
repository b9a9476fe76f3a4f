import csv
import dataclasses
import errno
import json
import os
import zipfile

import keras
import numpy as np
import pytest

from gan import images
from gan.config import PRECISIONS, Config
from gan.errors import UsageError
from gan.labels import Attribute, Labels
from gan.recipes import RECIPES
from gan.runs import run_directory
from gan.runs.run_directory import SCORE_COLUMNS, Run, read_iteration


@pytest.fixture
def run(tmp_path):
    """A run whose folder does not exist yet, two levels deep."""
    return Run(tmp_path / "output" / "run")


def settings(**changes):
    """A configuration as a dict, as train.py passes it to Run.claim."""
    return {**dataclasses.asdict(Config()), "data_key": "abc", **changes}


LOG_COLUMNS = ["iteration", "images", "seconds", "d_loss", "g_loss", "real_score", "fake_score", "images_per_second"]


def row(iteration):
    """A row of the log."""
    values = (iteration, 64 * iteration, 0.5, 1.25, 0.75, 0.6, 0.4, 640.0)
    return dict(zip(LOG_COLUMNS, values, strict=True))


def logged(run):
    """The iterations in log.csv, after a check of its header and the lengths of its rows."""
    rows = list(csv.reader(run.log.read_text().splitlines()))
    assert rows[0] == LOG_COLUMNS and {len(r) for r in rows} == {8}
    return [int(r[0]) for r in rows[1:]]


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
        run.truncate_tables(0)
        run.append_score(SCORED)
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
    run.truncate_tables(0)
    run.claim(settings(faces="7 of a (y)", accept_new_data=True))
    assert run.metrics.exists() and run.describe_earlier_scores() == ""


def test_a_kill_while_scores_are_set_aside(run, monkeypatch):
    """The next start moves the rest to the same folder, and never beside the scores of other data."""
    run.claim(settings(faces="5 of a (x)"))
    run.truncate_tables(0)
    run.append_score(SCORED)
    run.set_scores_aside()
    run.truncate_tables(0)
    run.append_score(SCORED)
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


def test_log(run):
    """log.csv starts with a header, rows are appended, and rows after the last checkpoint are removed."""
    run.claim(settings())
    run.truncate_tables(0)
    assert not run.log.exists() and run.read_log() == {}
    run.append_log([row(1), row(2)])
    run.append_log([row(3), row(10)])
    assert logged(run) == [1, 2, 3, 10]
    with open(run.log, "a") as file:
        file.write("1")  # an incomplete row of iteration 11
    run.truncate_tables(3)
    assert logged(run) == [1, 2, 3]
    run.append_log([row(4)])
    assert logged(run) == [1, 2, 3, 4]
    assert run.log.read_text().splitlines()[-1] == "4,256,0.500,1.25,0.75,0.6,0.4,640.0"


def test_a_new_scalar(run):
    """A new scalar gets a column, which is empty in earlier rows and in rows without the scalar."""
    run.claim(settings())
    run.append_log([row(1)])
    run.append_log([{**row(2), "penalty": 0.25}, row(3)])
    lines = run.log.read_text().splitlines()
    assert lines[0] == ",".join([*LOG_COLUMNS[:-1], "penalty", "images_per_second"])
    assert [line.split(",")[-2] for line in lines[1:]] == ["", "0.25", ""]
    np.testing.assert_array_equal(run.read_log()["penalty"], [np.nan, 0.25, np.nan])


def test_tables_of_another_version(run):
    """A table with unknown columns raises a UsageError, and no table is changed."""
    run.claim(settings())
    run.append_log([row(1), row(2)])
    older = ",".join(name for name in SCORE_COLUMNS if name != "kid") + "\n1,64,0.5,onet,64,,0.9,1.0,0.0,0,0.1\n"
    run.metrics.write_text(older)
    with pytest.raises(UsageError, match=r"metrics\.csv.*--run"):
        run.truncate_tables(1)
    assert run.metrics.read_text() == older and logged(run) == [1, 2]


def score(iteration, kid=0.1 + 0.2, **more):
    """A score with numbers that need all their decimal places."""
    numbers = {"diversity": 2 / 3, "memorization": 1e-17, "copied": 1 / 128, "eval_seconds": 1e3 / 7}
    return {
        "iteration": iteration, "images": 64 * iteration, "seconds": 1.234, "network": "onet", "samples": 64,
        "kid": kid, "kid_stderr": 1 / 9, "face_rate": None, "copying": 0, **numbers, **more,
    }  # fmt: skip


def test_scores_round_trip(run):
    """Scores, also of NumPy's types, are read back with the same types and bit-identical values."""
    rows = [score(3), score(6, kid=-1 / 3, face_rate=0.984375, copying=1), score(9, kid=float(np.float64(1e22) / 3))]
    run.claim(settings())
    run.truncate_tables(0)
    assert run.read_scores() == []
    for one in [*rows, score(12, kid=np.float64(0.7) / 3)]:
        run.append_score(one)
    found = Run(run.folder).read_scores()
    assert found[:3] == rows and found[3]["kid"] == 0.7 / 3 and all(list(one) == SCORE_COLUMNS for one in found)
    assert [type(value) for value in found[1].values()] == [type(rows[1][name]) for name in SCORE_COLUMNS]
    assert run.metrics.read_text().splitlines()[:2] == [
        ",".join(SCORE_COLUMNS),
        "3,192,1.234,onet,64,0.30000000000000004,0.1111111111111111,,0.6666666666666666,1e-17,0.0078125,0,142.85714285714286"
    ]  # fmt: skip


def test_scores_of_several_averages(run):
    """They have one more column, with which the table and best.json are read, cut back and continued."""
    run.claim(settings())
    run.truncate_tables(0)
    rows = [score(3, half_life=20.0), score(3, half_life=60.0), score(6, half_life=60.0)]
    for one in rows:
        run.append_score(one)
    assert run.metrics.read_text().splitlines()[0] == ",".join([*SCORE_COLUMNS, "half_life"])
    assert run.read_scores() == rows
    run.truncate_tables(3)
    run.append_score(rows[2])
    assert run.read_scores() == rows
    run.save_best(small_model(3.0), rows[1], {})
    assert json.loads((run.folder / "best.json").read_text()) == rows[1] | {"protocol": {}}


def test_truncate_tables(run):
    """Scores and failure modes after the last checkpoint are removed, as are incomplete rows."""
    run.claim(settings())
    run.truncate_tables(0)
    advice = 'Try --penalty r1, a larger --batch-size, or "another" --seed'
    for iteration in (3, 6, 9):
        run.append_score(score(iteration))
    run.append_rows(
        run.diagnostics,
        [(3, "mode collapse", "started", advice), (6, "saturation", "started", "Stop"), (9, "x", "started", "")],
    )
    for path in (run.metrics, run.diagnostics):
        with open(path, "a") as file:
            file.write('12,64,"a')
    run.truncate_tables(6)
    assert [row["iteration"] for row in run.read_scores()] == [3, 6]
    assert run.active_failures() == {"mode collapse": advice, "saturation": "Stop"}
    run.append_rows(run.diagnostics, [(9, "mode collapse", "ended", "")])
    assert run.active_failures() == {"saturation": "Stop"}


def test_read_log(run):
    """read_log(n) returns the columns of the last n rows, or of all rows, with exactly the logged values."""
    assert run.read_log(5) == {}
    run.claim(settings())
    run.append_log(
        [{**row(i), "d_loss": float(np.float32(i / 7)), "g_loss": float(np.float32(i / 3))} for i in (1, 2, 3)]
    )
    found = run.read_log(2)
    assert list(found) == LOG_COLUMNS and len(run.read_log(9)["d_loss"]) == len(run.read_log()["d_loss"]) == 3
    np.testing.assert_array_equal(found["iteration"], [2, 3])
    np.testing.assert_array_equal(np.float32(found["d_loss"]), [np.float32(i / 7) for i in (2, 3)])
    np.testing.assert_array_equal(np.float32(found["g_loss"]), [np.float32(i / 3) for i in (2, 3)])


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("best.json", '{"kid": 1.0}', Run.best_iteration),
        ("best.json", "{", Run.find_generator),
        (
            "metrics.csv",
            "\n".join([",".join(SCORE_COLUMNS), ",".join(["3"] * 4 + ["64", "many", *["1"] * 7])]),
            Run.read_scores,
        ),
        ("metrics.csv", "\n".join([",".join(SCORE_COLUMNS), ",".join(["3", *[""] * 12])]), Run.read_scores),
        ("metrics.csv", "\n".join([",".join(SCORE_COLUMNS), "1,1,1,onet,64,nan" + ",1" * 7]), Run.read_scores),
        ("metrics.csv", "iteration,kid\n1,2.5\n", Run.read_scores),
        ("log.csv", ",".join(LOG_COLUMNS) + "\n1,64,0.5,1.25,x,0.6,0.4,640.0", lambda run: run.read_log(5)),
        ("log.csv", ",".join(LOG_COLUMNS) + "\n1,64,,1.25,1,0.6,0.4,640.0", Run.read_log),
        ("log.csv", "iteration,d_loss\n1,64\n", Run.read_log),
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
    run.append_log([row(i) for i in range(1, 8)])
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
    run.append_log([row(i) for i in range(1, 8)])
    assert run.find_generator() == (run.folder / "generator.keras", 6) and run.best_iteration() is None
    run.save_best(small_model(3.0), score(3, kid=5.0), {"network": "n"})
    assert run.find_generator() == (run.folder / "best.keras", 3) and run.best_iteration() == 3
    assert run.find_generator(best=False) == (run.folder / "generator.keras", 6)
    saved = json.loads((run.folder / "best.json").read_text())
    assert saved == {**score(3, kid=5.0), "protocol": {"network": "n"}} and list(saved)[:-1] == SCORE_COLUMNS
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
            run.save_best(small_model(3.0), score(1), {})
    assert (run.folder / "best.keras").exists() and run.find_generator() == (run.folder / "generator.keras", 1)
    run.save_best(small_model(3.0), score(1), {})
    monkeypatch.setattr("gan.runs.run_directory.write_json", lambda path, content: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.save_best(small_model(4.0), score(2), {})
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


def test_grids_and_samples(run):
    """Grids have enlarged samples; samples.npz has the samples of all grids in order of iteration."""
    faces = {
        iteration: np.random.default_rng(iteration).integers(0, 256, (5, 16, 16, 3), np.uint8)
        for iteration in (999_999, 0, 1_000_000, 150)
    }
    for iteration, images_ in faces.items():
        run.save_grid(iteration, images_)
    assert {path.name for path in run.folder.iterdir()} == {"000000.png", "000150.png", "999999.png", "1000000.png"}
    grid = images.read_png(run.folder / "000150.png")
    assert grid.shape == (2 * 48 + 2, 3 * 48 + 2 * 2, 3)  # 3 columns, 2 rows, 2 pixels between
    np.testing.assert_array_equal(grid[:48:3, 50:98:3], faces[150][1])
    (run.folder / "loss.png").write_bytes(b"not a grid")
    run.save_samples(16, 5)
    with np.load(run.folder / "samples.npz") as samples:
        assert list(samples["iterations"]) == [0, 150, 999_999, 1_000_000]
        assert samples["images"].dtype == np.uint8
        np.testing.assert_array_equal(samples["images"], [faces[i] for i in sorted(faces)])


def test_samples_without_damaged_grids(run):
    """Images that are damaged or have another layout are left out of samples.npz, each with a warning."""
    faces = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    run.save_grid(150, faces)
    images.write_png(run.folder / "000007.png", np.zeros((48, 48, 3), np.uint8))
    (run.folder / "000200.png").write_bytes((run.folder / "000150.png").read_bytes()[:200])
    with pytest.warns(UserWarning, match=r"samples.npz is without .*000(007|200).png: ") as caught:
        run.save_samples(16, 5)
    assert len(caught) == 2
    with np.load(run.folder / "samples.npz") as samples:
        assert list(samples["iterations"]) == [150]
        np.testing.assert_array_equal(samples["images"], [faces])


def test_samples_without_grids(run):
    """If all grids were removed, samples.npz is unchanged."""
    run.folder.mkdir(parents=True)
    (run.folder / "samples.npz").write_bytes(b"as it was")
    run.save_samples(16, 5)
    assert (run.folder / "samples.npz").read_bytes() == b"as it was"


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


def test_tables_of_an_older_version(run):
    """Tables of an older version are read with the present names, and rewritten with them on resume."""
    run.claim(settings())
    files = {
        "log.csv": "iteration,images,seconds,d_loss,g_loss,d_real,d_fake,images_per_second\n"
        "1,64,0.5,1.25,0.75,0.6,0.4,640.0\n",
        "metrics.csv": "iteration,images,seconds,network,samples,kid,error,face_rate,"
        "diversity,memorisation,copied,copying,cost\n"
        "1,64,0.5,onet,64,9.0,1.5,,0.9,1.25,0.0,0,3.0\n",
        "health.csv": "iteration,ailment,state,advice\n1,collapse,began,Try\n",
    }  # fmt: skip
    for name, text in files.items():
        (run.folder / name).write_text(text)
    for _ in range(2):
        assert run.read_log()["real_score"].tolist() == [0.6] and run.active_failures() == {"mode collapse": "Try"}
        [found] = run.read_scores()
        assert (found["kid_stderr"], found["memorization"], found["eval_seconds"]) == (1.5, 1.25, 3.0)
        run.truncate_tables(1)
        assert not (run.folder / "health.csv").exists() and run.diagnostics.exists()
    run.append_log([row(2)])
    assert logged(run) == [1, 2]
