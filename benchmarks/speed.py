"""How fast one recipe trains here: its step alone, its data alone, both together, and PyTorch's step beside them.

    python -m benchmarks.speed --recipe udacity-64
    python -m benchmarks.speed --recipe udacity-64 --against torch    # after: pip install torch

Takes every flag of train.py. All that is compared runs in turns, round by round, so that whatever else the machine
does meets all alike; a figure is the median of the rounds, with the lowest and the highest. The last line of the
output is one JSON document.
"""

import argparse
import dataclasses
import importlib.util
import itertools
import json
import os
import platform
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from gan import cli, experiment
from gan import config as configuration
from gan.cli import parse_arguments
from gan.errors import RunError, UsageError

AHEAD = 4  # batches that data.batches may have made while others had their turn
DRAWS = 16  # batches drawn for every step, as drawing is the faster
ROWS = {  # the table's, in order: title and digits
    "step_images_per_second": ("step alone, images/s", 1),
    "data_images_per_second": ("data alone, images/s", 1),
    "together_images_per_second": ("both, images/s", 1),
    "waiting_percent": ("of that waiting for data, %", 2),
    "torch_images_per_second": ("step in PyTorch, images/s", 1),
    "ours_over_torch": ("ours / PyTorch", 2),
}


def positive(text: str) -> int:
    """The type of a count."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def parse(argv: list[str] | None) -> tuple[argparse.Namespace, configuration.Config]:
    """Our own flags, and the run that the others, train.py's, describe."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        usage="%(prog)s [--rounds N] [--steps N] [--against torch] [any flag of train.py]",
        description="Measures how many images a second a recipe trains on here. Further flags: train.py --help.",
        allow_abbrev=False,
    )
    steps = "steps in a round (4), rounded up to whole turns of --penalty-every where there is a penalty"
    parser.add_argument("--rounds", type=positive, default=15, metavar="N", help="measured rounds (15)")
    parser.add_argument("--steps", type=positive, default=4, metavar="N", help=steps)
    parser.add_argument("--against", choices=("torch",), help="measure the same step in PyTorch too")
    flags, rest = parser.parse_known_args(argv)
    config, flags.dry_run = parse_arguments(rest)
    return flags, config


def play(batches: Iterator, step: Callable, count: int) -> tuple[float, float]:
    """The loop of train.py. Returns images a second, and the percentage of the time spent waiting for batches."""
    waited, start = 0.0, time.perf_counter()
    for _ in range(count):
        before = time.perf_counter()
        real = next(batches)
        waited += time.perf_counter() - before
        row = step(real)
    row.numpy()  # waits for a GPU
    elapsed = time.perf_counter() - start
    return count * len(real) / elapsed, 100 * waited / elapsed


def play_round(contenders: dict[str, tuple[Callable, object]], batches: Iterator, steps: int) -> dict[str, float]:
    """One turn each; `contenders` are (step, its fixed batch), ours the one called "step"."""
    figures = {}
    for name, (step, real) in contenders.items():
        figures[f"{name}_images_per_second"], _ = play(itertools.repeat(real), step, steps)
    if "torch" in contenders:
        figures["ours_over_torch"] = figures["step_images_per_second"] / figures["torch_images_per_second"]
    play(batches, lambda real: real, AHEAD)
    figures["data_images_per_second"], _ = play(batches, lambda real: real, steps * DRAWS)
    figures["together_images_per_second"], figures["waiting_percent"] = play(batches, contenders["step"][0], steps)
    return figures


def measure(contenders: dict, batches: Iterator, *, steps: int, rounds: int) -> dict[str, dict[str, float]]:
    """The median, lowest and highest of every figure, over rounds that follow one that only warms up."""
    from gan import progress

    play_round(contenders, batches, steps)
    measured = []
    with progress.show_progress(rounds, 0) as show:
        for number in range(1, rounds + 1):
            measured.append(play_round(contenders, batches, steps))
            show(number, "rounds")
    columns = {name: [figures[name] for figures in measured] for name in ROWS if name in measured[0]}
    return {
        name: {"median": median(values), "lowest": min(values), "highest": max(values)}
        for name, values in columns.items()
    }


def peak_memory() -> float | None:
    """The most memory that this process has held so far, in MB; Windows does not tell."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def cpu_model(cpuinfo: str = "/proc/cpuinfo") -> str:
    """The processor's name, as far as the system tells it."""
    path = Path(cpuinfo)
    found = re.search(r"model name\s*:\s*(.+)", path.read_text()) if path.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def describe_machine(device: str, precision: str, load: float | None) -> dict:
    """What the figures hold for."""
    import keras
    import tensorflow as tf

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu_model(),
        "cores": cores,
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or cores,  # 0: one a core
        "load": load,
        "device": device,
        "precision": precision,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def require_comparable(device: str, precision: str) -> None:
    """Raises UsageError where the twin in PyTorch would not do the same work."""
    if not device.startswith("CPU") or precision == "mixed_float16":
        raise UsageError(
            f"--against torch compares on a CPU, in float32 or mixed_bfloat16; here it is {device}, {precision}."
            " Add --precision float32, and hide a GPU with CUDA_VISIBLE_DEVICES=-1."
        )


def add_torch(contenders: dict, machine: dict, game, config: configuration.Config) -> None:
    """The game's twin in PyTorch, with as many threads, on the same batch."""
    import torch

    from benchmarks.torch_networks import images
    from benchmarks.torch_twin import Twin

    torch.set_num_threads(machine["threads"])
    twin = Twin(game, loss=config.loss, noise=config.noise_distribution, precision=config.precision)
    contenders["torch"] = twin.train_step, images(contenders["step"][1])
    machine["torch"] = torch.__version__


def header(config: configuration.Config, game, machine: dict) -> list[str]:
    """What is about to be measured, and on what."""
    libraries = ", ".join(f"{name} {machine[name]}" for name in ("tensorflow", "keras", "torch") if name in machine)
    lines = [
        f"{config.recipe}: {config.generator} generator of {game.generator.count_params():,} weights,"
        f" {config.discriminator} discriminator of {game.discriminator.count_params():,},"
        f" {config.images_per_iteration} images a step",
        f"{machine['device']}, {machine['cpu']}, {machine['precision']}; {libraries}",
    ]
    if (machine["load"] or 0) > machine["cores"] / 2:
        lines.append(
            f"The machine is busy (load {machine['load']:.1f} on {machine['cores']} cores): all figures come out too"
            " low, and PyTorch's lowest, as each of its operations waits for its slowest thread."
        )
    return lines


def report(figures: dict[str, dict[str, float]], machine: dict, circumstances: dict) -> None:
    """The table, the memory, and the line for programs."""
    memory, torch_too = peak_memory(), "torch" in machine
    print(f"{'':28}{'median':>10}{'lowest':>10}{'highest':>10}")
    for name, values in figures.items():
        title, digits = ROWS[name]
        print(f"{title:28}" + "".join(f"{value:10,.{digits}f}" for value in values.values()))
    if memory:
        print(f"{'peak memory, MB':28}{memory:10,.0f}" + (", PyTorch and its networks included" if torch_too else ""))
    memories = {"peak_memory_mb": memory, "peak_memory_includes_torch": torch_too}
    print(json.dumps({**figures, **memories, "machine": machine, **circumstances}))


def benchmark(flags: argparse.Namespace, config: configuration.Config) -> None:
    """Builds what train.py would, measures it, and prints the figures."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if flags.against and importlib.util.find_spec("torch") is None:
        raise UsageError("--against torch needs PyTorch: pip install torch")

    from gan import devices

    device, precision = devices.setup_devices(config.precision)
    if flags.against:
        require_comparable(device, precision)

    import data

    config = dataclasses.replace(config, precision=precision)
    faces = experiment.load_data(config)
    game = experiment.build_gan(config)
    batches = iter(data.batches(faces.images, config.images_per_iteration, seed=config.seed, flip=config.flip))
    contenders = {"step": (game.train_step, next(batches))}
    machine = describe_machine(device, precision, load)
    if flags.against:
        add_torch(contenders, machine, game, config)
    print(*header(config, game, machine), sep="\n")
    if flags.dry_run:
        return
    # A penalty comes only now and then: whole turns of it, so that every round has its share.
    every = config.penalty_every if game.penalty_weight else 1
    steps = -(-flags.steps // every) * every
    figures = measure(contenders, batches, steps=steps, rounds=flags.rounds)
    report(figures, machine, {"rounds": flags.rounds, "steps": steps, "config": dataclasses.asdict(config)})


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, and turns errors into one message and an exit code."""
    cli.allow_undecodable_names()
    flags, config = parse(argv)
    try:
        benchmark(flags, config)
    except (UsageError, RunError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("benchmark: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
