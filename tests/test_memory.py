"""gan/memory.py: what the limits of a system leave, from files like its own, and what is released."""

import gc
import os
import weakref

import pytest

from gan import memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A function that writes a /proc and /sys/fs/cgroup of 1,000 kB in use, and returns what is available in kB."""
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (memory.resource.RLIM_INFINITY, -1))

    def available(group="", **files):
        (tmp_path / "proc" / "self").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc" / "self" / "status").write_text("Name:\tpython\nVmSize:\t9000 kB\nVmRSS:\t 1000 kB\n")
        (tmp_path / "proc" / "self" / "cgroup").write_text(group)
        (tmp_path / "proc" / "meminfo").write_text("MemTotal: 99000 kB\nMemAvailable:   50000 kB\nHugePages_Total: 0\n")
        for name, text in files.items():
            path = tmp_path / "cgroup" / name.replace("__", "/").replace("memory_", "memory.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = memory.available_memory(tmp_path / "proc", tmp_path / "cgroup")
        return found if found is None else found / 1024

    return available


def kb(count):
    """A number of kB as files of control groups have it."""
    return f"{count * 1024}\n"


def test_without_limits_the_rest_of_the_machine_is_available(system):
    """What is left, and what the process holds already."""
    assert system() == 51_000


STATISTICS = f"anon 5\nactive_file {kb(100)}inactive_file {kb(200)}"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"a__b__memory_max": kb(5000)}, 5000 - 2000 + 300 + 1000),
        ({"a__b__memory_max": "max\n"}, 51_000),
        ({"a__b__memory_max": kb(10**9)}, 51_000),
        ({"a__b__memory_max": "max\n", "a__memory_max": kb(4000)}, 4000 - 2000 + 300 + 1000),  # around it
        ({"memory_max": kb(3000)}, 3000 - 2000 + 300 + 1000),  # within a container: its own is the root
        ({"a__b__memory_max": kb(1000)}, 1000),  # exceeded already
        ({"a__b__memory_max": "nonsense"}, 51_000),
    ],
)
def test_control_groups_of_version_2(system, limits, expected):
    """Limit less usage, without the files that can be dropped, and what the process holds."""
    folders = {name.rpartition("memory_")[0] for name in limits}
    others = {
        f"{folder}memory_{kind}": text
        for folder in folders
        for kind, text in (("current", kb(2000)), ("stat", STATISTICS))
    }
    assert system("0::/a/b\n", **limits, **others) == expected


def test_control_groups_of_version_1(system):
    """Other names; the controller has a folder of its own."""
    files = {
        "memory__a__memory_limit_in_bytes": kb(6000),
        "memory__a__memory_usage_in_bytes": kb(2500),
        "memory__a__memory_stat": f"active_file 7\ntotal_active_file {kb(10)}total_inactive_file {kb(20)}",
    }
    assert system("9:cpu,cpuacct:/a\n4:memory:/a\n0::/\n", **files) == 6000 - 2500 + 30 + 1000


def test_the_limit_of_the_address_space(system, monkeypatch):
    """ulimit -v 12000: 3,000 kB beyond the 9,000 that are in use, of which 500 will be reserved and not used."""
    monkeypatch.setattr(memory, "UNUSED_SPACE", 500 * 1024)
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (12_000 * 1024, -1))
    assert system() == 2500 + 1000


def test_other_systems(tmp_path, monkeypatch):
    """Without /proc the machine's memory counts; where that is unknown, nothing."""
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert memory.available_memory(tmp_path) == 4_096_000
    monkeypatch.delattr(os, "sysconf")
    assert memory.available_memory(tmp_path) is None


def test_release_memory():
    """What refers to itself is freed, in old generations, too; what was there before is looked at only once."""

    class Figure:
        def __init__(self):
            self.canvas = self

    gc.unfreeze()
    early, known = Figure(), []
    try:
        for _ in range(2):
            figure = Figure()
            gc.collect()
            known.append(weakref.ref(figure))
            del figure
            memory.release_memory()
            assert known[-1]() is None
        known = weakref.ref(early)
        del early
        memory.release_memory()
        assert known() is not None
    finally:
        gc.unfreeze()
    memory.release_memory()
    gc.unfreeze()
    assert known() is None
    gc.collect()
    gc.freeze()  # as it was
