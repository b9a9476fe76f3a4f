"""Hardware: describes the machine that measures, and reads how busy it is.

machine = describe_machine(device="CPU (2 cores)", precision="float32")
start = read_busy_seconds(); time.sleep(1); print(f"{read_busy_seconds() - start:.1f} cores at work")
"""

import os
import platform
import re
from pathlib import Path

from gan.devices import count_cores
from gan.memory import machine_memory

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # of Intel and AMD processors, that decide how fast they train


def describe_machine(device: str, precision: str) -> dict:
    """Describes the processor, the memory and the versions; `device` and `precision` are recorded as given."""
    import keras
    import tensorflow as tf

    cores, memory = count_cores(), machine_memory()
    return {
        "cpu": read_cpu_model(),
        "cores": cores,
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or cores,  # 0: one a core
        "device": device,
        "precision": precision,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "flags": read_cpu_flags(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1",  # whose kernels are faster (gan/__init__.py)
        "memory_gb": memory and round(memory / 1e9),
    }


def read_cpu_model(cpuinfo: str = "/proc/cpuinfo") -> str:
    """Reads the name of the processor."""
    path = Path(cpuinfo)
    found = re.search(r"model name\s*:\s*(.+)", path.read_text("utf-8")) if path.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def read_cpu_flags(cpuinfo: str = "/proc/cpuinfo") -> list[str]:
    """Reads which of `FLAGS` the processor has; none where the system does not say (macOS, Windows)."""
    try:
        known = set(Path(cpuinfo).read_text("utf-8").split())
    except OSError:
        return []
    return [flag for flag in FLAGS if flag in known]


def read_busy_seconds(stat: str = "/proc/stat") -> float | None:
    """Reads the seconds that the cores this process may use have worked since the start of the system.

    None where the system does not say. `taskset` chooses the cores of a process.
    """
    try:
        lines = Path(stat).read_text("utf-8").splitlines()
    except OSError:
        return None
    cores = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks = []
    for name, *times in map(str.split, lines):
        if name in cores:
            user, nice, system, _idle, _waiting, interrupts, softly, stolen = map(int, times[:8])
            ticks.append(user + nice + system + interrupts + softly + stolen)
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None
