import csv
import dataclasses
import json
import os

import keras
import numpy as np
import pytest

from gan import images
from gan.config import Config
from gan.errors import UsageError
from gan.runs.run_directory import SCORE_COLUMNS, Run


@pytest.fixture
def run(tmp_path):
    """A run whose folder does not exist yet, two levels deep."""
    return Run(tmp_path / "output" / "run")


def settings(**changes):
    """A configuration as train.py hands it over."""
    return {**dataclasses.asdict(Config()), "data_key": "abc", **changes}


LOG_COLUMNS = ["iteration", "images", "seconds", "d_loss", "g_loss", "real_score", "fake_score", "images_per_second"]


def row(iteration):
    """An iteration of the log."""
    values = (iteration, 64 * iteration, 0.5, 1.25, 0.75, 0.6, 0.4, 640.0)
    return dict(zip(LOG_COLUMNS, values, strict=True))


def logged(run):
    """The log's iterations, each row whole and under the known header."""
    rows = list(csv.reader(run.log.read_text().splitlines()))
    assert rows[0] == LOG_COLUMNS and {len(r) for r in rows} == {8}
    return [int(r[0]) for r in rows[1:]]


def test_claim_writes_the_settings(run):
    """The folder and config.json appear, the settings in it."""
    run.claim(settings())
    assert json.loads((run.folder / "config.json").read_text()) == json.loads(json.dumps(settings()))


def test_claim_again(run):
    """The same settings may go on, also where they were tuples; a changed length is written down."""
    run.claim(settings())
    run.claim(settings(epochs=9, steps_per_epoch="all", data="elsewhere"))
    saved = json.loads((run.folder / "config.json").read_text())
    assert (saved["epochs"], saved["steps_per_epoch"], saved["data"]) == (9, "all", "elsewhere")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"noise_size": 7}, f"noise-size: {Config.noise_size} there, 7 here"),
        ({"generator_betas": (0.5, 0.6)}, "generator-betas: [0.0, 0.99] there, [0.5, 0.6] here"),
        ({"data_key": "xyz"}, "data-key: abc there, xyz here"),
    ],
)
def test_claim_of_another_configuration(run, change, told):
    """UsageError tells each difference and what to do, and leaves the folder as it was."""
    run.claim(settings(generator_betas=(0.0, 0.99)))
    before = (run.folder / "config.json").read_bytes()
    with pytest.raises(UsageError) as error:
        run.claim(settings(**{"generator_betas": (0.0, 0.99), **change}))
    assert told in str(error.value) and "--run" in str(error.value) and str(run.folder) in str(error.value)
    assert (run.folder / "config.json").read_bytes() == before


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_claim_of_somebody_elses_folder(run, content):
    """A config.json that this program did not write is not overwritten."""
    run.folder.mkdir(parents=True)
    (run.folder / "config.json").write_bytes(content)
    with pytest.raises(UsageError):
        run.claim(settings())
    assert (run.folder / "config.json").read_bytes() == content


def test_claim_clears_away_what_a_killed_process_was_writing(run):
    """Temporary files go, of pictures, checkpoints and the generator; all else stays."""
    run.checkpoints.mkdir(parents=True)
    litter = [
        run.folder / ".000150.png.x1y2.part",
        run.folder / ".generator.part.keras",
        run.checkpoints / ".000000150.npz.x1y2.part",
    ]
    mine = [run.folder / "notes.part", run.folder / ".hidden", run.checkpoints / "000000100.npz"]
    for path in litter + mine:
        path.write_bytes(b"x")
    run.claim(settings())
    assert not any(path.exists() for path in litter) and all(path.exists() for path in mine)


def test_describe_data(run):
    """data.json holds the report; skipped.csv has names of any bytes, quotes and commas unharmed."""
    odd = os.fsdecode(b"caf\xe9.jpg")  # no UTF-8, as an old disk may have
    run.write_data_report({"found": 3, "naïve": "ü"}, [(odd, "truncated"), ('a,"b".jpg', "too small, 4x4")])
    assert json.loads((run.folder / "data.json").read_text("utf-8")) == {"found": 3, "naïve": "ü"}
    raw = (run.folder / "skipped.csv").read_bytes()
    assert raw.splitlines()[:2] == [b"file,reason", b"caf\xe9.jpg,truncated"]
    assert list(csv.reader(raw.decode("utf-8", "surrogateescape").splitlines()))[1:] == [
        [odd, "truncated"], ['a,"b".jpg', "too small, 4x4"],
    ]  # fmt: skip


def test_log(run):
    """The first rows bring the header; rows are added; rows after the last checkpoint, whole or torn, are cut."""
    run.claim(settings())
    run.truncate_tables(0)
    assert not run.log.exists() and run.read_log() == {}
    run.append_log([row(1), row(2)])
    run.append_log([row(3), row(10)])
    assert logged(run) == [1, 2, 3, 10]
    with open(run.log, "a") as file:
        file.write("1")  # of iteration 11: a process died here
    run.truncate_tables(3)
    assert logged(run) == [1, 2, 3]
    run.append_log([row(4)])
    assert logged(run) == [1, 2, 3, 4]
    assert run.log.read_text().splitlines()[-1] == "4,256,0.500,1.25,0.75,0.6,0.4,640.0"


def test_a_scalar_that_comes_later(run):
    """It has a column of its own from then on, empty in earlier rows and where an iteration lacks it."""
    run.claim(settings())
    run.append_log([row(1)])
    run.append_log([{**row(2), "penalty": 0.25}, row(3)])
    lines = run.log.read_text().splitlines()
    assert lines[0] == ",".join([*LOG_COLUMNS[:-1], "penalty", "images_per_second"])
    assert [line.split(",")[-2] for line in lines[1:]] == ["", "0.25", ""]
    np.testing.assert_array_equal(run.read_log()["penalty"], [np.nan, 0.25, np.nan])


def test_tables_of_another_version(run):
    """Other columns: nothing is cut, nothing is lost, and the message says what to do."""
    run.claim(settings())
    run.append_log([row(1), row(2)])
    older = ",".join(name for name in SCORE_COLUMNS if name != "kid") + "\n1,64,0.5,onet,64,,0.9,1.0,0.0,0,0.1\n"
    run.metrics.write_text(older)
    with pytest.raises(UsageError, match=r"metrics\.csv.*--run"):
        run.truncate_tables(1)
    assert run.metrics.read_text() == older and logged(run) == [1, 2]


def score(iteration, kid=0.1 + 0.2, **more):
    """A score, with numbers that no short text holds."""
    numbers = {"diversity": 2 / 3, "memorization": 1e-17, "copied": 1 / 128, "eval_seconds": 1e3 / 7}
    return {
        "iteration": iteration, "images": 64 * iteration, "seconds": 1.234, "network": "onet", "samples": 64,
        "kid": kid, "kid_stderr": 1 / 9, "face_rate": None, "copying": 0, **numbers, **more,
    }  # fmt: skip


def test_scores_read_back_the_same(run):
    """To the bit and of the same type, NumPy's numbers too: a best score is as good after a restart as before."""
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


def test_all_tables_are_cut(run):
    """Scores and failure modes after the last checkpoint go, torn rows too; advice keeps its commas."""
    run.claim(settings())
    run.truncate_tables(0)
    advice = 'Try --penalty r1, a larger --batch-size, or "another" --seed'
    for iteration in (3, 6, 9):
        run.append_score(score(iteration))
    run.append_rows(
        run.diagnostics,
        [(3, "collapse", "started", advice), (6, "saturation", "started", "Stop"), (9, "x", "started", "")],
    )
    for path in (run.metrics, run.diagnostics):
        with open(path, "a") as file:
            file.write('12,64,"a')
    run.truncate_tables(6)
    assert [row["iteration"] for row in run.read_scores()] == [3, 6]
    assert run.active_failures() == {"collapse": advice, "saturation": "Stop"}
    run.append_rows(run.diagnostics, [(9, "collapse", "ended", "")])
    assert run.active_failures() == {"saturation": "Stop"}


def test_read_log(run):
    """The columns of the last rows by name, exactly as they were logged; all rows where there are fewer."""
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
        ("log.csv", ",".join(LOG_COLUMNS) + "\n1,64,0.5,1.25,x,0.6,0.4,640.0", lambda run: run.read_log(5)),
    ],
)
def test_damage_is_named(run, name, text, read):
    """What is no longer as it was written: the file, and what to do, in a line."""
    run.claim(settings())
    (run.folder / "best.keras").write_bytes(b"whole")
    (run.folder / name).write_text(text)
    with pytest.raises(UsageError, match=f"{name} is damaged: move it away, and the same command goes on without it"):
        read(run)


def test_a_generator_of_which_nothing_is_known(run):
    """Checkpoints may be removed; where the log is gone too, its iteration is unknown."""
    run.claim(settings())
    run.save_generator(small_model(2.0))
    assert run.find_generator() == (run.folder / "generator.keras", None)


def small_model(value):
    """A network of one weight."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((1, 1), value)])
    return model


def test_generators(run):
    """The best and the last, each with its iteration; the last where nothing was scored; a message before the first."""
    run.claim(settings())
    with pytest.raises(UsageError, match=r"has no generator yet\. Its training goes on with: python train\.py"):
        run.find_generator()
    run.append_log([row(i) for i in range(1, 8)])
    run.save_generator(small_model(2.0))
    assert run.find_generator() == (run.folder / "generator.keras", 7) and run.best_iteration() is None
    run.checkpoints.mkdir()
    for iteration in (3, 6):
        (run.checkpoints / f"{iteration:09d}.npz").touch()
    assert run.find_generator() == (run.folder / "generator.keras", 6)  # the log is ahead of it
    run.save_best(small_model(3.0), score(3, kid=5.0), {"network": "n"})
    assert run.find_generator() == (run.folder / "best.keras", 3) and run.best_iteration() == 3
    assert run.find_generator(best=False) == (run.folder / "generator.keras", 6)
    told = json.loads((run.folder / "best.json").read_text())
    assert told == {**score(3, kid=5.0), "protocol": {"network": "n"}} and list(told)[:-1] == SCORE_COLUMNS
    assert keras.saving.load_model(run.folder / "best.keras").get_weights()[0].item() == 3


def test_killed_between_the_two_files_of_the_best(run, monkeypatch):
    """best.json comes after best.keras: without it, the last generator is all there is."""
    run.claim(settings())
    run.append_log([row(1)])
    run.save_generator(small_model(2.0))
    monkeypatch.setattr("gan.runs.run_directory.write_json", lambda path, content: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.save_best(small_model(3.0), score(1), {})
    assert (run.folder / "best.keras").exists() and run.find_generator() == (run.folder / "generator.keras", 1)


def test_config_of_a_run(run, tmp_path):
    """It comes back as it was; another folder is refused with the names of those that are runs."""
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
    """Grids hold the faces enlarged; samples.npz collects those of all grids in order of iteration."""
    faces = {
        iteration: np.random.default_rng(iteration).integers(0, 256, (5, 16, 16, 3), np.uint8)
        for iteration in (999_999, 0, 1_000_000, 150)
    }
    for iteration, images_ in faces.items():
        run.save_grid(iteration, images_)
    assert {path.name for path in run.folder.iterdir()} == {"000000.png", "000150.png", "999999.png", "1000000.png"}
    picture = images.read_png(run.folder / "000150.png")
    assert picture.shape == (2 * 48 + 2, 3 * 48 + 2 * 2, 3)  # 3 columns, 2 rows, 2 pixels between
    np.testing.assert_array_equal(picture[:48:3, 50:98:3], faces[150][1])
    (run.folder / "loss.png").write_bytes(b"not a grid")
    run.save_samples(16, 5)
    with np.load(run.folder / "samples.npz") as samples:
        assert list(samples["iterations"]) == [0, 150, 999_999, 1_000_000]
        assert samples["images"].dtype == np.uint8
        np.testing.assert_array_equal(samples["images"], [faces[i] for i in sorted(faces)])


def test_samples_without_what_is_no_grid(run):
    """A numbered picture that is damaged, or of another layout, is named and left out; the others are kept."""
    faces = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    run.save_grid(150, faces)
    images.write_png(run.folder / "000007.png", np.zeros((48, 48, 3), np.uint8))
    (run.folder / "000200.png").write_bytes((run.folder / "000150.png").read_bytes()[:200])
    with pytest.warns(UserWarning, match=r"samples.npz is without .*000(007|200).png: ") as told:
        run.save_samples(16, 5)
    assert len(told) == 2
    with np.load(run.folder / "samples.npz") as samples:
        assert list(samples["iterations"]) == [150]
        np.testing.assert_array_equal(samples["images"], [faces])


def test_samples_of_no_grid(run):
    """Where all pictures were removed there is nothing to collect, and what was collected stays."""
    run.folder.mkdir(parents=True)
    (run.folder / "samples.npz").write_bytes(b"as it was")
    run.save_samples(16, 5)
    assert (run.folder / "samples.npz").read_bytes() == b"as it was"


def test_save_generator(run):
    """generator.keras loads by Keras alone and replaces the one before; nothing else is left."""
    run.folder.mkdir(parents=True)
    for value in (1.0, 2.0):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.set_weights([np.full((3, 2), value), np.zeros(2)])
        run.save_generator(model)
    loaded = keras.saving.load_model(run.folder / "generator.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(np.ones((1, 3))), [[6, 6]])
    assert os.listdir(run.folder) == ["generator.keras"]


def test_an_older_run(run):
    """Its tables are read by their present names, and rewritten under those when it is continued."""
    run.claim(settings())
    files = {
        "log.csv": "iteration,images,seconds,d_loss,g_loss,d_real,d_fake,images_per_second\n"
        "1,64,0.5,1.25,0.75,0.6,0.4,640.0\n",
        "metrics.csv": "iteration,images,seconds,network,samples,kid,error,face_rate,"
        "diversity,memorisation,copied,copying,cost\n"
        "1,64,0.5,onet,64,9.0,1.5,,0.9,1.25,0.0,0,3.0\n",
        "health.csv": "iteration,ailment,state,advice\n1,saturation,began,Try\n",
    }  # fmt: skip
    for name, text in files.items():
        (run.folder / name).write_text(text)
    for _ in range(2):
        assert run.read_log()["real_score"].tolist() == [0.6] and run.active_failures() == {"saturation": "Try"}
        [found] = run.read_scores()
        assert (found["kid_stderr"], found["memorization"], found["eval_seconds"]) == (1.5, 1.25, 3.0)
        run.truncate_tables(1)
        assert not (run.folder / "health.csv").exists() and run.diagnostics.exists()
    run.append_log([row(2)])
    assert logged(run) == [1, 2]
