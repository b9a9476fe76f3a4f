"""train.py from a folder of images to a finished run, and resuming after it was stopped or killed."""

import csv
import dataclasses
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from data_files import encode_png
from helpers import LONG, THREADS
from PIL import Image

import data
import train
from gan import images
from gan.config import Config
from gan.datasets import avatars
from gan.files import write_json
from gan.metrics.evaluation import select_best
from gan.runs.run_directory import Run

ROOT = Path(__file__).parent.parent
# A configuration with all kinds of state: dropout, batch norm, both optimizers, EMA, lazy penalty, augmentation. A
# discriminator of dense layers, which has no batch norm, compiles soonest.
SMALL_RUN = [
    *("--recipe", "keras-gan-upsample", "--width", "4", "--discriminator-width", "4", "--image-size", "16"),
    *("--discriminator", "dense", "--dropout", "0.25"),
    *("--penalty", "r1", "--penalty-every", "3", "--ema-half-life", "40", "--flip", "--batch-size", "7"),
    *("--precision", "float32", "--holdout", "0.4", "--run", "it"),
]
SCORED = ("--score-every", "3", "--score-samples", "64")
# Networks that are soon built, for tests of what is around the training.
FAST = ["--generator", "dense", "--discriminator", "dense", "--penalty", "none", "--penalty-every", "16"]


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """A folder of 60 JPEGs of avatars."""
    folder = tmp_path_factory.mktemp("faces")
    pixels, _ = avatars.draw(60, 32, seed=5)
    for i, avatar in enumerate(pixels):
        Image.fromarray(avatar).save(folder / f"{i:02d}.jpg", quality=95)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder for these tests."""
    return tmp_path_factory.mktemp("cache")


def command(faces, cache, *more):
    """The command line of train.py as a list."""
    return [sys.executable, str(ROOT / "train.py"), "--data", str(faces), "--cache-dir", str(cache), *SMALL_RUN, *more]


def run(where, *arguments, code=0, script=None):
    """Runs the command in a subprocess in folder `where`, checks its exit code, and returns its output.

    `script` is Python code to run in place of train.py.
    """
    line = arguments if script is None else [sys.executable, "-c", script, *arguments[2:]]
    environment = {name: value for name, value in os.environ.items() if name not in THREADS} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=where, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def state(where, iteration):
    """The arrays of a checkpoint, except those that depend on the time."""
    with np.load(where / f"output/it/checkpoints/{iteration:09d}.npz", allow_pickle=False) as file:
        return {
            name: file[name] for name in file.files if name not in ("seconds", "data_seconds", "validation", "grid_due")
        }


def log(where):
    """The header and rows of log.csv, without the columns that depend on the time."""
    return table(where, "log.csv", "seconds", "images_per_second")


def table(where, name, *clock):
    """The header and rows of one of a run's tables, without the columns named in `clock`."""
    with open(where / "output/it" / name, newline="") as file:
        header, *rows = csv.reader(file)
    return [
        [value for column, value in zip(header, row, strict=True) if column not in clock] for row in [header, *rows]
    ]


def assert_same(one, other, iteration):
    """Asserts that two runs have bit-identical checkpoints, logs and sample grids at an iteration."""
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
    """The folder of an uninterrupted run of 12 iterations with scores, which must not affect the training."""
    where = tmp_path_factory.mktemp("whole")
    printed = run(where, *command(faces, cache, "--epochs", "12", "--sample-every", "3", *SCORED))
    rows, held = data.load(str(faces), 16, cache_dir=cache).split(0.4)
    wanted = f"12 iterations of 7 = 84 images = {84 / len(rows):.1f} passes over {len(rows)} images"
    assert f"{wanted}, {len(held)} more held out for scores" in printed and len(rows) + len(held) == 60
    assert "Best of 4 scores: kid-onet, centered" in printed
    return where


def test_files_of_a_run(whole):
    """A run writes sample grids, chart, log, config, data report, checkpoints, and tables of scores and diagnostics."""
    folder = whole / "output/it"
    assert sorted(p.name for p in folder.glob("0*.png")) == [f"{i:06d}.png" for i in (0, 3, 6, 9, 12)]
    height, width, _ = images.read_png(folder / "loss.png").shape
    assert width == 800 and height >= 1000  # panels of losses, scores, variety and the other scalars
    assert json.loads((folder / "config.json").read_text())["width"] == 4
    data = json.loads((folder / "data.json").read_text())
    assert data["used"] == 60 and 0 < data["held_out"] < 60
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["000000009.npz", "000000012.npz"]
    rows = log(whole)
    assert rows[0][:2] == ["iteration", "images"] and rows[-1][:2] == ["12", "84"]
    assert all(np.isfinite(float(value)) for row in rows[1:] for value in row if value)
    assert [row[rows[0].index("penalty")] != "" for row in rows[1:]] == [i % 3 == 0 for i in range(12)]
    assert table(whole, "metrics.csv")[0][0] == "iteration" and (folder / "diagnostics.csv").exists()


def test_output_readme_names_what_a_run_has(whole):
    """output/README.md has a row for each file of a run, and for each column of its tables."""
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "output/README.md").read_text("utf-8"), re.MULTILINE)
    named = set(re.findall(r"`([^`]+)`", " ".join(rows)))
    folder = whole / "output/it"
    files = {f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir() if path.name[0] != "."}
    grids = {path.name for path in folder.glob("0*.png")}
    assert grids and files - grids <= named and "000150.png" in named
    assert set(table(whole, "log.csv")[0]) <= named and set(table(whole, "metrics.csv")[0]) <= named


def test_the_best_generator_is_kept(whole):
    """best.json has the best of four scores of 64 samples, and best.keras the generator of that iteration."""
    scores = Run(whole / "output/it").tables.read_scores()
    assert [(row["iteration"], row["samples"]) for row in scores] == [(3, 64), (6, 64), (9, 64), (12, 64)]
    saved = json.loads((whole / "output/it/best.json").read_text())
    protocol = saved.pop("protocol")
    best = select_best([row["kid"] for row in scores], [row["kid_stderr"] for row in scores])
    assert saved == scores[best] and saved["face_rate"] is not None
    assert list(protocol["network"]) == ["onet"] and 2 <= protocol["reference"]["faces"] < 45
    assert Run(whole / "output/it").find_generator() == (whole / "output/it/best.keras", saved["iteration"])
    assert Run(whole / "output/it").find_generator(best=False) == (whole / "output/it/generator.keras", 12)


def test_samples_of_every_grid(whole):
    """samples.npz has the samples of each grid."""
    folder = whole / "output/it"
    with np.load(folder / "samples.npz", allow_pickle=False) as file:
        assert file["iterations"].tolist() == [0, 3, 6, 9, 12]
        faces = file["images"]
    assert faces.shape == (5, 64, 16, 16, 3) and faces.dtype == np.uint8
    np.testing.assert_array_equal(images.make_grid(faces[-1], scale=3), images.read_png(folder / "000012.png"))


def test_generators_consist_of_keras_layers(whole):
    """Both generators load with Keras in safe mode, have only layers of Keras, and generate images in [-1, 1].

    tests/models/test_layers.py loads such files without this project.
    """
    for name in ("generator", "best"):
        network = keras.saving.load_model(whole / f"output/it/{name}.keras", safe_mode=True)
        assert all(type(layer).__module__.startswith("keras.") for layer in network.layers)
        faces = network(np.ones((2, *network.input_shape[1:]), "float32"), training=False).numpy()
        assert faces.shape == (2, 16, 16, 3) and abs(faces).max() <= 1 and faces.std() > 0


# train.py with a SIGTERM before its fifth step.
WITH_SIGTERM = """
import signal, sys
import data, train
batches = data.batches
def terminate(*args, **kwargs):
    for number, real in enumerate(batches(*args, **kwargs), 1):
        if number == 5:
            signal.raise_signal(signal.SIGTERM)
        yield real
data.batches = terminate
sys.exit(train.main(sys.argv[1:]))
"""


# train.py, killed by SIGKILL while it writes its second checkpoint.
KILLED_WHILE_SAVING = """
import io, os, signal, sys
import numpy as np
import train
from gan.runs import checkpoints
savez, saves = np.savez, []
def save_half(file, **arrays):
    saves.append(1)
    if len(saves) < 2:
        return savez(file, **arrays)
    memory = io.BytesIO()
    savez(memory, **arrays)
    file.write(memory.getvalue()[: len(memory.getvalue()) // 2])
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
checkpoints.np.savez = save_half
sys.exit(train.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_resume_after_sigterm_and_a_kill_is_bit_exact(faces, cache, whole, tmp_path):
    """SIGTERM saves and exits with 128 + 15, and a run killed while it saves resumes from the checkpoint before.

    The end, from 5 and then from 6 of 12 iterations, is bit-identical.
    """
    line = command(faces, cache, "--epochs", "12", "--sample-every", "3")
    printed = run(tmp_path, *line, script=WITH_SIGTERM, code=128 + signal.SIGTERM)
    assert "Stopped and saved. The same command goes on from here." in printed
    assert len(log(tmp_path)) - 1 == 5 and state(tmp_path, 5)["iteration"] == 5
    assert (tmp_path / "output/it/samples.npz").exists()
    saved = 5
    if os.name != "nt":  # Windows has no SIGKILL
        run(tmp_path, *line, script=KILLED_WHILE_SAVING, code=-signal.SIGKILL)
        assert list((tmp_path / "output/it/checkpoints").glob(".*.part"))
        saved = 6
    printed = run(tmp_path, *line)
    assert f"Going on after iteration {saved}" in printed
    assert "No score: it would take more than 5% of so short a run" in printed
    assert not (tmp_path / "output/it/best.keras").exists() and len(table(tmp_path, "metrics.csv")) == 1
    assert_same(whole, tmp_path, 12)
    assert not list((tmp_path / "output/it/checkpoints").glob(".*"))


# train.py for a user who is not in the system's list and has no HOME.
WITHOUT_HOME = """
import os, pwd, sys
def find_nobody(who):
    raise KeyError(who)
pwd.getpwuid = pwd.getpwnam = find_nobody
for name in ("HOME", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
import train
sys.exit(train.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has homes of another kind")
@pytest.mark.parametrize(
    ("data_flag", "code"), [("faces", 0), ("~/faces", 2), ("~nobody-of-that-name/faces", 2), ("", 2)]
)
def test_without_a_home(faces, tmp_path, monkeypatch, data_flag, code):
    """Training works without a home, writes nothing into a folder called ~, and refuses paths that need one."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "faces").symlink_to(faces)
    line = [sys.executable, "train.py", "--data", data_flag, *SMALL_RUN, *FAST, "--epochs", "2", "--sample-every", "2"]
    printed = run(tmp_path, *line, script=WITHOUT_HOME, code=code)
    assert not (tmp_path / "~").exists()
    assert ("2 iterations" in printed and "no home folder" in printed) if code == 0 else "train.py: " in printed


def run_in_process(where, line, monkeypatch, capsys, code=0):
    """Runs the command in folder `where`, checks its exit code, and returns its output."""
    monkeypatch.chdir(where)
    capsys.readouterr()
    assert train.main(line[2:]) == code
    return "".join(capsys.readouterr())


@pytest.fixture
def no_steps(monkeypatch):
    """Does everything but train: for tests of what comes before the first step."""
    monkeypatch.setattr("gan.training.trainer.Trainer.train", lambda trainer: 0)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_in_a_thread(faces, cache, tmp_path, monkeypatch, fast_saves):
    """Training works in a thread, as in a web app."""
    monkeypatch.chdir(tmp_path)
    line = command(faces, cache, *FAST, "--epochs", "2", "--sample-every", "2", "--score-every", "0")
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(train.main, line[2:]).result() == 0
    assert log(tmp_path)[-1][0] == "2" and (tmp_path / "output/it/generator.keras").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no sh")
@pytest.mark.parametrize(
    ("settings", "redirection"),
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, "2>&-", marks=LONG),
        ({"PYTHONIOENCODING": "cp1252"}, "2>&1 | head -1"),
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "<&- >&- 2>&-", marks=LONG),
    ],
)
def test_consoles(faces, cache, tmp_path, monkeypatch, settings, redirection):
    """The work is done whatever the console can show, and whether or not it is there."""
    (tmp_path / "顔 é").symlink_to(faces)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    line = shlex.join(command("顔 é", cache, *FAST, "--epochs", "2", "--sample-every", "2", "--run", "名"))
    subprocess.run(f"({line}; echo $? > code) {redirection}", shell=True, cwd=tmp_path, check=True, timeout=300)
    assert (tmp_path / "code").read_text() == "0\n"
    assert (tmp_path / "output/名/000002.png").exists() and (tmp_path / "output/名/generator.keras").exists()


# train.py on a file system that has no locks, no permissions and no fsync.
ON_A_POOR_FILE_SYSTEM = """
import errno, os, sys
import fcntl
def refuse(code):
    def fail(*given):
        raise OSError(code, os.strerror(code))
    return fail
fcntl.flock, os.chmod, os.fsync = refuse(errno.ENOLCK), refuse(errno.EPERM), refuse(errno.EINVAL)
import train
sys.exit(train.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_resume_with_more_epochs_and_in_other_surroundings_is_bit_exact(faces, cache, whole, tmp_path, monkeypatch):
    """Resuming after 6 of 12 iterations with a larger --epochs gives bit-identical weights, logs and scores.

    So it does on a poor file system, and whatever the user's settings of Keras are. There is one warning, that nothing
    locks the folder.
    """
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    settings = {"backend": "torch", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}
    for epochs, backend, given in (("6", "jax", {}), ("12", None, settings)):
        (tmp_path / "keras.json").write_text(json.dumps(given))
        if backend:
            monkeypatch.setenv("KERAS_BACKEND", backend)
        else:
            monkeypatch.delenv("KERAS_BACKEND")
        line = command(faces, cache, "--epochs", epochs, "--sample-every", "3", *SCORED)
        if os.name == "nt":  # Windows has no flock
            printed = run(tmp_path, *line)
        else:
            printed = run(tmp_path, *line, script=ON_A_POOR_FILE_SYSTEM)
            assert printed.count("output/it is not locked") == 1
    assert "Going on after iteration 6" in printed
    assert_same(whole, tmp_path, 12)
    for name, clock in [("metrics.csv", ("seconds", "eval_seconds")), ("diagnostics.csv", ())]:
        assert table(whole, name, *clock) == table(tmp_path, name, *clock)
    assert Run(whole / "output/it").best_iteration() == Run(tmp_path / "output/it").best_iteration()


@pytest.mark.usefixtures("eagerly")
def test_precision_stays_with_the_run(whole, faces, cache, tmp_path, monkeypatch, capsys, fast_saves):
    """--precision auto goes on in the run's precision, whatever this machine prefers; another one is refused."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    asked = []

    def setup_devices(precision, cpu=False):
        asked.append(precision)
        return "GPU (new)", "mixed_bfloat16" if precision == "auto" else precision

    monkeypatch.setattr("gan.devices.setup_devices", setup_devices)
    line = [*command(faces, cache), "--epochs", "13", "--sample-every", "3", "--precision"]
    printed = run_in_process(tmp_path, [*line, "auto"], monkeypatch, capsys)
    assert "GPU (new), float32 as before" in printed and "Going on after iteration 12" in printed
    printed = run_in_process(tmp_path, [*line, "mixed_bfloat16"], monkeypatch, capsys, code=2)
    assert "precision: float32 there, mixed_bfloat16 here" in printed
    printed = run_in_process(tmp_path, [*line, "auto", "--run", "new", "--dry-run"], monkeypatch, capsys)
    assert "GPU (new), mixed_bfloat16, about" in printed
    assert asked == ["auto", "mixed_bfloat16", "auto"]


@pytest.mark.usefixtures("eagerly")
def test_output_folder(whole, faces, cache, tmp_path, monkeypatch, capsys, fast_saves):
    """--output holds the runs: one goes on there, its page is there, and printed commands name it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    output, folder = "~/my runs/顔", tmp_path / "my runs/顔"
    shutil.copytree(whole / "output/it", folder / "it")
    line = command(faces, cache, "--epochs", "13", "--sample-every", "13", "--output", output)
    printed = run_in_process(tmp_path, line, monkeypatch, capsys)
    assert "Going on after iteration 12" in printed and (folder / "index.html").exists()
    assert not (tmp_path / "output").exists() and not (tmp_path / "~").exists()
    words = shlex.split(Run(folder / "it").resume_command())
    assert words[words.index("--output") + 1] == str(folder) and words[words.index("--run") + 1] == "it"


@pytest.mark.parametrize("output", ["", " "])
def test_empty_output_folder(capsys, output):
    """An empty --output is refused with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        train.main(["--output", output])
    assert stop.value.code == 2 and "--output" in capsys.readouterr().err


# train.py, stopped for 3 seconds by another process in its third step.
WITH_A_PAUSE = """
import os, signal, subprocess, sys, time
import data, train
batches = data.batches
def pause(*args, **kwargs):
    begun = time.monotonic()
    for number, batch in enumerate(batches(*args, **kwargs), 1):
        if number == 3:
            subprocess.Popen(["sh", "-c", f"sleep 3; kill -CONT {os.getpid()}"])
            os.kill(os.getpid(), signal.SIGSTOP)
        if number == 6:
            print("steps took", time.monotonic() - begun)
        yield batch
data.batches = pause
sys.exit(train.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGSTOP")
def test_a_pause(faces, cache, tmp_path):
    """A run that was stopped and continued has no second of the pause in its log."""
    line = command(faces, cache, *FAST, "--epochs", "6", "--sample-every", "6")
    printed = run(tmp_path, *line, script=WITH_A_PAUSE)
    took = float(re.search(r"steps took ([\d.]+)", printed)[1])  # the first five, with the pause
    seconds = float(Run(tmp_path / "output/it").tables.read_log()["seconds"][-1])
    assert 0 < seconds < took - 2


@pytest.mark.usefixtures("eagerly")
def test_nan_stops_the_run(faces, cache, tmp_path, monkeypatch, capsys, fast_saves):
    """After a NaN in the fourth batch, the run ends with exit code 1 and keeps checkpoint and grid of iteration 3."""
    batches = data.batches

    def batches_with_nan(*args, **kwargs):
        for number, (real, labels) in enumerate(batches(*args, **kwargs), 1):
            yield (real * np.nan if number == 4 else real), labels

    monkeypatch.setattr(data, "batches", batches_with_nan)
    line = command(faces, cache, "--sample-every", "1", "--epochs", "9", "--penalty", "none", "--penalty-every", "16")
    printed = run_in_process(tmp_path, line, monkeypatch, capsys, code=1)
    assert "after iteration 4: d_loss" in printed
    kept = sorted((tmp_path / "output/it/checkpoints").glob("*.npz"))
    assert [path.stem for path in kept] == ["000000002", "000000003"]
    assert all(np.isfinite(array).all() for path in kept for array in np.load(path).values())
    assert (tmp_path / "output/it/000003.png").exists()
    iteration, mode, status, advice = table(tmp_path, "diagnostics.csv")[-1]
    assert (iteration, mode, status) == ("4", "NaN", "started") and advice in printed


def test_a_folder_of_every_kind_of_file(cache, tmp_path, folder_of_everything, monkeypatch, capsys, no_steps):
    """A folder of good and odd files is trained on, and skipped.csv has the unusable files with the reasons."""
    folder, reasons = folder_of_everything
    printed = run_in_process(tmp_path, command(folder, cache, "--epochs", "2", "--holdout", "0"), monkeypatch, capsys)
    with open(tmp_path / "output/it/skipped.csv", newline="") as file:
        skipped = dict(list(csv.reader(file))[1:])
    assert skipped == reasons
    assert "passes over 107 images" in printed


@pytest.fixture
def closed_folder(monkeypatch):
    """Makes folders named "closed" unreadable, whoever runs the tests."""
    scan = os.scandir

    def scan_if_allowed(path="."):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr("os.scandir", scan_if_allowed)


def test_odd_data(eight, cache, tmp_path, monkeypatch, capsys, closed_folder, no_steps):
    """A folder and a zip of odd files: everything that is an image is trained on, and all else is named."""
    folder = tmp_path / "photos"
    values = np.random.default_rng(0).integers(0, 4096, (20, 16, 16)).astype(np.uint16)
    for name in ("", ".thumbnails", "closed", "old run/checkpoints"):
        (folder / name).mkdir(parents=True)
    for i, image in enumerate(values):
        Image.fromarray(image).save(folder / f"{i}.tif")
    damaged_exif = b"Exif\0\0II*\0" + bytes(range(1, 60))
    Image.fromarray(eight[0]).save(folder / "camera.jpg", exif=damaged_exif)
    Image.fromarray(eight[1]).save(folder / "no suffix", "PNG")
    for name in ("old run/000150.png", ".thumbnails/0.png"):
        images.write_png(folder / name, eight[2])
    (folder / "old run" / "config.json").write_text(json.dumps(dataclasses.asdict(Config())))
    (folder / "page.jpg").write_bytes(b"<!doctype html>")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for i, image in enumerate(eight[3:]):
            archive.writestr(f"{i}.png", encode_png(image))
    content = bytearray((tmp_path / "more.zip").read_bytes())
    first = content.index(b"PK\x01\x02")
    content[first + 6], content[first + 10] = 200, 9  # a future version of the format, and Deflate64
    (tmp_path / "more.zip").write_bytes(content)
    line = command(folder, cache, "--data", "more.zip", "--epochs", "1", "--holdout", "0", "--allow-bad")
    printed = run_in_process(tmp_path, line, monkeypatch, capsys)
    assert "28 images found in photos + more.zip, 23 of them in photos, 5 of them in more.zip, 2 unreadable" in printed
    assert "read as 12-bit" in printed and "passes over 26 images" in printed
    assert "only 26 different images" in printed
    with open(tmp_path / "output/it/skipped.csv", newline="") as file:
        skipped = dict(list(csv.reader(file))[1:])
    assert skipped.keys() == {
        "photos/page.jpg", "more.zip/0.png", "photos/.thumbnails/0.png", "photos/closed", "photos/old run/000150.png",
        "photos/old run/config.json",
    }  # fmt: skip
    assert "web page" in skipped["photos/page.jpg"] and "Deflate64" in skipped["more.zip/0.png"]


def test_another_split(faces, cache, whole, tmp_path, monkeypatch, recwarn, capsys, no_steps):
    """Where an older version has held out other images, scores begin anew, with a warning; else they stay."""
    shutil.copytree(whole / "output", tmp_path / "output")
    monkeypatch.chdir(tmp_path)
    run, line = Run(tmp_path / "output/it"), command(faces, cache, "--epochs", "20")[2:]
    assert train.main(line) == 0 and run.tables.read_scores() and not run.describe_earlier_scores()
    report = run.read_data_report()
    write_json(run.folder / "data.json", report | {"held_out": report["held_out"] + 1})
    assert train.main(line) == 0 and not run.tables.read_scores()
    assert "earlier-1" in run.describe_earlier_scores()
    assert "of its images are held out" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_new_data(eight, cache, tmp_path, monkeypatch, capsys, fast_saves):
    """A run refuses other images than it was trained on, unless --accept-new-data is given; then it says so."""
    np.save(tmp_path / "faces.npy", eight[:6])
    line = command(tmp_path / "faces.npy", cache, "--holdout", "0")
    run_in_process(tmp_path, [*line, "--epochs", "1"], monkeypatch, capsys)
    known = json.loads((tmp_path / "output/it/config.json").read_text())["faces"]
    np.save(tmp_path / "faces.npy", eight)
    refused = run_in_process(tmp_path, [*line, "--epochs", "2"], monkeypatch, capsys, code=2)
    assert "faces: 6 of" in refused and "--accept-new-data" in refused
    more = [*line, "--accept-new-data"]
    assert f"the run was trained on {known}" in run_in_process(tmp_path, [*more, "--epochs", "2"], monkeypatch, capsys)
    assert len(log(tmp_path)) == 3
    assert "the run was trained on" not in run_in_process(tmp_path, [*more, "--epochs", "3"], monkeypatch, capsys)
    # Other settings than the images are refused as before.
    assert "seed" in run_in_process(tmp_path, [*more, "--seed", "5", "--epochs", "4"], monkeypatch, capsys, code=2)


@pytest.mark.parametrize(("before", "held_out", "warned"), [(0, 3, True), (0, 0, False), (5, 3, False)])
def test_new_images_of_a_run_without_held_out_ones(recwarn, capsys, before, held_out, warned):
    """Where earlier images may be among those that are held out now, there is a warning; and no search for faces."""
    folder = SimpleNamespace(read_data_report=lambda: {"held_out": before})
    split, faces = data.Split(np.arange(9), np.arange(held_out)), SimpleNamespace(avatars=False)
    train.warn_of_new_data(Config(align="no"), folder, faces, split)
    assert any("held out so far" in str(each.message) for each in recwarn) is warned
    assert "--align no" in capsys.readouterr().out


def test_another_configuration_is_refused(faces, cache, whole, monkeypatch, capsys):
    """A run with another seed is not resumed: exit code 2, a message with the difference, config.json unchanged."""
    monkeypatch.chdir(whole)
    before = (whole / "output/it/config.json").read_bytes()
    for more in ([], ["--dry-run"]):
        assert train.main(command(faces, cache, "--epochs", "12", "--seed", "3", *more)[2:]) == 2
        assert "seed: 0 there, 3 here" in capsys.readouterr().err
    assert (whole / "output/it/config.json").read_bytes() == before


def test_held_out_images_are_not_in_batches(faces, cache, tmp_path, monkeypatch):
    """The batches of two passes contain every training image, mirrored or not, and no held-out image."""
    monkeypatch.chdir(tmp_path)
    seen = set()

    def iterate(trainer):
        for batch, _ in itertools.islice(trainer.batches(0), 20):
            seen.update(face.tobytes() for face in images.to_uint8(np.concatenate([batch, batch[:, :, ::-1]])))
        assert len(trainer.validator.scorer.held_out) + len(trainer.validator.scorer.training) == 60
        return 0

    monkeypatch.setattr("gan.training.trainer.Trainer.train", iterate)
    assert train.main(command(faces, cache, "--epochs", "12")[2:]) == 0
    loaded = data.load(str(faces), 16, cache_dir=cache)
    rows, held = ({loaded.images[i].tobytes() for i in side} for side in loaded.split(0.4))
    assert len(held) > 10 and rows <= seen and not held & seen


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--loss", "hinge", "--label-smoothing", "0.1"], "--label-smoothing"),
        (["--start-from", "output/none"], "--start-from output/none"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_images_are_read(tmp_path, monkeypatch, capsys, flags, message):
    """Settings that exclude each other, and a start that is not there, need neither images nor TensorFlow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gan.experiment.load_data", lambda *given: pytest.fail("images are read"))
    assert train.main(["--image-size", "32", *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_second_process_is_refused(faces, cache, whole, monkeypatch, capsys):
    """A second process in the folder of a run exits with 2."""
    monkeypatch.chdir(whole)
    with Run(whole / "output/it").lock():
        assert train.main(command(faces, cache, "--epochs", "12")[2:]) == 2
    assert "Another process is training" in capsys.readouterr().err


def test_a_finished_run_is_not_trained_further(faces, cache, whole, monkeypatch, capsys):
    """The command of a finished run trains no further and names the flag that would continue it."""
    monkeypatch.chdir(whole)
    assert train.main(command(faces, cache, "--epochs", "12", "--sample-every", "3")[2:]) == 0
    assert "give --epochs above 12" in capsys.readouterr().out
    assert len(log(whole)) == 13


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--holdout", "0"], "--patience 3 never stops this run. No score: fewer than 20 images"),
        (["--minutes", "1"], "--patience 3 never stops this run. No score: it would take more than 5% of so short"),
        (["--minutes", "1", "--score-every", "9"], ""),
        (["--epochs", "12"], "--patience 3 never stops a training of less than 100 s. It is not scored"),
        (["--epochs", "12", "--score-every", "9"], ""),
    ],
)
def test_patience_without_scores(faces, cache, tmp_path, monkeypatch, capsys, no_steps, more, message):
    """Messages at the start say that --patience and several averages have no effect without scores, and why not."""
    monkeypatch.chdir(tmp_path)
    assert train.main(command(faces, cache, "--patience", "3", "--ema-half-life", "5", "9", *more)[2:]) == 0
    printed = capsys.readouterr().out
    assert message in printed and ("--patience" in printed) is bool(message)
    assert ("a half-life of 5 images makes all samples. " in printed) is bool(message)


def test_dry_run_writes_only_what_shows_the_data(faces, cache, tmp_path, monkeypatch, capsys):
    """--dry-run prints the plan, and writes nothing but the picture of the data and what is left out."""
    monkeypatch.chdir(tmp_path)
    line = command(faces, cache, "--epochs", "2", "--steps-per-epoch", "all", "--holdout", "0", "--dry-run")
    assert train.main(line[2:]) == 0
    assert "18 iterations of 7" in capsys.readouterr().out
    written = sorted(path.name for path in (tmp_path / "output").rglob("*") if path.is_file())
    assert written == ["faces.png", "skipped.csv"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes only on Linux")
def test_a_folder_name_that_is_not_utf8(faces, cache, tmp_path):
    """It is read and printed unchanged, even to a strict UTF-8 terminal, and the model can be exported."""
    odd = os.fsencode(tmp_path) + b"/\xff"
    shutil.copytree(os.fsencode(faces), odd)
    strict = os.environ | {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": str(ROOT)}

    def printed(*line):
        done = subprocess.run(line, cwd=tmp_path, env=strict, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert b"oneDNN" not in done.stderr and b"cuda" not in done.stderr.lower()  # no messages of TensorFlow
        return done.stdout

    line = command(os.fsdecode(odd), cache, *FAST, "--epochs", "1", "--score-every", "0")
    assert b"found in \xff," in printed(*line)
    assert b"Model card" in printed(sys.executable, "-m", "tools.export", "output/it", "--to", "keras")
    assert (tmp_path / "output/it/export/README.md").read_text("utf-8")


def test_invalid_data(tmp_path, monkeypatch, capsys):
    """A file that is no image ends with exit code 2 and its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("no faces")
    assert train.main(["--data", "README.md"]) == 2
    assert "README.md" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_real_faces(tmp_path, monkeypatch, capsys, celeba, fast_saves):
    """train.py trains on photographs in a zip."""
    monkeypatch.chdir(tmp_path)
    line = ["--data", str(celeba), "--limit", "64", "--epochs", "2", "--width", "4", "--image-size", "16", *FAST]
    assert train.main([*line, "--run", "real", "--sample-every", "2", "--cache-dir", str(tmp_path)]) == 0
    assert "64 images" in capsys.readouterr().out
    assert images.read_png(tmp_path / "output/real/000002.png").std() > 1


@pytest.mark.slow
def test_what_does_not_fit_into_memory_is_refused(tmp_path, faces, cache, monkeypatch, capsys):
    """Exit code 2 before networks are built, with what is needed, what there is, and the largest batch.

    --dry-run says how much is needed of what there is.
    """
    line = [sys.executable, str(ROOT / "train.py"), "--data", str(faces), "--cache-dir", str(cache)]
    line += ["--image-size", "16"]
    printed = run_in_process(tmp_path, [*line, "--batch-size", "10000000"], monkeypatch, capsys, code=2)
    assert len(re.findall(r"[\d,.]+ GB", printed)) == 2
    assert not (tmp_path / "output").exists()
    largest = re.search(r"--batch-size (\d+)", printed)[1]
    planned = run_in_process(tmp_path, [*line, "--dry-run"], monkeypatch, capsys)
    assert re.search(r"about [\d,.]+ GB of memory, [\d,.]+ GB available", planned)
    assert 64 < int(largest) < 10_000_000


LABELLED = [
    *("--image-size", "16", "--width", "4", "--noise-size", "8", "--batch-size", "8", "--precision", "float32"),
    *("--depth", "0"),
    *("--limit", "60", "--attributes", "skin,glasses", "--sample-every", "2", "--run", "it", "--score-every", "100"),
]


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_resume_with_labels_is_bit_exact(cache, tmp_path, monkeypatch, fast_saves):
    """A run with labels goes on as if it had not stopped; its grids have the names of their rows beside them."""
    line = [*LABELLED, "--cache-dir", str(cache), "--balance", "--auxiliary-weight", "0.5", "--penalty", "none"]
    for name, lengths in (("whole", [4]), ("parts", [2, 4])):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert [train.main([*line, "--epochs", str(length)]) for length in lengths] == [0] * len(lengths)
    assert_same(tmp_path / "whole", tmp_path / "parts", 4)
    folder = Run(tmp_path / "parts/output/it")
    assert folder.load_labels().width == 9 and folder.read_data_report()["labels"]["unlabelled"] == 0
    assert images.read_png(folder.grids.path(4)).shape[1] > images.read_png(folder.grids.path(4)).shape[0]
    with np.load(folder.folder / "samples.npz") as samples:
        assert samples["images"].shape == (3, 64, 16, 16, 3)


def test_other_labels_are_refused(eight, cache, tmp_path, monkeypatch, no_steps, capsys):
    """A run whose file of labels has changed does not go on; labels that there are not are named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces").mkdir()
    for i in range(30):
        images.write_png(tmp_path / f"faces/{i:02}.png", np.roll(eight[i % 8], i, axis=0))
    line = [
        *("--data", "faces", "--image-size", "16", "--width", "4", "--batch-size", "4", "--run", "it", "--epochs", "1"),
        *("--labels", "labels.csv", "--cache-dir", str(cache), "--precision", "float32", "--sample-every", "5"),
        *("--generator", "dense", "--discriminator", "dense", "--penalty", "none"),
    ]
    rows = [f"{i:02}.png,{i % 2}" for i in range(25)]
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["file,Smiling", *rows]))
    assert train.main(line) == 0
    printed = capsys.readouterr().out
    assert "5 images without a label" in printed and "25.png" in printed
    skipped = (tmp_path / "output/it/skipped.csv").read_text().splitlines()
    assert skipped[1:] == [f"{i}.png,no label" for i in range(25, 30)]
    assert train.main([*line, "--attributes", "Smiln", "--run", "other"]) == 2
    assert "Smiling" in capsys.readouterr().err
    swapped = "\n".join(["file,Smiling", *rows]).replace("00.png,0", "00.png,1").replace("01.png,1", "01.png,0")
    file.write_text(swapped)
    assert train.main([*line, "--epochs", "2"]) == 2
    assert "labels" in capsys.readouterr().err
    file.write_text("\n".join(["file,Smiling", *rows]).replace("00.png,0", "00.png,1"))
    assert train.main([*line, "--epochs", "2"]) == 2
    assert "labels" in capsys.readouterr().err
    assert train.main([*line, "--unlabelled", "keep", "--run", "kept"]) == 0
    assert "mean label" in capsys.readouterr().out
