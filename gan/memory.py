"""Memory: how much this process may hold, and returning what it no longer uses.

available_memory()  # bytes, or None where that is unknown
release_memory()
"""

import contextlib
import ctypes
import gc
import os
import re
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None

UNUSED_SPACE = 700e6  # of the address space: stacks of threads and pieces that are reserved, but not used


def available_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """How many bytes this process may hold in all, what it holds already included; None where that is unknown.

    On Linux it is the least of what the system has left (MemAvailable) and what the limits of control groups
    (versions 1 and 2) and of the address space (ulimit -v) leave; elsewhere, the memory of the machine.
    """
    try:
        own = read_sizes(proc / "self" / "status")
        limits = [read_sizes(proc / "meminfo")["MemAvailable"], *group_limits(proc, groups)]
        space = resource.getrlimit(resource.RLIMIT_AS)[0]
        if space != resource.RLIM_INFINITY:
            limits.append(space - own["VmSize"] - UNUSED_SPACE)
        return max(0, min(limits)) + own["VmRSS"]
    except (OSError, KeyError):
        return machine_memory()


def machine_memory() -> int | None:
    """How many bytes of memory the machine has; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has none
        return None


def read_sizes(path: Path) -> dict[str, int]:
    """Reads the lines of a file in /proc that are sizes in kB: bytes by name."""
    found = re.findall(r"^(\w+):\s+(\d+) kB$", path.read_text("utf-8"), re.MULTILINE)
    return {name: int(value) * 1024 for name, value in found}


def group_limits(proc: Path, groups: Path) -> list[int]:
    """What the limits of this process's control group, and of the groups around it, leave, in bytes."""
    left = []
    for line in (proc / "self" / "cgroup").read_text("utf-8").splitlines():
        _, controller, path = line.split(":", 2)
        if controller in ("", "memory"):  # versions 2 and 1
            group = groups / controller / path.lstrip("/")
            # In a container, the path may be the one outside of it; then only the root is there.
            left += [limit_left(folder) for folder in (group, *group.parents) if folder.is_relative_to(groups)]
    return [count for count in left if count is not None]


def limit_left(group: Path) -> int | None:
    """What the limit of one control group leaves, in bytes; None where there is no such group, or no limit.

    Files that were read count as used there, and are dropped where memory is needed.
    """
    names = (
        ("memory.max", "memory.current", "")
        if (group / "memory.max").exists()
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
    )
    try:
        limit, used = (int((group / name).read_text("utf-8")) for name in names[:2])
        statistics = dict(line.split() for line in (group / "memory.stat").read_text("utf-8").splitlines())
        return limit - used + sum(int(statistics[f"{names[2]}{kind}_file"]) for kind in ("active", "inactive"))
    except (OSError, ValueError, KeyError):  # "max" is no limit
        return None


def release_memory() -> None:
    """Returns memory that is no longer used to the system.

    Figures and saved models contain reference cycles. Python's collector would come to them late, after hundreds of
    megabytes, and the C library would keep the gaps that they leave. The first collection takes 0.2 s; what is left
    then is frozen, so that later ones look only at newer objects, until `gc.unfreeze` is called.
    """
    gc.collect()
    gc.collect()  # frees what finalizers kept alive in the first: 18,000 objects of a chart
    if not gc.get_freeze_count():
        gc.freeze()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # only glibc has malloc_trim
        ctypes.CDLL(None).malloc_trim(0)
