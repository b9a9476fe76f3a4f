"""Scaling on paper: what a step computes and sends, and how long that takes on several GPUs of a given speed.

    python -m benchmarks.scaling --recipe default --image-size 64 --batch-size 64 --replicas 1 8 64
    python -m benchmarks.scaling --recipe default --image-size 128 --batch-size 512 --flops 100e12 --link 25e9

Operations are counted by TensorFlow in the graphs of the step itself, penalty included. The rest is arithmetic: a ring
sends 2 (n - 1) / n of all gradients from each replica, and the sums of batch norm wait for each other, so each costs a
latency. Nothing here is measured on a GPU.
"""

import argparse
import dataclasses
import sys
from typing import NamedTuple

from gan import experiment
from gan.cli import in_range, parse_arguments, run_command

IMAGES = 5_000_000  # of a training, whose time is printed


class Step(NamedTuple):
    """What one iteration takes.

    Arguments:
        operations: floating-point operations an image, a multiplication and an addition being two.
        gradients: bytes of all gradients.
        sums: sums over replicas that wait for each other.
    """

    operations: float
    gradients: int
    sums: int


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__.split("\n\n")[0],
        epilog="All other flags are those of train.py.",
    )  # fmt: skip
    parser.add_argument("--replicas", nargs="+", type=in_range(int, 1), default=[1, 8, 64], metavar="N")
    parser.add_argument(
        "--flops", type=in_range(float, 1), default=15e12, metavar="X",
        help="operations a second that a GPU reaches (default: 15e12, a fifth of what an A100 has in TF32)",
    )  # fmt: skip
    parser.add_argument("--link", type=in_range(float, 1), default=25e9, help="bytes a second (default: 25e9)")
    parser.add_argument("--latency", type=in_range(float, 0), default=50e-6, help="seconds of one sum (default: 5e-5)")
    arguments, flags = parser.parse_known_args(argv)
    return run_command("scaling", lambda: print(*table(arguments, flags), sep="\n"))


def table(arguments: argparse.Namespace, flags: list[str]) -> list[str]:
    """The lines of the table, one for each number of replicas."""
    config, _ = parse_arguments(flags)
    step = count(config)
    lines = [
        f"{config.image_size} x {config.image_size}: {step.operations / 1e9:.2f} GFLOP an image,"
        f" {step.gradients / 1e6:.1f} MB of gradients, {step.sums} sums over replicas a step",
        "| replicas | batch | computing, ms | sending, ms | images/s | efficiency | 5 million images | GPU hours |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for replicas in arguments.replicas:
        compute, send = seconds(step, config.batch_size, replicas, arguments)
        rate = config.batch_size / (compute + send)
        efficiency = compute / (compute + send)
        lines.append(
            f"| {replicas} | {config.batch_size} | {1000 * compute:.2f} | {1000 * send:.2f} | {rate:,.0f}"
            f" | {efficiency:.0%} | {IMAGES / rate / 60:,.1f} min | {replicas * IMAGES / rate / 3600:.2f} |"
        )
    return lines


def seconds(step: Step, batch: int, replicas: int, arguments: argparse.Namespace) -> tuple[float, float]:
    """The seconds in which an iteration is computed, and in which gradients and statistics are sent."""
    compute = step.operations * batch / replicas / arguments.flops
    if replicas == 1:
        return compute, 0.0
    return compute, 2 * (replicas - 1) / replicas * step.gradients / arguments.link + step.sums * arguments.latency


def count(config) -> Step:
    """Counts what a step of a configuration computes, by TensorFlow's profiler, and sends."""
    from gan.devices import setup_devices

    config = dataclasses.replace(config, precision=setup_devices("float32")[1])
    import keras

    gan = experiment.build_gan(config)
    weights = [*gan.generator.trainable_variables, *gan.d_variables]
    norms = [sum(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
             for network in (gan.generator, gan.discriminator)]  # fmt: skip
    passes = (2, 2 * (2 * config.discriminator_steps + 1))  # forward and backward, of each network
    sums = sum(n * p for n, p in zip(norms, passes, strict=True)) + config.discriminator_steps + 2  # gradients, scalars
    gradients = 4 * sum(w.shape.num_elements() for w in weights)
    return Step(count_operations(gan, config), gradients, sums)


def count_operations(gan, config) -> float:
    """Counts the floating-point operations of a step by TensorFlow's profiler, divided by its images."""
    import tensorflow as tf

    shape = (config.images_per_iteration, config.image_size, config.image_size, 3)
    batch = tf.TensorSpec(shape), tf.TensorSpec((config.images_per_iteration, gan.labels.width if gan.labels else 0))
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    options = options.with_empty_output().build()
    steps = [gan.compiled_step.get_concrete_function(*batch, on).graph for on in (False, gan.penalty is not None)]
    level = tf.get_logger().level
    tf.get_logger().setLevel("ERROR")  # its profiler warns of a function of its own
    try:
        plain, regularized = (tf.compat.v1.profiler.profile(graph, options=options).total_float_ops for graph in steps)
    finally:
        tf.get_logger().setLevel(level)
    return (plain + (regularized - plain) / config.penalty_every) / config.images_per_iteration


if __name__ == "__main__":
    sys.exit(main())
