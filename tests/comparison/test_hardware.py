"""What the system tells of the machine, from files of the test's own."""

import os

from gan.comparison import hardware


def test_busy_seconds(tmp_path):
    """User, nice, system, interrupts and stolen time count; idle and waiting do not."""
    (tmp_path / "stat").write_text("cpu  100 20 30 9999 8888 4 5 6 0 0\ncpu0 1 1 1\n")
    assert hardware.read_busy_seconds(str(tmp_path / "stat")) == 165 / os.sysconf("SC_CLK_TCK")
    assert hardware.read_busy_seconds(str(tmp_path / "missing")) is None


def test_cpu(tmp_path):
    """Its name, and those of its flags that decide how fast it trains."""
    (tmp_path / "cpuinfo").write_text("model name\t: Xeon 9\nflags\t\t: fpu avx2 sse amx_bf16\n")
    assert hardware.read_cpu_model(str(tmp_path / "cpuinfo")) == "Xeon 9"
    assert hardware.read_cpu_flags(str(tmp_path / "cpuinfo")) == ["avx2", "amx_bf16"]
    assert hardware.read_cpu_flags(str(tmp_path / "missing")) == []
