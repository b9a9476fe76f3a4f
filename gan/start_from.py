"""Start: reads what --start-from names, another run or a generator.

start = load_start(config, run)
print(*warm_start(gan, start), sep="\n")
"""

import dataclasses
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gan.config import Config
from gan.errors import UsageError, summarize
from gan.files import expand_path
from gan.networks import build_uninitialized_networks


def load_start(config: Config, run):
    """What --start-from names, a `gan.training.warm_start.Start`; None where `find_start` returns None.

    Warns where a generator alone is named. Raises UsageError as `find_start`, and where no checkpoint is whole.
    """
    from gan.runs.run_directory import Run

    start = find_start(config, run)
    if isinstance(start, Path):
        return load_start_generator(start)
    return start and load_start_checkpoint(config, Run(expand_path(config.start_from)), start)


def find_start(config: Config, run) -> Path | Config | None:
    """What --start-from names: a .keras file, or a run, whose configuration is returned.

    None where nothing is named, or where the run has a checkpoint from which it goes on: what it started from may be
    gone by then. Raises UsageError where there is no such file or run, or it has another pair of networks.
    """
    from gan.runs import checkpoints
    from gan.runs.run_directory import Run

    if not config.start_from or checkpoints.list_paths(run.checkpoints):
        return None
    path = expand_path(config.start_from)
    try:
        if path.suffix == ".keras" and not path.is_dir():
            if not path.exists():
                raise UsageError("there is no such file.")
            return path
        saved = Run(path).load_config()
    except UsageError as error:
        raise UsageError(f"--start-from {config.start_from}: {error}") from error
    for name in ("generator", "discriminator"):
        if (there := getattr(saved, name)) != (here := getattr(config, name)):
            raise UsageError(
                f"--start-from {config.start_from}: its {name} is {there}, and here it is {here}. Add --{name} {there}."
            )
    return saved


def load_start_generator(path: Path):
    """A generator alone, in a .keras file, to start from. Warns that the discriminator starts anew.

    Raises UsageError where it cannot be loaded.
    """
    from gan.generation.generator import load_model
    from gan.training.warm_start import Start, layers_with_weights

    try:
        network = load_model(path)
    except UsageError as error:
        raise UsageError(f"--start-from {error}") from error
    warnings.warn(
        f"--start-from {path} is a generator alone: the discriminator starts anew. The folder of a run has both",
        stacklevel=2,
    )
    return Start(str(path), {"generator": [layer.get_weights() for layer in layers_with_weights(network)]})


def load_start_checkpoint(config: Config, other, saved: Config):
    """The newest whole checkpoint of another run, whose configuration is `saved`, to start from."""
    from gan.runs import checkpoints
    from gan.training.ema import name_average
    from gan.training.warm_start import Start, layers_with_weights

    def list_variables() -> tuple[dict, dict]:
        """The variables of its networks, by their names in a checkpoint, and the names of each layer's weights."""
        variables, layers = {}, {}
        labels = other.load_labels()
        width, in_float32 = labels.width if labels else 0, dataclasses.replace(saved, precision="float32")
        with build_uninitialized_networks(in_float32, width) as networks:
            for part, network in zip(("generator", "discriminator"), networks, strict=True):
                names = {id(variable): f"{part}/{i:03d}" for i, variable in enumerate(network.variables)}
                variables |= {names[id(variable)]: variable for variable in network.variables}
                layers[part] = [[names[id(w)] for w in layer.weights] for layer in layers_with_weights(network)]
        return variables, layers

    with ThreadPoolExecutor(1) as pool:  # in a thread, for which alone Keras notes that variables have no values yet
        try:
            variables, layers = pool.submit(list_variables).result()
        except (KeyError, ValueError) as error:  # a part of networks that another version has
            reason = f"it is of another version, and asks for {summarize(error)}, which this one does not have"
            raise UsageError(f"--start-from {config.start_from}: {reason}.") from None
    generator = {name: variable for name, variable in variables.items() if name.startswith("generator/")}
    for average in map(name_average, range(len(saved.ema_half_lives))):
        variables |= {name.replace("generator", average): variable for name, variable in generator.items()}
    path, arrays = checkpoints.load_newest(other.checkpoints, variables)
    if path is None:
        keras_file = next((f for name in ("best", "generator") if (f := other.folder / f"{name}.keras").exists()), None)
        advice = f" Its generator alone is left: --start-from {keras_file}" if keras_file else ""
        raise UsageError(f"--start-from {config.start_from}: it has no checkpoint that can be read.{advice}")
    by_number = sorted(arrays, key=lambda name: (len(name), name))  # which has three digits, or more
    optimizers = {
        part: [arrays[name] for name in by_number if name.startswith(f"{part}/")]
        for part, name in (("g_optimizer", "generator_optimizer"), ("d_optimizer", "discriminator_optimizer"))
        if getattr(saved, name) == getattr(config, name) and saved.optimizer == config.optimizer
    }
    if saved.ema_half_lives:
        average = name_average(int(arrays.get("shown_average", 0)))
        layers["ema_generator"] = [[name.replace("generator", average) for name in one] for one in layers["generator"]]
    taken = {part: [[arrays[name] for name in names] for names in parts] for part, parts in layers.items()}
    return Start(str(path), taken, optimizers)
