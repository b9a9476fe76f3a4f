"""Several replicas do together what one does alone: in one process, and in two.

Each test is a program of its own, `train_pairs`, because TensorFlow divides its devices before it does anything else.
"""

import contextlib
import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import train_pairs
from helpers import ALL, THREADS

from gan.cluster import Cluster, cluster_environments
from gan.errors import RunError, UsageError
from gan.training import distribution
from gan.training.distribution import Distribution

ROOT = Path(__file__).parents[2]
# Name, learning rate, tolerance, and pairs: the optimizer does not see of which networks its variables are.
# FACES_ALL tests all pairs. Not among the fewer: dense layers, residual ones, upsamplings, and wasserstein with its
# penalty.
FEWER = ("everything", "labelled", "conv")
SGD = ("sgd", "0.01", 1e-5, (*(train_pairs.PAIRS if ALL else FEWER),))
ADAM = ("adam", "0.0005", 1e-4, ("processes", *(("everything",) if ALL else ())))


def start(folder, devices, optimizer, cluster=None):
    """Starts `train_pairs`, perhaps as a process of a cluster."""
    environment = {**os.environ, **THREADS, **(cluster or {})}
    line = [sys.executable, str(ROOT / "tests/train_pairs.py"), str(folder), devices, *optimizer[:2], *optimizer[3]]
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(*processes):
    """Waits for processes, which have to succeed."""
    for process in processes:
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, printed[-3000:]


def load(folder, pair, processes=1):
    """The arrays of a pair, those of all replicas joined."""
    files = [np.load(folder / f"{pair}-{i}.npz") for i in range(processes)]
    return {
        name: files[0][name] if name.startswith("scalar/") else np.concatenate([file[name] for file in files])
        for name in files[0].files
    }


def assert_together(folder, one_folder, processes, optimizer):
    """Two replicas are equal to the bit, and equal to one device within a tolerance; each has its half of the noise."""
    *_, tolerance, pairs = optimizer
    for pair in pairs:
        one, two = load(one_folder, pair), load(folder, pair, processes)
        np.testing.assert_array_equal(np.concatenate(two.pop("noise")), one.pop("noise")[0], err_msg=pair)
        assert two.keys() == one.keys() and len(two["generator/000"]) == 2
        for name in one:
            if not name.startswith("scalar/"):
                assert all(np.array_equal(part, two[name][0]) for part in two[name]), (pair, name)
                worst = np.max(np.abs(two[name][0] - one[name][0]), initial=0)
                assert worst <= tolerance * max(1, np.max(np.abs(one[name][0]), initial=0)), (pair, name, worst)
        for name in one.keys() & {"scalar/d_loss", "scalar/g_loss", "scalar/grad_norm_d", "scalar/grad_norm_g"}:
            np.testing.assert_allclose(two[name], one[name], rtol=1e-3, err_msg=f"{pair} {name}")


@pytest.mark.slow(minutes=1)
def test_two_replicas_in_a_process(tmp_path):
    """Iterations of a few pairs, of all with FACES_ALL=1: weights, statistics and moments equal those of one device."""
    (tmp_path / "alone").mkdir()
    finish(start(tmp_path / "alone", "auto", SGD), start(tmp_path, "cpu:2", SGD))
    assert_together(tmp_path, tmp_path / "alone", 1, SGD)


@pytest.mark.slow
def test_two_processes(tmp_path):
    """Iterations of a pair in two processes of one replica each, which are connected on loopback."""
    (tmp_path / "alone").mkdir()
    together = [start(tmp_path, "auto", ADAM, cluster) for cluster in cluster_environments(2)]
    finish(start(tmp_path / "alone", "auto", ADAM), *together)
    assert_together(tmp_path, tmp_path / "alone", 2, ADAM)


ON_THE_SECOND = """
import sys
sys.path[:0] = sys.argv[1:]
import train_pairs
from gan import devices, experiment
from gan.config import Config
devices.setup_devices("float32")
import tensorflow as tf
devices.split_cpu(2)
config = Config(**train_pairs.SMALL, **train_pairs.PAIRS["dense"], jit=True)
with tf.device("CPU:1"):
    gan = experiment.build_gan(config)
    images = tf.zeros((config.images_per_iteration, config.image_size, config.image_size, 3))
    gan.train_step((images, tf.zeros((config.images_per_iteration, 0))))
assert {v.device[-5:] for v in gan.state().values() if isinstance(v, tf.Variable)} == {"CPU:1"}
"""


@pytest.mark.slow
def test_jit_on_another_device():
    """All variables of a step are on the device that it runs on, as XLA demands, be it not the first."""
    subprocess.run([sys.executable, "-c", ON_THE_SECOND, str(ROOT), str(ROOT / "tests")], check=True)


@pytest.mark.slow
def test_wrong_settings_of_networks_for_replicas(tmp_path):
    """They are refused with a line, as with one device."""
    flags = ["--devices", "cpu:2", "--limit", "60", "--image-size", "128", "--width", "6000"]
    line = [sys.executable, str(ROOT / "train.py"), *flags, "--cache-dir", "cache"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "--width" in done.stderr and "Traceback" not in done.stderr


PHOTOS = Path(os.environ.get("PHOTOS", ROOT.parent / "shared/data/photos"))


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="PHOTOS is not a folder")
def test_devices_are_set_up_before_faces_are_searched(tmp_path):
    """Two replicas on the CPU train on photographs whose faces are found by TensorFlow."""
    flags = ["--devices", "cpu:2", "--align", "yes", "--cache-dir", str(tmp_path / "cache"), "--dry-run"]
    line = [sys.executable, str(ROOT / "train.py"), "--data", str(PHOTOS), *flags]
    subprocess.run(line, cwd=tmp_path, check=True)


def test_places():
    """Each replica of each process has its part of both micro-batches, and all parts together are the batch."""

    four = SimpleNamespace(num_replicas_in_sync=4, extended=SimpleNamespace(worker_devices=("GPU:0", "GPU:1")))
    first, second = Distribution(four, 0, 2), Distribution(four, 1, 2)
    assert first.places(8, 2).tolist() == [0, 1, 8, 9, 2, 3, 10, 11]
    assert second.places(8, 2).tolist() == [4, 5, 12, 13, 6, 7, 14, 15]
    assert Distribution().places(3, 2).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(UsageError, match="multiple of 4"):
        first.require_divisible(6)


def test_batches_are_copied_ahead():
    """While one is used, the next is made in another thread; an error is raised where its batch would have been."""
    made, main = [], threading.get_ident()

    def make():
        for i in range(3):
            made.append((i, threading.get_ident() != main))
            yield i
        raise KeyError("a damaged batch")

    batches = distribution.prefetch(make())
    assert [next(batches), next(batches), next(batches)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(batches)
    assert made == [(0, True), (1, True), (2, True)]


def test_one_gpu_gets_copies(monkeypatch):
    """Batches for a GPU are copied to it, ahead; those for the CPU are passed on as they are."""
    batches = [(np.float32([1, 2]), np.float32([3, 4])), (np.float32([5, 6]), np.float32([7, 8]))]
    assert list(Distribution().distribute_batches(batches)) == batches
    monkeypatch.setattr(tf, "device", lambda name: names.append(name) or contextlib.nullcontext())
    names, copies = [], Distribution(device="GPU:0").distribute_batches(itertools.cycle(batches))
    for one, expected in zip(copies, [*batches, *batches], strict=False):
        np.testing.assert_array_equal(one, expected)
    assert set(names) == {"GPU:0"}


def test_one_process_hears_itself():
    """With one process, what it says is what all say."""
    alone = Distribution()
    assert alone.gather([1, 2.5]).tolist() == [[1, 2.5]] and alone.broadcast_object({"a": [1]}) == {"a": [1]}
    assert alone.chief_first(lambda: 7) == 7 and alone.is_chief
    alone.require_same("settings", {"a": 1})


@pytest.mark.parametrize(
    ("devices", "gpus", "expected"),
    [
        ("auto", 0, ["CPU:0"]),
        ("auto", 2, ["GPU:0"]),
        ("all", 2, ["GPU:0", "GPU:1"]),
        ("1", 2, ["GPU:0"]),
        ("all", 0, None),
        ("3", 2, None),
    ],
)
def test_devices(devices, gpus, expected):
    """GPUs are those that are asked for, where there are as many."""
    if expected is None:
        with pytest.raises(UsageError, match="cpu:2"):
            distribution.choose_devices(devices, gpus)
    else:
        assert distribution.choose_devices(devices, gpus) == expected


@pytest.mark.parametrize(("names", "gpus"), [(["GPU:0", "GPU:1"], 2), (["CPU:0"], 0)])
def test_a_process_of_a_cluster_uses_its_gpus(names, gpus):
    """TensorFlow is told how many GPUs each process has: it would use none."""
    resolver = distribution.resolve(Cluster(("a:1", "b:2"), 1), names)
    assert resolver.num_accelerators() == {"GPU": gpus} and (resolver.task_type, resolver.task_id) == ("worker", 1)
    assert resolver.cluster_spec().as_dict() == {"worker": ["a:1", "b:2"]}


def test_a_process_of_a_cluster_is_one_replica_on_the_cpu():
    """More are refused."""
    with pytest.raises(UsageError, match="cpu:2"):
        distribution.distribute("cpu:2", Cluster(("a:1", "b:2"), 1))


@pytest.mark.parametrize(
    "error", [RuntimeError("REPLACED BY KeyboardInterrupt"), tf.errors.UnavailableError(None, None, "gone")]
)
def test_errors_of_a_process_among_others(error):
    """A signal that TensorFlow swallows is one again, a lost process becomes a line; one process changes nothing."""
    among_others = Distribution()
    among_others.count = 2
    expected = RunError if isinstance(error, tf.errors.OpError) else KeyboardInterrupt
    with pytest.raises(expected), among_others.explain_losses():
        raise error
    with pytest.raises(type(error)), Distribution().explain_losses():
        raise error
