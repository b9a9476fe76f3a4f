"""The real command, from faces on disk to a finished run, and what becomes of it when it is stopped or killed."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import THREADS
from PIL import Image

import data
import train
from gan import images
from gan.datasets import avatars
from gan.metrics.evaluation import select_best
from gan.runs.run_directory import Run

ROOT = Path(__file__).parent.parent
# Everything that has a state of its own: dropout, batch norm, both Adams, the average, the penalty, the flips.
SMALL = [
    *("--recipe", "keras-gan-upsample", "--width", "4", "--discriminator-width", "4", "--image-size", "16"),
    *("--penalty", "r1", "--penalty-every", "3", "--ema-half-life", "40", "--flip", "--batch-size", "7"),
    *("--precision", "float32", "--holdout", "0.4", "--run", "it"),
]
SCORED = ("--score-every", "3", "--score-samples", "64")


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """A folder of 60 JPEGs of drawn faces."""
    folder = tmp_path_factory.mktemp("faces")
    pictures, _ = avatars.draw(60, 32, seed=5)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{i:02d}.jpg", quality=95)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder of the tests' own."""
    return tmp_path_factory.mktemp("cache")


def command(faces, cache, *more):
    """What a person types, as a list."""
    return [sys.executable, str(ROOT / "train.py"), "--data", str(faces), "--cache-dir", str(cache), *SMALL, *more]


def run(where, *arguments, code=0, script=None):
    """Runs the command in a folder, expects an exit code, and returns what it printed."""
    line = arguments if script is None else [sys.executable, "-c", script, *arguments[2:]]
    environment = {name: value for name, value in os.environ.items() if name not in THREADS} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=where, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def state(where, iteration):
    """All that a checkpoint holds, but for the clock."""
    with np.load(where / f"output/it/checkpoints/{iteration:09d}.npz", allow_pickle=False) as file:
        return {
            name: file[name] for name in file.files if name not in ("seconds", "data_seconds", "validation", "grid_due")
        }


def log(where):
    """The log's rows, without the two columns that are the clock's."""
    return table(where, "log.csv", "seconds", "images_per_second")


def table(where, name, *clock):
    """The rows of one of a run's tables, its header first, without the columns of a clock."""
    with open(where / "output/it" / name, newline="") as file:
        header, *rows = csv.reader(file)
    return [
        [value for column, value in zip(header, row, strict=True) if column not in clock] for row in [header, *rows]
    ]


def assert_same(one, other, iteration):
    """Two runs have arrived at the same place: every variable, every row and the last picture, to the bit."""
    first, second = state(one, iteration), state(other, iteration)
    assert first.keys() == second.keys() and len(first) > 50
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    assert log(one) == log(other) and len(log(one)) == iteration + 1
    assert (one / f"output/it/{iteration:06d}.png").read_bytes() == (
        other / f"output/it/{iteration:06d}.png"
    ).read_bytes()


@pytest.fixture(scope="session")
def whole(faces, cache, tmp_path_factory):
    """A run of 12 iterations that nothing disturbed. It alone is scored, which must not change what is trained."""
    where = tmp_path_factory.mktemp("whole")
    printed = run(where, *command(faces, cache, "--epochs", "12", "--sample-every", "3", *SCORED))
    rows, held = data.load(str(faces), 16, cache_dir=cache).split(0.4)
    wanted = f"12 iterations of 7 = 84 images = {84 / len(rows):.1f} passes over {len(rows)} images"
    assert f"{wanted}, {len(held)} more held out for scores" in printed and len(rows) + len(held) == 60
    assert "Best of 4 scores: kid-onet, centered" in printed
    return where


@pytest.fixture(scope="session")
def six(faces, cache, tmp_path_factory):
    """The first half of it, by a process of its own."""
    where = tmp_path_factory.mktemp("six")
    run(where, *command(faces, cache, "--epochs", "6", "--sample-every", "3", *SCORED))
    return where


def test_a_run_leaves_all_it_promises(whole):
    """Pictures by iteration, chart, log, settings, data report, checkpoints, and tables of scores and failure modes."""
    folder = whole / "output/it"
    assert sorted(p.name for p in folder.glob("0*.png")) == [f"{i:06d}.png" for i in (0, 3, 6, 9, 12)]
    height, width, _ = images.read_png(folder / "loss.png").shape
    assert width == 800 and height >= 1000  # losses, scores, variety, and the other scalars
    assert json.loads((folder / "config.json").read_text())["width"] == 4
    data = json.loads((folder / "data.json").read_text())
    assert data["used"] == 60 and 0 < data["held_out"] < 60
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["000000009.npz", "000000012.npz"]
    rows = log(whole)
    assert rows[0][:2] == ["iteration", "images"] and rows[-1][:2] == ["12", "84"]
    assert all(np.isfinite(float(value)) for row in rows[1:] for value in row if value)
    assert [row[rows[0].index("penalty")] != "" for row in rows[1:]] == [i % 3 == 0 for i in range(12)]
    assert table(whole, "metrics.csv")[0][0] == "iteration" and (folder / "diagnostics.csv").exists()


def test_the_best_generator_is_kept(whole):
    """best.json tells which of the four scores of 64 samples was the best, and against how many unseen faces."""
    scores = Run(whole / "output/it").read_scores()
    assert [(row["iteration"], row["samples"]) for row in scores] == [(3, 64), (6, 64), (9, 64), (12, 64)]
    told = json.loads((whole / "output/it/best.json").read_text())
    protocol = told.pop("protocol")
    best = select_best([row["kid"] for row in scores], [row["kid_stderr"] for row in scores])
    assert told == scores[best] and told["face_rate"] is not None
    assert list(protocol["network"]) == ["onet"] and 2 <= protocol["reference"]["faces"] < 45
    assert Run(whole / "output/it").find_generator() == (whole / "output/it/best.keras", told["iteration"])
    assert Run(whole / "output/it").find_generator(best=False) == (whole / "output/it/generator.keras", 12)


def test_samples_hold_every_picture(whole):
    """samples.npz has the faces of each grid, of one fixed noise."""
    folder = whole / "output/it"
    with np.load(folder / "samples.npz", allow_pickle=False) as file:
        assert file["iterations"].tolist() == [0, 3, 6, 9, 12]
        faces = file["images"]
    assert faces.shape == (5, 64, 16, 16, 3) and faces.dtype == np.uint8
    np.testing.assert_array_equal(images.make_grid(faces[-1], scale=3), images.read_png(folder / "000012.png"))


def test_the_generator_is_kerass_own(whole):
    """Keras in safe mode opens both generators, of whose layers none is ours, and makes faces in [-1, 1] with each.

    tests/test_layers.py opens such files where there is nothing but Keras.
    """
    for name in ("generator", "best"):
        network = keras.saving.load_model(whole / f"output/it/{name}.keras", safe_mode=True)
        assert all(type(layer).__module__.startswith("keras.") for layer in network.layers)
        faces = network(np.ones((2, *network.input_shape[1:]), "float32"), training=False).numpy()
        assert faces.shape == (2, 16, 16, 3) and abs(faces).max() <= 1 and faces.std() > 0


# The command, told to end by signal 15 just before its fifth step.
TOLD_TO_END = """
import signal, sys
import data, train
batches = data.batches
def told(*given, **named):
    for number, real in enumerate(batches(*given, **named), 1):
        if number == 5:
            signal.raise_signal(signal.SIGTERM)
        yield real
data.batches = told
sys.exit(train.main(sys.argv[1:]))
"""


def test_sigterm_finishes_the_step_and_goes_on_to_the_bit(faces, cache, whole, tmp_path):
    """SIGTERM saves, says how to go on and ends with 128 + 15; the same command then ends like an undisturbed run."""
    line = command(faces, cache, "--epochs", "12", "--sample-every", "3")
    printed = run(tmp_path, *line, script=TOLD_TO_END, code=128 + signal.SIGTERM)
    assert "Stopped and saved. The same command goes on from here." in printed
    assert len(log(tmp_path)) - 1 == 5 and state(tmp_path, 5)["iteration"] == 5
    assert (tmp_path / "output/it/samples.npz").exists()
    assert "Going on after iteration 5" in run(tmp_path, *line)
    assert_same(whole, tmp_path, 12)


# The command, killed with signal 9 in the middle of writing its third checkpoint.
KILLED_WHILE_SAVING = """
import io, os, signal, sys
import numpy as np
import train
from gan.runs import checkpoints
whole, saves = np.savez, []
def half(file, **arrays):
    saves.append(1)
    if len(saves) < 3:
        return whole(file, **arrays)
    memory = io.BytesIO()
    whole(memory, **arrays)
    file.write(memory.getvalue()[: len(memory.getvalue()) // 2])
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
checkpoints.np.savez = half
sys.exit(train.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_while_saving(faces, cache, whole, tmp_path):
    """kill -9 in the middle of a checkpoint costs the work since the one before, and nothing else."""
    line = command(faces, cache, "--epochs", "12", "--sample-every", "3")
    run(tmp_path, *line, script=KILLED_WHILE_SAVING, code=-signal.SIGKILL)
    assert list((tmp_path / "output/it/checkpoints").glob(".*.part"))
    printed = run(tmp_path, *line)
    assert "Going on after iteration 6" in printed
    assert "No score: it would take more than 5% of so short a run" in printed
    assert not (tmp_path / "output/it/best.keras").exists() and len(table(tmp_path, "metrics.csv")) == 1
    assert_same(whole, tmp_path, 12)
    assert not list((tmp_path / "output/it/checkpoints").glob(".*"))


@pytest.fixture
def stopped(faces, cache, six, tmp_path):
    """Goes on, with a copy of the run of six iterations, to twelve; `spoil(folder)` comes before."""

    def go_on(spoil=lambda folder: None):
        shutil.copytree(six, tmp_path, dirs_exist_ok=True)
        spoil(tmp_path / "output/it")
        line = command(faces, cache, "--epochs", "12", "--sample-every", "3", *SCORED)
        return run(tmp_path, *line)

    return go_on


def test_a_longer_command_goes_on_to_the_bit(whole, stopped, tmp_path):
    """6 iterations, then the same command to 12: the same state, dropout's too, log and scores as 12 at once."""
    assert "Going on after iteration 6" in stopped()
    assert_same(whole, tmp_path, 12)
    for name, clock in [("metrics.csv", ("seconds", "eval_seconds")), ("diagnostics.csv", ())]:
        assert table(whole, name, *clock) == table(tmp_path, name, *clock)
    assert Run(whole / "output/it").best_iteration() == Run(tmp_path / "output/it").best_iteration()


def test_a_damaged_checkpoint_falls_back(whole, stopped, tmp_path):
    """A newest checkpoint with one byte changed is named in a warning; the one before it leads to the same end."""

    def spoil(folder):
        newest = folder / "checkpoints/000000006.npz"
        content = bytearray(newest.read_bytes())
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)

    printed = stopped(spoil)
    assert "000000006.npz is damaged" in printed and "Going on after iteration 3" in printed
    assert_same(whole, tmp_path, 12)


# From here on in this process: the same main(), without a new interpreter each time.


def again(where, line, monkeypatch, capsys, code=0):
    """Runs the command in a folder, expects an exit code, and returns what it printed."""
    monkeypatch.chdir(where)
    capsys.readouterr()
    assert train.main(line[2:]) == code
    return "".join(capsys.readouterr())


def test_nan_stops_the_run(faces, cache, tmp_path, monkeypatch, capsys):
    """A batch that is no number, the fourth: exit code 1, that number, the last good checkpoint and its picture."""
    batches = data.batches

    def spoilt(*given, **named):
        for number, (real, labels) in enumerate(batches(*given, **named), 1):
            yield (real * np.nan if number == 4 else real), labels

    monkeypatch.setattr(data, "batches", spoilt)
    printed = again(
        tmp_path, command(faces, cache, "--sample-every", "1", "--epochs", "9"), monkeypatch, capsys, code=1
    )
    assert "NaN or infinite after iteration 4." in printed
    kept = sorted((tmp_path / "output/it/checkpoints").glob("*.npz"))
    assert [path.stem for path in kept] == ["000000002", "000000003"]
    assert all(np.isfinite(array).all() for path in kept for array in np.load(path).values())
    assert (tmp_path / "output/it/000003.png").exists()
    iteration, mode, status, advice = table(tmp_path, "diagnostics.csv")[-1]
    assert (iteration, mode, status) == ("4", "NaN", "started") and advice in printed


def test_a_folder_of_every_kind_of_file(cache, tmp_path, folder_of_everything, monkeypatch, capsys):
    """A hundred good images among the odd ones of a real disk: it trains, and names what it left out and why."""
    folder, reasons = folder_of_everything
    printed = again(tmp_path, command(folder, cache, "--epochs", "2", "--holdout", "0"), monkeypatch, capsys)
    with open(tmp_path / "output/it/skipped.csv", newline="") as file:
        named = dict(list(csv.reader(file))[1:])
    assert named == reasons
    assert "passes over 107 images" in printed and "No score: no image was held out (--holdout)." in printed


def test_another_configuration_is_refused(faces, cache, whole, monkeypatch, capsys):
    """Another seed under the same name: exit 2, the difference named, nothing changed; epochs may differ."""
    monkeypatch.chdir(whole)
    before = (whole / "output/it/config.json").read_bytes()
    assert train.main(command(faces, cache, "--epochs", "12", "--seed", "3")[2:]) == 2
    assert "seed: 0 there, 3 here" in capsys.readouterr().err
    assert (whole / "output/it/config.json").read_bytes() == before


def test_faces_held_out_never_train(faces, cache, tmp_path, monkeypatch):
    """In 20 batches, two passes and more, each training face comes, mirrored or not, and none of those held out."""
    monkeypatch.chdir(tmp_path)
    seen = set()

    def iterate(trainer):
        for batch, _ in trainer.batches(0).dataset.take(20).as_numpy_iterator():
            seen.update(face.tobytes() for face in images.to_uint8(np.concatenate([batch, batch[:, :, ::-1]])))
        assert len(trainer.validator.scorer.held_out) + len(trainer.validator.scorer.training) == 60
        return 0

    monkeypatch.setattr("gan.training.trainer.Trainer.train", iterate)
    assert train.main(command(faces, cache, "--epochs", "12")[2:]) == 0
    loaded = data.load(str(faces), 16, cache_dir=cache)
    rows, held = ({loaded.images[i].tobytes() for i in side} for side in loaded.split(0.4))
    assert len(held) > 10 and rows <= seen and not held & seen


def test_two_at_once_are_refused(faces, cache, whole, monkeypatch, capsys):
    """A second process in a run's folder: exit 2, and the first is left in peace."""
    monkeypatch.chdir(whole)
    with Run(whole / "output/it").lock():
        assert train.main(command(faces, cache, "--epochs", "12")[2:]) == 2
    assert "Another process is training" in capsys.readouterr().err


def test_a_finished_run_says_so(faces, cache, whole, monkeypatch, capsys):
    """The same command after the end trains no further and says what would."""
    monkeypatch.chdir(whole)
    assert train.main(command(faces, cache, "--epochs", "12", "--sample-every", "3")[2:]) == 0
    assert "A larger --epochs goes on from there." in capsys.readouterr().out
    assert len(log(whole)) == 13


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--holdout", "0"], "--patience 3 never stops this run. No score: no image was held out (--holdout)."),
        (["--minutes", "1"], "--patience 3 never stops this run. No score: it would take more than 5% of so short"),
        (["--minutes", "1", "--score-every", "9"], ""),
        (["--epochs", "12"], ""),
    ],
)
def test_patience_without_scores(faces, cache, tmp_path, monkeypatch, capsys, more, said):
    """Where nothing is scored there is nothing to be patient about, and that is said at the start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gan.training.trainer.Trainer.train", lambda trainer: 0)
    assert train.main(command(faces, cache, "--patience", "3", *more)[2:]) == 0
    printed = capsys.readouterr().out
    assert said in printed and ("--patience" in printed) is bool(said)


def test_dry_run_writes_nothing(faces, cache, tmp_path, monkeypatch, capsys):
    """--dry-run prints the plan and makes no folder."""
    monkeypatch.chdir(tmp_path)
    line = command(faces, cache, "--epochs", "2", "--steps-per-epoch", "all", "--holdout", "0", "--dry-run")
    assert train.main(line[2:]) == 0
    assert "18 iterations of 7" in capsys.readouterr().out
    assert not (tmp_path / "output").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="where names of files are bytes")
def test_a_folder_whose_name_is_no_text(faces, cache, tmp_path):
    """Is read, and printed as it is, where the terminal wants UTF-8; the run's generator gets its card."""
    odd = os.fsencode(tmp_path) + b"/\xff"
    shutil.copytree(os.fsencode(faces), odd)
    strict = os.environ | {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": str(ROOT)}

    def printed(*line):
        done = subprocess.run(line, cwd=tmp_path, env=strict, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert b"found in \xff," in printed(*command(os.fsdecode(odd), cache, "--epochs", "1", "--score-every", "0"))
    assert b"Model card" in printed(sys.executable, "-m", "tools.export", "output/it", "--to", "keras")
    assert (tmp_path / "output/it/export/README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "no/such/place"], "no such file or folder"),
        (["--data", "README.md"], "README.md"),
    ],
)
def test_mistakes_are_answered_in_a_line(arguments, said, tmp_path, monkeypatch, capsys):
    """Data that is not there, or is no data: exit 2, one message, no traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("no faces")
    assert train.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_real_faces(tmp_path, monkeypatch, capsys, celeba):
    """A few steps on photographs, straight from their zip."""
    monkeypatch.chdir(tmp_path)
    line = ["--data", str(celeba), "--limit", "64", "--epochs", "2", "--width", "4", "--cache-dir", str(tmp_path)]
    assert train.main([*line, "--run", "real"]) == 0
    assert "64 images" in capsys.readouterr().out
    assert images.read_png(tmp_path / "output/real/000002.png").std() > 1
