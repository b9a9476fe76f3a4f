"""What the system tells of the machine, from files of the test's own."""

import os

from gan.comparison import hardware


def test_busy_seconds(tmp_path, monkeypatch):
    """User, nice, system, interrupts and stolen time of the process's cores count; idle and waiting do not."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2}, raising=False)
    rows = ["cpu  9 9 9 9 9 9 9 9 9 9", "cpu0 100 20 30 9999 8888 4 5 6 0 0", "cpu1 7 7 7 7 7 7 7 7 0 0",
            "cpu2 1 0 0 50 0 0 0 2 0 0", "intr 77 0"]  # fmt: skip
    (tmp_path / "stat").write_text("\n".join(rows) + "\n")
    assert hardware.read_busy_seconds(str(tmp_path / "stat")) == 168 / os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {9})
    assert hardware.read_busy_seconds(str(tmp_path / "stat")) is None
    assert hardware.read_busy_seconds(str(tmp_path / "missing")) is None


def test_cpu(tmp_path):
    """Its name, and those of its flags that decide how fast it trains."""
    (tmp_path / "cpuinfo").write_text("model name\t: Xeon 9\nflags\t\t: fpu avx2 sse amx_bf16\n")
    assert hardware.read_cpu_model(str(tmp_path / "cpuinfo")) == "Xeon 9"
    assert hardware.read_cpu_flags(str(tmp_path / "cpuinfo")) == ["avx2", "amx_bf16"]
    assert hardware.read_cpu_flags(str(tmp_path / "missing")) == []
