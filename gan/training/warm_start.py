"""Warm start: a training that begins with the networks of another run, or with a generator alone.

    start = Start("output/RUN/checkpoints/000004000.npz", {"generator": [[kernel, bias], ...], ...}, {})
    print(*warm_start(gan, start), sep="\n")

`gan.start_from.load_start` reads what --start-from names.
"""

import difflib
from dataclasses import dataclass, field

import keras
import numpy as np

from gan.errors import UsageError

PARTS = {"generator": "g_optimizer", "discriminator": "d_optimizer"}


@dataclass(frozen=True)
class Start:
    """What a training starts with.

    Arguments:
        title: where it comes from.
        layers: "generator" and, where known, "discriminator" and "ema_generator": the weights of each layer that has
            some, in order.
        optimizers: "g_optimizer" and "d_optimizer", where they are of the same kind: their variables, in order.
    """

    title: str
    layers: dict[str, list[list[np.ndarray]]]
    optimizers: dict[str, list[np.ndarray]] = field(default_factory=dict)


def warm_start(gan, start: Start) -> list[str]:
    """Assigns to a `dcgan.DCGAN` the weights that fit, and returns lines that say which, and name those that do not.

    An optimizer's moments are taken with all weights of its network or not at all: Adam's first steps for new weights
    would be 30 times as large with the count of steps of the old ones. Learning rates stay as they are.

    Raises UsageError where no layer of the generator fits, or one does not that is to be frozen.
    """
    lines = [f"Starting from {start.title}:"]
    for part, optimizer in PARTS.items():
        layers, saved = layers_with_weights(getattr(gan, part)), start.layers.get(part, [])
        pairs = match_layers([shapes(layer.get_weights()) for layer in layers], [shapes(arrays) for arrays in saved])
        if part == "generator" and not pairs:
            raise UsageError(f"--start-from {start.title}: no layer of its generator has the shape of one here.")
        require_frozen_layers(gan, layers, pairs, start.title)
        assign_layers(layers, saved, pairs)
        text = f"  {part}: {len(pairs)} of {len(layers)} layers"
        if part == "generator" and gan.averages:
            averages = start.layers.get("ema_generator")
            text += ", averages" if averages else ""
            for average in gan.averages.values():
                assign_layers(layers_with_weights(average), averages or saved, pairs)
        whole = len(pairs) == len(layers)
        moments = whole and assign_optimizer(getattr(gan, optimizer), start.optimizers.get(optimizer, []))
        text += ", moments of its optimizer" if moments else "; its optimizer starts anew"
        lines.append(text + describe_missing(layers, pairs))
    return lines


def require_frozen_layers(gan, layers: list, pairs: list[tuple[int, int]], title: str) -> None:
    """Raises UsageError where a layer that is to be frozen has no pair, as its random weights would stay."""
    taken = {here for here, _ in pairs}
    for i, layer in enumerate(layers):
        if i not in taken and any(id(variable) in gan.frozen for variable in layer.trainable_variables):
            raise UsageError(
                f"--freeze-discriminator: {layer.name}, which it would freeze, has other shapes than in {title}. Leave"
                " it out, or give the --image-size and --width of that run."
            )


def layers_with_weights(network: keras.Model) -> list:
    """Returns the layers of a network that have weights, in order."""
    return [layer for layer in network.layers if layer.weights]


def shapes(arrays: list[np.ndarray]) -> tuple:
    """Returns the shapes of some arrays."""
    return tuple(array.shape for array in arrays)


def match_layers(ours: list[tuple], theirs: list[tuple]) -> list[tuple[int, int]]:
    """Pairs the layers of two networks, given the shapes of their weights: (number here, number there), in order.

    Where both networks have the same number of layers, layer i is paired with layer i if their shapes are equal.
    Otherwise, as with another image size, layers are grouped by the ranks of their weights, and in each group the
    longest common sequences of shapes are paired. Groups are needed as Keras orders layers by their distance from the
    output, which mixes kinds of layers in another way at another size.
    """
    if len(ours) == len(theirs):
        return [(i, i) for i, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one == other]
    pairs = []
    for kind in {tuple(map(len, each)) for each in ours}:
        here, there = ([i for i, each in enumerate(side) if tuple(map(len, each)) == kind] for side in (ours, theirs))
        matcher = difflib.SequenceMatcher(None, [ours[i] for i in here], [theirs[i] for i in there], autojunk=False)
        for block in matcher.get_matching_blocks():
            pairs += zip(here[block.a :], there[block.b :][: block.size], strict=False)
    return sorted(pairs)


def assign_layers(layers: list, saved: list[list[np.ndarray]], pairs: list[tuple[int, int]]) -> None:
    """Sets the weights of those layers that have a pair."""
    for here, there in pairs:
        layers[here].set_weights(saved[there])


def assign_optimizer(optimizer, saved: list[np.ndarray]) -> bool:
    """Sets an optimizer's variables but for its learning rate. Returns whether they fit; if not, none is set."""
    variables = optimizer.variables
    if shapes(saved) != tuple(tuple(variable.shape) for variable in variables):
        return False
    for variable, array in zip(variables, saved, strict=True):
        if variable.name != "learning_rate":
            variable.assign(array)
    return True


def describe_missing(layers: list, pairs: list[tuple[int, int]]) -> str:
    """Names the layers that were not taken, with the shapes of their kernels."""
    taken = {here for here, _ in pairs}
    names = [f"{layer.name} {layer.get_weights()[0].shape}" for i, layer in enumerate(layers) if i not in taken]
    return f"; not taken, as shapes differ: {', '.join(names)}" if names and pairs else ""
