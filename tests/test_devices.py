import math
import os
import platform
import subprocess
import sys

import pytest
import tensorflow as tf

from gan import devices
from gan.cli import run_command
from gan.errors import UsageError


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse2 avx512_bf16 amx_bf16 amx_tile", True),
        ("fpu sse2 avx2 avx512f avx512_bf16", True),
        ("fpu sse2 avx2 avx512f", False),
        ("fpu sse2", False),
        ("", False),
    ],
)
def test_bfloat16_of_a_cpu(tmp_path, flags, expected):
    """A product of bfloat16 vectors in hardware is enough; with AMX there is one as well."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: {flags}\n")
    assert devices.has_bfloat16_cpu(str(cpuinfo)) is expected


def test_bfloat16_of_an_unknown_cpu(tmp_path):
    """Without /proc/cpuinfo, as on macOS and Windows, the result is False."""
    assert devices.has_bfloat16_cpu(str(tmp_path / "none")) is False


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"device_name": "A100", "compute_capability": (8, 0)}, True),
        ({"compute_capability": (12, 0)}, True),
        ({"compute_capability": (7, 5)}, False),
        ({}, False),
    ],
)
def test_bfloat16_of_a_gpu(details, expected):
    """GPUs have it from compute capability 8.0 (Ampere) on; unknown ones have not."""
    assert devices.has_bfloat16_gpu(details) is expected


@pytest.mark.parametrize(("native", "expected"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_auto_precision_on_a_cpu(monkeypatch, native, expected):
    """`auto` depends on the hardware; the device is described."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    monkeypatch.setattr(devices, "has_bfloat16_cpu", lambda: native)
    assert devices.setup_devices("auto") == (f"CPU ({os.cpu_count()} cores)", expected)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_given_precision(monkeypatch, precision):
    """A given precision is used on all hardware."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    for native in (True, False):
        monkeypatch.setattr(devices, "has_bfloat16_cpu", lambda native=native: native)
        assert devices.setup_devices(precision)[1] == precision


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ({}, math.inf),
    ],
)
def test_cpu_quota(tmp_path, files, quota):
    """The time that a container may use, by both versions of control groups, in cores."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert devices.read_cpu_quota(tmp_path) == quota


def test_a_quota_limits_the_cores(monkeypatch):
    """A part of a core counts as one."""
    monkeypatch.setattr(devices, "read_cpu_quota", lambda: 0.5)
    assert devices.count_cores() == 1


def test_devices_of_a_process_that_has_computed(monkeypatch):
    """TensorFlow cannot change them any more: what to do is said."""
    monkeypatch.setattr(tf.config, "set_logical_device_configuration", lambda *given: int("x"))
    with pytest.raises(ValueError):  # other errors pass
        devices.split_cpu(2)

    def refuse(*given):
        raise RuntimeError("Virtual devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_logical_device_configuration", refuse)
    with pytest.raises(UsageError, match="Start Python again"):
        devices.split_cpu(2)


def test_other_backends_are_refused(monkeypatch):
    """Where Keras already runs on another backend, the message says what to do."""
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(UsageError, match="KERAS_BACKEND=tensorflow"):
        devices.setup_keras()


@pytest.mark.parametrize("module", ["data", pytest.param("dcgan", marks=pytest.mark.slow)])
def test_backend_of_a_notebook(tmp_path, module):
    """Whatever of the project is imported first, Keras runs on TensorFlow, whatever the user's setting is."""
    code = f"import {module}, os, sys"
    code += (
        "; keras = sys.modules.get('keras'); print(keras.backend.backend() if keras else os.environ['KERAS_BACKEND'])"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax", "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "tensorflow\n"


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="elsewhere TensorFlow may have no oneDNN"
)
@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_onednn(given, expected):
    """TensorFlow computes with oneDNN's kernels, also on processors where it would not, unless the user says no."""
    from tensorflow.python.framework import test_util

    assert test_util.IsMklEnabled() == (os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1")  # as `import gan` has set it here
    code = "import gan, os; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {} if given is None else {"TF_ENABLE_ONEDNN_OPTS": given}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{expected}\n"


@pytest.mark.parametrize(("capability", "expected"), [((8, 6), "mixed_bfloat16"), ((7, 5), "float32")])
def test_gpu_is_preferred(monkeypatch, capability, expected):
    """The GPU's name and precision are returned, and the memory of every GPU is set to grow."""
    grown = []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["gpu 0", "gpu 1"])
    experimental = tf.config.experimental
    monkeypatch.setattr(experimental, "set_memory_growth", lambda gpu, on: grown.append((gpu, on)))
    details = {"device_name": "Some GPU", "compute_capability": capability}
    monkeypatch.setattr(experimental, "get_device_details", lambda gpu: details)
    monkeypatch.setattr(devices, "has_bfloat16_cpu", lambda: capability < (8, 0))
    assert devices.setup_devices("auto") == ("GPU (Some GPU)", expected)
    assert grown == [("gpu 0", True), ("gpu 1", True)]


SCRIPT = """
import os, sys
from gan.devices import silence_tensorflow
os.write(2, b"before ")
try:
    with silence_tensorflow():
        os.write(2, b"noise ")
        raise ValueError("mine")
except ValueError as error:
    os.write(2, f"{error} {os.environ['TF_CPP_MIN_LOG_LEVEL']} {len(os.listdir('/dev/fd'))}".encode())
"""


@pytest.mark.parametrize(
    ("level", "printed"),
    [(None, "before mine 3"), ("3", "before mine 3"), ("0", "before noise mine 0")],
)
def test_silence_tensorflow(level, printed):
    """Log messages are suppressed unless a level below 3 is set; exceptions pass, and standard error is restored.

    Processes that this program starts inherit 3.
    """
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    if level:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    words = done.stderr.rsplit(" ", 1)
    assert words[0] == printed
    assert int(words[1]) == 4  # standard input, output, error, and the listing itself: no other is open


@pytest.mark.parametrize(
    ("settings", "valid"),
    [
        ('{"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first", "backend": "jax"}', True),
        ("not JSON", True),  # which Keras ignores
        ('{"floatx": 7}', False),
        ('{"floatx": []}', False),
        ('{"epsilon": "x"}', False),
        ('{"image_data_format": "channels"}', False),
        ("[]", False),
    ],
)
def test_settings_that_keras_refuses(tmp_path, monkeypatch, capsys, settings, valid):
    """Keras would end with a traceback; every command names the file instead, with exit code 2."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_text(settings)
    assert run_command("tool", lambda: 0) == (0 if valid else 2)
    assert (str(tmp_path / "keras.json") in capsys.readouterr().err) is not valid
