"""Measure how fast a recipe trains on this machine: its step, its data, both, and PyTorch's step beside them.

    python -m benchmarks.speed --recipe udacity-64
    python -m benchmarks.speed --recipe udacity-64 --against torch    # after: pip install torch

Takes every flag of train.py. What is compared runs in turns, round by round, so that other work on the machine affects
all alike; a figure is the median of the rounds, with the lowest and the highest. The step is compared with what the
machine can do: with the operations that a product of large matrices does in a second, in the same precision. The last
line of the output is one JSON document.
"""

import argparse
import dataclasses
import importlib.util
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

if not __package__:  # run as a file: python benchmarks/speed.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.scaling import count_operations
from gan import experiment
from gan.cli import in_range, parse_settings, run_command
from gan.comparison import hardware
from gan.config import Config, format_flag
from gan.errors import UsageError
from gan.settings import resolve_settings

AHEAD = 4  # batches that may have been prepared during the other turns
SIDE, PRODUCTS = 2048, 8  # of the matrices, and their products in a round
LOADS = 16  # batches that the data alone is timed with, for each step: loading is faster than training
ROWS = {  # the table's, in order: title and digits
    "step_images_per_second": ("step alone, images/s", 1),
    "data_images_per_second": ("data alone, images/s", 1),
    "together_images_per_second": ("both, images/s", 1),
    "waiting_percent": ("of that waiting for data, %", 2),
    "product_gflops": ("matrix products, GFLOP/s", 1),
    "reached_percent": ("step, % of that rate", 1),
    "torch_images_per_second": ("step in PyTorch, images/s", 1),
    "ours_over_torch": ("ours / PyTorch", 2),
}
# What the recipes udacity-* have in common, and the twin in PyTorch covers.
COVERED = {
    "generator": "conv", "discriminator": "conv", "noise": "vector", "loss": "cross-entropy", "label_smoothing": 0.0,
    "penalty": "none", "augmentation": "none", "augment": "none", "dropout": 0.0, "discriminator_steps": 1,
    "reuse_fakes": False, "ema_half_life": 0.0, "generator_optimizer": "adam", "discriminator_optimizer": "adam",
    "labels": "none",
}  # fmt: skip


def parse(argv: list[str] | None) -> tuple[argparse.Namespace, dict]:
    """Parses the flags of this command, and the settings that those of train.py give."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        usage="%(prog)s [--rounds N] [--steps N] [--against torch] [any flag of train.py]",
        description="Measures how many images a second a recipe trains on here. Further flags: train.py --help.",
        allow_abbrev=False,
    )
    steps = "steps in a round (4), rounded up to whole turns of --penalty-every where there is a penalty"
    parser.add_argument(
        "--rounds", type=in_range(int, 1), default=15, metavar="N", help="measured rounds (default: 15)"
    )
    parser.add_argument("--steps", type=in_range(int, 1), default=4, metavar="N", help=steps)
    parser.add_argument("--against", choices=("torch",), help="measure the same step in PyTorch too")
    flags, rest = parser.parse_known_args(argv)
    given, flags.dry_run = parse_settings(rest)
    return flags, given


def time_steps(batches: Iterator, step: Callable, count: int) -> tuple[float, float]:
    """Trains for `count` steps; returns images a second, and the percentage of the time spent waiting for batches."""
    waited, start = 0.0, time.perf_counter()
    for _ in range(count):
        before = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - before
        result = step(batch)
    for scalar in result.values():
        float(scalar)  # waits for a GPU
    elapsed = time.perf_counter() - start
    return count * len(batch[0]) / elapsed, 100 * waited / elapsed


def build_products(precision: str) -> Callable[[], float]:
    """Builds a function that multiplies matrices, and returns how many 10^9 operations it did in a second."""
    import tensorflow as tf

    dtype = precision.removeprefix("mixed_")
    matrices = [tf.cast(tf.random.stateless_normal((SIDE, SIDE), (0, i)), dtype) for i in range(2)]
    multiply = tf.function(tf.matmul)

    def time_products() -> float:
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            result = multiply(*matrices)
        float(result[0, 0])  # waits for a GPU
        return PRODUCTS * 2 * SIDE**3 / (time.perf_counter() - start) / 1e9

    return time_products


def time_round(
    contenders: dict[str, tuple[Callable, tuple]], batches: Iterator, steps: int, time_products: Callable, gflop: float
) -> dict[str, float]:
    """Measures every figure once.

    Arguments:
        contenders: (step, its fixed batch) by name; this project's is "step".
        time_products: as from `build_products`.
        gflop: 10^9 operations of a step for each image.
    """
    figures = {}
    for name, (step, batch) in contenders.items():
        figures[f"{name}_images_per_second"], _ = time_steps(itertools.repeat(batch), step, steps)
    if "torch" in contenders:
        figures["ours_over_torch"] = figures["step_images_per_second"] / figures["torch_images_per_second"]
    figures["product_gflops"] = time_products()
    figures["reached_percent"] = 100 * gflop * figures["step_images_per_second"] / figures["product_gflops"]
    time_steps(batches, lambda batch: {}, AHEAD)
    figures["data_images_per_second"], _ = time_steps(batches, lambda batch: {}, steps * LOADS)
    together = time_steps(batches, contenders["step"][0], steps)
    figures["together_images_per_second"], figures["waiting_percent"] = together
    return figures


def measure(rounds: int, *parts) -> dict[str, dict[str, float]]:
    """Measures in `rounds` rounds, after one to warm up; returns the median, lowest and highest of every figure.

    `parts` are as for `time_round`.
    """
    from gan import progress

    time_round(*parts)
    measured = []
    with progress.show_progress(rounds, 0) as show:
        for number in range(1, rounds + 1):
            measured.append(time_round(*parts))
            show(number, "rounds")
    columns = {name: [figures[name] for figures in measured] for name in ROWS if name in measured[0]}
    return {
        name: {"median": median(values), "lowest": min(values), "highest": max(values)}
        for name, values in columns.items()
    }


def read_peak_memory() -> float | None:
    """Reads the most memory that this process has held so far, in MB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def require_covered(config: Config) -> None:
    """Raises UsageError where a configuration does what the twin in PyTorch does not."""
    if other := [name for name, value in COVERED.items() if getattr(config, name) != value]:
        flags = ", ".join(f"{format_flag(name)} {getattr(config, name)}" for name in other)
        raise UsageError(f"--against torch covers the conv pair alone, not {flags}: give --recipe udacity-64.")


def require_comparable(device: str, precision: str) -> None:
    """Raises UsageError where the twin in PyTorch would not do the same work on the same device."""
    if not device.startswith("CPU") or precision == "mixed_float16":
        raise UsageError(
            f"--against torch compares on a CPU, in float32 or mixed_bfloat16; here it is {device}, {precision}."
            " Add --precision float32, and hide a GPU with CUDA_VISIBLE_DEVICES=-1."
        )


def add_torch(contenders: dict, machine: dict, gan, config: Config) -> None:
    """Adds the GAN's twin in PyTorch, with as many threads, on the same batch."""
    import torch

    from benchmarks.torch_twin import TorchTwin, to_torch

    torch.set_num_threads(machine["threads"])
    twin = TorchTwin(gan, config)
    contenders["torch"] = lambda batch: twin.train_step(batch[0]), (to_torch(contenders["step"][1][0]),)
    machine["torch"] = torch.__version__


def header(config: Config, gan, machine: dict) -> list[str]:
    """Formats lines that say what is measured, and on what."""
    libraries = ", ".join(f"{name} {machine[name]}" for name in ("tensorflow", "keras", "torch") if name in machine)
    lines = [
        f"{config.recipe}: {config.generator} generator of {gan.generator.count_params():,} weights,"
        f" {config.discriminator} discriminator of {gan.discriminator.count_params():,},"
        f" {config.images_per_iteration} images a step",
        f"{machine['device']}, {machine['cpu']}, {machine['precision']}; {libraries}",
    ]
    if (machine["load"] or 0) > machine["cores"] / 2:
        lines.append(
            f"The machine is busy (load {machine['load']:.1f} on {machine['cores']} cores): all figures come out too"
            " low, and PyTorch's lowest, as each of its operations waits for its slowest thread."
        )
    return lines


def report(figures: dict[str, dict[str, float]], memory: float | None, machine: dict, circumstances: dict) -> None:
    """Prints the table, the memory and, as the last line, a JSON document."""
    torch_too = "torch" in machine
    print(f"{'':28}{'median':>10}{'lowest':>10}{'highest':>10}")
    for name, values in figures.items():
        title, digits = ROWS[name]
        print(f"{title:28}" + "".join(f"{value:10,.{digits}f}" for value in values.values()))
    if memory:
        print(f"{'peak memory, MB':28}{memory:10,.0f}" + (", PyTorch and its networks included" if torch_too else ""))
    memories = {"peak_memory_mb": memory, "peak_memory_includes_torch": torch_too}
    print(json.dumps({**figures, **memories, "machine": machine, **circumstances}))


def benchmark(flags: argparse.Namespace, given: dict) -> None:
    """Builds what train.py would with the settings that are given, measures it, and prints the figures."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as empty:  # so that no run decides about the settings
        config, _, opened = resolve_settings({**given, "output": empty})
    if flags.against:
        require_covered(config)
        if importlib.util.find_spec("torch") is None:
            raise UsageError("--against torch needs PyTorch: pip install torch")

    from gan.devices import setup_devices

    device, precision = setup_devices(config.precision)
    if flags.against:
        require_comparable(device, precision)

    import data
    from gan.training.augmentation import AUGMENTATIONS
    from gan.training.memory_estimate import require_memory

    config = dataclasses.replace(config, precision=precision)
    faces = experiment.load_data(config, opened)
    training, _ = faces.split(config.holdout)
    config = dataclasses.replace(config, augment=config.choose_augment(len(training)))
    labels = experiment.build_label_distribution(config, faces, training)
    gan = experiment.build_gan(config, check=require_memory, labels=labels)
    shuffled = data.batches(
        faces.images, config.images_per_iteration, rows=experiment.choose_rows(config, faces, training),
        labels=labels and faces.labels, seed=config.seed,
        augment=AUGMENTATIONS[config.augmentation].pipeline,
    )  # fmt: skip
    batches = iter(shuffled)
    contenders = {"step": (gan.train_step, next(batches))}
    machine = hardware.describe_machine(device, precision) | {"load": load}
    if flags.against:
        add_torch(contenders, machine, gan, config)
    print(*header(config, gan, machine), sep="\n")
    if flags.dry_run:
        return
    # The penalty comes once in `every` steps: rounds of whole multiples of that have equal shares of it.
    every = gan.penalty.every if gan.penalty else 1
    steps = -(-flags.steps // every) * every
    for step, batch in contenders.values():
        time_steps(itertools.repeat(batch), step, steps)
    memory = read_peak_memory()  # before the matrices
    gflop = count_operations(gan, config) / 1e9
    figures = measure(flags.rounds, contenders, batches, steps, build_products(precision), gflop)
    report(figures, memory, machine, {"rounds": flags.rounds, "steps": steps, "config": dataclasses.asdict(config)})


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    flags, given = parse(argv)
    return run_command("speed", lambda: benchmark(flags, given))


if __name__ == "__main__":
    sys.exit(main())
