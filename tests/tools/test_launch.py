"""Two processes train what one does, stop together, and end where one of them dies."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import THREADS

import train
from dcgan import DCGAN
from gan.cluster import cluster_environments, find_free_ports
from gan.errors import UsageError
from gan.training.distribution import ENDED
from tools import launch

ROOT = Path(__file__).parents[2]
# All kinds of state: batch norm, dropout, both optimizers, averages, a lazy penalty, adaptive augmentation.
# A discriminator of dense layers, without batch norm, compiles soonest; test_distribution has others.
FLAGS = [
    *("--recipe", "keras-gan-upsample", "--limit", "60", "--image-size", "16", "--width", "4", "--batch-size", "8"),
    *("--discriminator", "dense", "--discriminator-width", "4", "--dropout", "0.25"),
    *("--penalty", "r1", "--penalty-every", "2", "--ema-half-life", "40"),
    *("--augment", "ada", "--holdout", "0.4", "--precision", "float32", "--sample-every", "2", "--run", "it"),
    *("--score-every", "6", "--score-samples", "64", "--cache-dir", "cache"),
]
QUICK = [
    *(*FLAGS, "--generator", "dense", "--discriminator", "dense", "--augment", "none", "--score-every", "100000"),
    *("--penalty", "none", "--penalty-every", "16", "--ema-half-life", "0"),
]
TIMED = {"seconds", "data_seconds", "validation", "grid_due"}


def start(folder, *more, cluster=None, flags=FLAGS):
    """Starts train.py in a folder, perhaps as a process of a cluster."""
    folder.mkdir(exist_ok=True)
    line, environment = [sys.executable, str(ROOT / "train.py"), *flags, *more], {**os.environ, **THREADS}
    return subprocess.Popen(
        line, cwd=folder, env={**environment, **(cluster or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def finish(processes, code):
    """Waits for processes, which have to end with that code; returns what they printed."""
    printed = [process.communicate(timeout=300)[0] for process in processes]
    for process, text in zip(processes, printed, strict=True):
        assert process.returncode == code and "Traceback" not in text, text[-3000:]
    return printed


def load(folder, iteration):
    """The arrays of a checkpoint, but for those that depend on the clock."""
    with np.load(folder / f"output/it/checkpoints/{iteration:09d}.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name not in TIMED}


def wait_for(path, processes):
    """Waits until a file is there."""
    while not path.exists():
        assert all(process.poll() is None for process in processes), [p.communicate()[0] for p in processes]
        time.sleep(0.02)


@pytest.mark.slow(minutes=2)
def test_layouts_go_on_with_each_other(tmp_path, monkeypatch, capfd):
    """From one process to two after 2 of 6 iterations, and back after 4; files are those of one process.

    Two processes are started by the command for that; two that go on from their checkpoint of iteration 4 end as they
    do to the bit.
    """
    line, step = [*FLAGS, "--epochs", "6"], DCGAN.train_step

    def copy_after_two(gan, batch):
        if int(gan.iteration) == 2 and not (tmp_path / "together").exists():
            shutil.copytree(tmp_path / "alone", tmp_path / "together")
        return step(gan, batch)

    (tmp_path / "alone").mkdir()
    monkeypatch.chdir(tmp_path / "alone")
    with monkeypatch.context() as patch:
        patch.setattr(DCGAN, "train_step", copy_after_two)
        assert train.main(line) == 0
    monkeypatch.chdir(tmp_path / "together")
    for name, value in THREADS.items():
        monkeypatch.setenv(name, value)
    assert launch.main(["--workers", "2", "--", *line]) == 0
    assert "in 2 processes" in capfd.readouterr().out
    for name in ("stopped", "mixed"):
        shutil.copytree(tmp_path / "together", tmp_path / name)
        (tmp_path / name / "output/it/checkpoints/000000006.npz").unlink()
    clusters = cluster_environments(2)
    printed = finish([start(tmp_path / "stopped", "--epochs", "6", cluster=cluster) for cluster in clusters], 0)
    assert "Going on after iteration 4" in printed[0]
    monkeypatch.chdir(tmp_path / "mixed")
    assert train.main(line) == 0
    alone, together, stopped, mixed = (load(tmp_path / name, 6) for name in ("alone", "together", "stopped", "mixed"))
    assert alone.keys() == mixed.keys() == stopped.keys() == together.keys()
    for name, expected in alone.items():
        assert np.array_equal(stopped[name], together[name]), name
        for other in (mixed, together):
            np.testing.assert_allclose(other[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)
    files = [sorted(path.name for path in (tmp_path / name / "output/it").iterdir()) for name in ("alone", "together")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_a_signal_to_one_stops_both(tmp_path):
    """After SIGTERM to the process that is not the chief, both end with 143, saved."""
    clusters = cluster_environments(2)
    processes = [start(tmp_path, "--epochs", "100000", cluster=cluster, flags=QUICK) for cluster in clusters]
    wait_for(tmp_path / "output/it/000002.png", processes)
    processes[1].send_signal(signal.SIGTERM)
    printed = finish(processes, 128 + signal.SIGTERM)
    assert "Stopped and saved" in printed[0]
    assert load(tmp_path, int(max((tmp_path / "output/it/checkpoints").glob("0*.npz")).stem))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_the_other(tmp_path, victim):
    """The other ends within a minute with exit code 1 and a line that says why; the checkpoint is whole."""
    clusters = cluster_environments(2)
    processes = [start(tmp_path, "--epochs", "100000", cluster=cluster, flags=QUICK) for cluster in clusters]
    wait_for(tmp_path / "output/it/000002.png", processes)
    processes[victim].kill()
    began = time.monotonic()
    (printed,) = finish([processes[1 - victim]], 1)
    assert time.monotonic() - began < 60 and ENDED in printed.splitlines()[-1]
    processes[victim].communicate()
    assert load(tmp_path, int(max((tmp_path / "output/it/checkpoints").glob("0*.npz")).stem))


@pytest.mark.slow
def test_processes_with_other_settings(tmp_path):
    """Both end with exit code 2, and name the setting."""
    clusters = cluster_environments(2)
    processes = [start(tmp_path, "--seed", f"{i}", cluster=cluster, flags=QUICK) for i, cluster in enumerate(clusters)]
    for text in finish(processes, 2):
        assert "settings" in text.splitlines()[-1]
    assert "seed is 1 here, 0 there" in text


@pytest.mark.slow
def test_a_process_that_is_alone(tmp_path):
    """It ends after --connect-seconds, although the others are not there."""
    one = start(tmp_path, "--connect-seconds", "3", cluster=cluster_environments(2)[0], flags=QUICK)
    (printed,) = finish([one], 1)
    assert "ends after 3 seconds" in printed.splitlines()[-1]


def test_processes_that_do_not_end_are_killed(monkeypatch, capsys):
    """Where one fails, that is said, and the others have some time to end; then they are killed.

    All exit codes are returned.
    """
    monkeypatch.setattr(launch, "PATIENCE", 0.2)
    lines = ("import sys; sys.exit(3)", "import time; time.sleep(60)")
    began = time.monotonic()
    codes = launch.wait([subprocess.Popen([sys.executable, "-c", line]) for line in lines])
    assert codes[0] == 3 and codes[1] not in (0, 3) and time.monotonic() - began < 30
    assert "process 0 ended with exit code 3" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such exit codes")
def test_a_process_that_the_system_ends(capsys):
    """The signal is named; that of a system without memory, too."""
    line = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert launch.wait([subprocess.Popen([sys.executable, "-c", line])]) == [-9]
    assert "process 0 was ended by signal 9: memory may" in capsys.readouterr().err


def test_a_process_that_cannot_be_started(monkeypatch):
    """Those that were started before it end with it."""
    started, popen = [], subprocess.Popen

    def start(line, **options):
        if started:
            raise BlockingIOError("no more processes")
        started.append(popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[0]

    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(BlockingIOError):
        launch.launch(2, QUICK)
    assert started[0].returncode not in (None, 0)


def test_what_cannot_be_launched(monkeypatch):
    """What train.py would refuse is refused once, before any process starts."""
    lines = (["--epochs", "0"], ["--batch-size", "8"], ["--cluster", "none"], ["--cluster", "slurm"])
    for line in (["--workers", "3", "--", *each] for each in lines):
        with pytest.raises(SystemExit) as stop:
            launch.main(line)
        assert stop.value.code == 2
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert launch.main(["--", *FLAGS]) == 2


def test_shares(monkeypatch):
    """Cores and GPUs are shared: of GPUs each has as many; too few are refused, and without any nothing is said."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    assert launch.share_gpus(2) == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"}]
    with pytest.raises(UsageError, match="--workers 4: each process needs a GPU of its own, and there are only 3"):
        launch.share_gpus(4)
    assert launch.share_gpus(4, "cpu:1") == [{}] * 4
    for none in ("", "-1", "-1,3"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert launch.share_gpus(2) == [{}] * 2
    assert launch.share_cores(10**6) == [None] * 10**6
    assert len(set(find_free_ports(3))) == 3
