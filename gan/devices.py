"""Devices: finds the GPU, if there is one, and the precision that is fastest there.

device, precision = setup_devices("auto")  # "CPU (8 cores)", "float32"
"""

import contextlib
import json
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from gan.errors import UsageError

WSL_CUDA = Path("/usr/lib/wsl/lib/libcuda.so.1")  # which WSL 2 has where Windows has a driver of NVIDIA's


@contextlib.contextmanager
def silence_tensorflow() -> Iterator[None]:
    """Suppresses TensorFlow's C++ log messages, from its import on, unless TF_CPP_MIN_LOG_LEVEL is set to less than 3.

    Some are written before its logger reads that setting, so standard error is redirected meanwhile. Processes that
    this one starts inherit the setting, and suppress the messages too. Python's exceptions are not affected.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3":
        yield
        return
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)


def setup_devices(precision: str, cpu: bool = False) -> tuple[str, str]:
    """Finds the device, and chooses the precision where it is "auto". Must precede all other uses of TensorFlow.

    GPU memory is allocated as it is needed; with `cpu`, none is. Keras gets the settings that this program needs.

    Returns:
        A description of the device, and the Keras precision policy.
    """
    with silence_tensorflow():
        import tensorflow as tf  # the import itself logs

        gpus = [] if cpu else tf.config.get_visible_devices("GPU")
        with contextlib.suppress(RuntimeError):  # of a notebook in which TensorFlow has computed: it stays as it was
            for gpu in gpus:
                tf.config.experimental.set_memory_growth(gpu, True)
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        setup_keras()
    if precision == "auto":
        native = has_bfloat16_gpu(details[0]) if gpus else has_bfloat16_cpu()
        precision = "mixed_bfloat16" if native else "float32"
    if not gpus and not cpu and (any(Path("/dev").glob("nvidia[0-9]*")) or WSL_CUDA.exists()):
        warnings.warn(
            'there is a GPU that TensorFlow cannot use. CUDA comes with pip install "tensorflow[and-cuda]"; if that is'
            " installed, TF_CPP_MIN_LOG_LEVEL=0 in front of the command shows why",
            stacklevel=2,
        )
    name = details[0].get("device_name", "unnamed") if gpus else f"{os.cpu_count()} cores"
    return f"{'GPU' if gpus else 'CPU'} ({name})", precision


def count_cores() -> int:
    """Counts the cores of the CPU that this process may use.

    `taskset` and `tools.launch` leave it a part of them, and a container may have the time of fewer.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(cores, read_cpu_quota()))


def read_cpu_quota(groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Reads how many cores' time a container may use, by version 2 or 1 of control groups; infinity: all."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        with contextlib.suppress(OSError, ValueError):  # "max" is no limit
            quota, period = map(int, " ".join((groups / name).read_text("utf-8") for name in names).split())
            return quota / period if quota > 0 and period > 0 else math.inf
    return math.inf


def count_gpus() -> int:
    """Counts the GPUs that TensorFlow can and may use."""
    import tensorflow as tf

    return len(tf.config.get_visible_devices("GPU"))


def split_cpu(count: int) -> list[str]:
    """Divides the CPU into that many of TensorFlow's devices, before anything is computed, and returns their names."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    with require_fresh_tensorflow():
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return [f"CPU:{i}" for i in range(count)]


@contextlib.contextmanager
def require_fresh_tensorflow() -> Iterator[None]:
    """Raises UsageError where TensorFlow refuses the block, because it has computed something before."""
    try:
        yield
    except RuntimeError as error:
        raise UsageError(
            "--devices: TensorFlow has computed something in this process, as in a notebook, and cannot change its"
            " devices any more. Start Python again."
        ) from error


def setup_keras() -> None:
    """Gives Keras its own defaults in place of those of the user's keras.json.

    Raises UsageError where Keras was imported with another backend before, as in a notebook.
    """
    import keras

    if (backend := keras.backend.backend()) != "tensorflow":
        raise UsageError(
            f"Keras runs on {backend} in this process, and TensorFlow is needed. Start Python again with"
            " KERAS_BACKEND=tensorflow."
        )
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


def require_valid_keras_settings() -> None:
    """Raises UsageError where keras.json has settings with which neither Keras nor TensorFlow can be imported."""
    home = os.path.expanduser("~")
    usual = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    path = Path(os.path.expanduser(os.environ.get("KERAS_HOME", usual)), "keras.json")
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # there is none, or Keras ignores it
        return
    except (OSError, RecursionError):
        settings = None
    valid = (
        isinstance(settings, dict)
        and settings.get("floatx", "float32") in ["float16", "float32", "float64"]
        and isinstance(settings.get("epsilon", 1e-7), float)
        and settings.get("image_data_format", "channels_last") in ["channels_last", "channels_first"]
    )
    if not valid:
        raise UsageError(f"Keras cannot read or use the settings in {path}: correct or remove that file.")


def has_bfloat16_gpu(details: dict) -> bool:
    """Tests whether a GPU multiplies bfloat16 in hardware: NVIDIA's do from compute capability 8.0 (Ampere) on."""
    return details.get("compute_capability", (0, 0)) >= (8, 0)


def has_bfloat16_cpu(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Tests whether this CPU multiplies bfloat16 in hardware: AMD's from Zen 4 on, and Intel's with AMX.

    Even without AMX, a step of `default` takes 0.65 to 0.8 of its time in float32 at 64 x 64, and 0.8 to 1 at 32 x 32
    (benchmarks/speed.py --recipe default --precision mixed_bfloat16).
    """
    try:
        return "avx512_bf16" in Path(cpuinfo).read_text("utf-8")  # a flag of all of them
    except OSError:
        return False
