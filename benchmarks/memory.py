"""Compare the memory that a training is estimated to take with the most that it takes.

    python -m benchmarks.memory                                  # every recipe, and others of all kinds
    python -m benchmarks.memory --recipe udacity-64 --width 128  # these settings alone

Takes every flag of train.py. Each case trains for four iterations in a process of its own, which also calibrates,
scores and saves, and whose peak of resident memory the system reports (ru_maxrss). The last line of the output is one
JSON document. The exit code is 1 where an estimate is too high or too low by more than a factor of 1.5.
"""

import argparse
import dataclasses
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from gan.cli import parse_arguments, run_command
from gan.comparison import hardware
from gan.errors import RunError, UsageError
from gan.networks import build_uninitialized_networks
from gan.recipes import RECIPES

TRAIN = Path(__file__).parent.parent / "train.py"
FACTOR = 1.5
# A penalty comes in the first iteration; scores are as large as a run chooses them, and forced.
SHORT = ["--run", "memory", "--epochs", "4", "--steps-per-epoch", "1", "--sample-every", "4", "--score-every", "4"]
SHORT += ["--score-samples", "1024"]
CASES = [
    *(f"--recipe {name}" for name in RECIPES),
    "--recipe default --batch-size 1024",
    "--recipe default --batch-size 512 --penalty r1+r2 --loss relativistic",
    "--recipe default --batch-size 512 --penalty none --precision mixed_bfloat16",
    "--recipe default --optimizer acgd --penalty none --precision float32 --width 16 --batch-size 256",
    "--recipe default --width 128",
    "--recipe default --width 2 --batch-size 1 --image-size 16",
    "--recipe default --noise-size 100000",
    "--recipe default --noise image --image-size 64 --batch-size 256 --limit 2000",
    "--recipe default --width 32 --image-size 128 --batch-size 64 --limit 1000",
    "--recipe default --discriminator-steps 4 --no-reuse-fakes --dropout 0.3 --batch-size 256",
    "--recipe udacity-64 --batch-size 1024",
    "--recipe udacity-64 --image-size 128 --limit 1000",
    "--recipe udacity-128 --generator-optimizer adamw --discriminator-optimizer rmsprop",
    "--recipe keras-gan-upsample --batch-size 512",
    "--recipe keras-gan-dense --batch-size 4096",
    "--recipe keras-gan-dense --width 512",
    "--recipe default --image-size 64 --augment ada --batch-size 256 --limit 2000",
    "--recipe default --image-size 64 --ema-half-life 5000 20000 60000 --limit 1000",
    "--recipe default --generator residual-free --discriminator residual-free --image-size 64 --limit 1000",
]


def parse(argv: list[str] | None) -> list[str]:
    """Parses the flags, which are train.py's; returns the cases to measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory",
        usage="%(prog)s [any flag of train.py]",
        description="Compares estimates of memory with measured peaks. Flags: train.py --help.",
        allow_abbrev=False,
    )
    _, words = parser.parse_known_args(argv)
    cases = [shlex.join(words)] if words else CASES
    for case in cases:
        parse_arguments(shlex.split(case))
    return cases


def estimate(case: str) -> int:
    """Estimates the memory of a case, in bytes."""
    import keras

    from gan.devices import setup_devices
    from gan.training.memory_estimate import estimate_memory

    config, _ = parse_arguments(shlex.split(case))
    config = dataclasses.replace(config, precision=setup_devices(config.precision)[1])
    with build_uninitialized_networks(config) as networks:
        needed = estimate_memory(config, *networks)
    keras.utils.clear_session()  # the weights never get values
    return needed


def measure(case: str) -> int:
    """Trains a case for a few iterations, and returns the most memory that its process has held, in bytes."""
    words = shlex.split(case)
    words += ["--image-size", f"{parse_arguments(words)[0].image_size}"]  # as estimated, whatever the images are
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        with open(log, "w") as output:
            child = subprocess.Popen(
                # Unless a case says otherwise, nothing is augmented: the estimate knows no number of images.
                [sys.executable, str(TRAIN), "--augment", "none", *words, *SHORT, "--output", folder],
                stdout=output,
                stderr=output,
            )
        _, status, usage = os.wait4(child.pid, 0)  # of this child alone
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RunError(f"{case}: train.py ended with {child.returncode}: {log.read_text()[-500:].strip()}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def benchmark(cases: list[str]) -> int:
    """Estimates and measures each case; prints a table and a JSON document. Returns the exit code."""
    if not hasattr(os, "wait4"):
        raise UsageError("this system does not report a process's peak of memory: run it on Linux or macOS.")
    rows = []
    print(f"{'estimate, MB':>12}{'peak, MB':>10}{'ratio':>7}  settings")
    for case in cases:
        estimated, peak = estimate(case) / 1e6, measure(case) / 1e6
        rows.append({"flags": case, "estimate_mb": round(estimated), "peak_mb": round(peak)})
        rows[-1]["ratio"] = round(estimated / peak, 3)
        print(f"{estimated:12,.0f}{peak:10,.0f}{rows[-1]['ratio']:7.2f}  {case}", flush=True)
    ratios = [row["ratio"] for row in rows]
    machine = hardware.describe_machine("CPU", "float32")
    print(json.dumps({"lowest_ratio": min(ratios), "highest_ratio": max(ratios), "cases": rows, "machine": machine}))
    return int(not 1 / FACTOR <= min(ratios) <= max(ratios) <= FACTOR)


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    cases = parse(argv)
    return run_command("memory", lambda: benchmark(cases))


if __name__ == "__main__":
    sys.exit(main())
