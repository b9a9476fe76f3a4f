"""Memory estimate: how much a training takes, before any weight is allocated, and whether that fits.

    require_memory(config, generator, discriminator)   # raises UsageError where it does not fit
    describe_memory(config, generator, discriminator)  # "about 1.0 GB of memory, 20.1 GB available"

The networks may have been built in `keras.StatelessScope`, where weights have no values yet. `python -m
benchmarks.memory` compares estimates with measured peaks.
"""

import dataclasses
import math
import os
import subprocess
import warnings

import keras
import tensorflow as tf

from gan.config import Config
from gan.devices import count_gpus
from gan.errors import UsageError
from gan.memory import available_memory

FLOAT = 4  # bytes
BASE = 850e6  # Python, TensorFlow, Keras and Matplotlib, their code included, and the networks that score
OPTIMIZER_SLOTS = 2  # variables for each weight; SGD has one
PENALTY_PASSES = {"none": 0, "r1+r2": 4}  # of the discriminator, forward and the gradient's own; 2 for any other
COMPETING = 3  # times all activations that acgd holds: with those of gradients, and of products with second derivatives
RETAINED = 0.75  # share of all activations that a step holds at once; measured, as TensorFlow frees and reuses some
AUGMENTED = 12  # copies of an image that augmentation takes: of color, moved and cut, of real images and fakes
BATCHES = 6  # batches of real images in memory at once
GENERATED = 100  # images that are generated at once to calibrate the EMA; grids and scores take 64
SCORED = 1000  # real images that are read at once for a score, and transposed


def count_weights(network: keras.Model) -> int:
    """Counts the bytes of a network's weights."""
    return FLOAT * sum(math.prod(weight.shape) for weight in network.weights)


def count_activations(network: keras.Model) -> tuple[int, int]:
    """Counts the bytes that one image takes in the outputs of all layers, and in the largest output."""
    views = (keras.layers.InputLayer, keras.layers.Reshape, keras.layers.Flatten)  # which copy nothing
    layers = [layer for layer in network.layers if not isinstance(layer, views)]
    sizes = [math.prod(layer.output.shape[1:]) * tf.as_dtype(layer.compute_dtype).size for layer in layers]
    return sum(sizes), max(sizes)


def estimate_memory(config: Config, generator: keras.Model, discriminator: keras.Model, gpu: bool = False) -> int:
    """Estimates the most memory, in bytes, that a training takes at any time, of the machine or of its GPU.

    What a step frees is not used again by NumPy, for a checkpoint's copies and scores, so these are added.
    """
    g, d = count_weights(generator), count_weights(discriminator)
    variables = (g + d) * (1 + OPTIMIZER_SLOTS)
    variables += g * len(config.ema_half_lives)
    exported = g * (2 if config.ema_half_lives else 1)  # the calibrated average, and generator.keras
    gradients = 2 * (g + d)  # and kernels in the layouts that convolutions compute with
    (g_all, g_largest), (d_all, d_largest) = count_activations(generator), count_activations(discriminator)
    noise, pixels = (FLOAT * math.prod(network.inputs[0].shape[1:]) for network in (generator, discriminator))
    passes = 2 + (count_penalty_passes(config) if config.penalized else 0)
    kept = (COMPETING if config.optimizer == "acgd" else 1) * (g_all + passes * d_all)
    image = RETAINED * (kept + 2 * max(g_largest, d_largest)) + 2 * noise
    image += AUGMENTED * pixels if config.augment not in ("auto", "none") else 0
    data = BATCHES * config.discriminator_steps * pixels
    step = config.batch_size * (image + (pixels * config.discriminator_steps if gpu else data))
    needed = variables + exported + gradients + max(step, 2 * GENERATED * (noise + g_largest))
    return round(needed if gpu else BASE + needed + variables + g + 2 * SCORED * pixels)


def count_penalty_passes(config: Config) -> float:
    """Counts the passes of whole batches through the discriminator that a penalty adds; a difference takes half."""
    passes = PENALTY_PASSES.get(config.penalty, 2) * config.penalty_batch
    return passes / 2 if config.penalty_method == "finite-difference" else passes


def find_largest_batch(config: Config, generator: keras.Model, discriminator: keras.Model, most: int, gpu: bool) -> int:
    """Finds the largest batch size whose estimate is at most `most` bytes; 0 where there is none."""
    low, high = 0, config.batch_size
    while low < high:
        middle = (low + high + 1) // 2
        tried = dataclasses.replace(config, batch_size=middle)
        fits = estimate_memory(tried, generator, discriminator, gpu) <= most
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def share_batch(config: Config, parts: int) -> Config:
    """The configuration of one of several parts of a batch."""
    return dataclasses.replace(config, batch_size=math.ceil(config.batch_size / parts))


def require_memory(
    config: Config,
    generator: keras.Model,
    discriminator: keras.Model,
    processes: int = 1,
    replicas: int = 1,
    processes_here: int = 1,
) -> None:
    """Raises UsageError where a training does not fit, with the largest batch that does or what else to lower.

    Each of `processes` has a part of the batch in its machine's memory, of which `processes_here` share this one, and
    each of `replicas` in that of its GPU. Warns where it does not fit into the memory of a GPU.
    """
    memory = available_memory()
    share = None if memory is None else memory // processes_here
    for gpu, parts, available in ((False, processes, share), (True, replicas, available_gpu_memory())):
        part = share_batch(config, parts)
        needed = estimate_memory(part, generator, discriminator, gpu)
        if available is None or needed <= available:
            continue
        batch = parts * find_largest_batch(part, generator, discriminator, available, gpu)
        least = math.lcm(parts, replicas, 4 if config.minibatch_stddev else 1)  # of which batches are multiples
        batch -= batch % least
        advice = (
            f"The largest that fits is --batch-size {batch}."
            if batch
            else f"Not even --batch-size {least} fits: try a smaller --width, --discriminator-width, --noise-size or"
            " --image-size."
        )
        message = (
            f"training takes about {format_bytes(needed)} of {'GPU ' if gpu else ''}memory, and"
            f" {format_bytes(available)} are available. {advice}"
        )
        if not gpu:
            raise UsageError(message)
        warnings.warn(message, stacklevel=2)  # not refused: no estimate was compared with a GPU


def describe_memory(config: Config, generator: keras.Model, discriminator: keras.Model, processes: int = 1) -> str:
    """Says how much memory one of the processes of a training takes and, where that is known, how much there is."""
    available = available_memory()
    there = "" if available is None else f", {format_bytes(available)} available"
    needed = estimate_memory(share_batch(config, processes), generator, discriminator)
    return f"about {format_bytes(needed)} of memory{there}"


def format_bytes(count: float) -> str:
    """Formats a number of bytes in GB of 10^9."""
    return f"{count / 1e9:,.{1 if count < 100e9 else 0}f} GB"


def available_gpu_memory(of=max) -> int | None:
    """How many bytes the GPU that TensorFlow uses has left; None where there is none, or only it knows.

    Of several GPUs it may be any: `of` says whether the one with the most counts, or (`min`) that with the least.
    """
    if not count_gpus():
        return None
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        command.append(f"--id={visible}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return of(map(int, done.stdout.split())) * 2**20
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
