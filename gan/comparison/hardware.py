"""What a measurement was made on, and how much else went on there; as far as the standard library tells.

start = busy(); time.sleep(1); print(f"{busy() - start:.1f} cores at work")
"""

import os
from pathlib import Path

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # those that decide how fast an Intel or AMD CPU trains


def flags(cpuinfo: str = "/proc/cpuinfo") -> list[str]:
    """Which of `FLAGS` the CPU has; none where the system does not tell."""
    try:
        known = set(Path(cpuinfo).read_text().split())
    except OSError:
        return []
    return [flag for flag in FLAGS if flag in known]


def memory() -> int | None:
    """How much memory there is, in whole GB."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9)
    except (AttributeError, ValueError, OSError):
        return None


def busy(stat: str = "/proc/stat") -> float | None:
    """Seconds that all cores together have worked since the machine started, for us, for others, for its host."""
    try:
        times = Path(stat).read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, interrupts, softly, stolen = map(int, times)
    return (user + nice + system + interrupts + softly + stolen) / os.sysconf("SC_CLK_TCK")
