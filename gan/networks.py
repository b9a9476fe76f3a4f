"""Networks: builds the generator and the discriminator of a configuration.

with build_uninitialized_networks(config) as (generator, discriminator):
    initialize_weights()
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator

from gan.config import Config, format_flag
from gan.errors import UsageError
from gan.recipes import find_settings


@contextlib.contextmanager
def build_uninitialized_networks(config: Config, labels: int = 0) -> Iterator[tuple]:
    """Builds generator and discriminator whose weights have shapes and no values yet: none is too large for that.

    They take labels (n, labels), unless that is 0. Call `initialize_weights` within the block. If the block raises,
    Keras's session is cleared.
    """
    import keras

    from models import DISCRIMINATORS, GENERATORS

    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy(config.precision)
    image_shape = (config.image_size, config.image_size, 3)
    noise_shape = image_shape if config.noise == "image" else (config.noise_size,)
    try:
        with keras.StatelessScope(initialize_variables=False):
            # Networks of one's own need not know labels.
            extra = {"labels": labels} if labels else {}
            options = choose_options(config, "generator", GENERATORS)
            generator = GENERATORS[config.generator](noise_shape, image_shape, config.width, **extra, **options)
            extra |= {"auxiliary": True} if labels and config.auxiliary_weight else {}
            options, width = choose_options(config, "discriminator", DISCRIMINATORS), config.discriminator_width
            discriminator = DISCRIMINATORS[config.discriminator](
                image_shape, width or config.width, config.dropout, **extra, **options
            )
        yield generator, discriminator
    except BaseException:
        keras.utils.clear_session()  # else Keras would give them values when another scope ends
        raise


def initialize_weights() -> None:
    """Gives the weights of `build_uninitialized_networks` their initial values, which the seed fixes."""
    import keras

    with keras.StatelessScope():
        pass  # Keras initializes what has no value when a scope ends


def choose_options(config: Config, network: str, table: dict[str, Callable]) -> dict:
    """The settings of a "generator" or "discriminator" that are not its own, as arguments of its function in `table`.

    The depth of a recipe is left out where the network, such as one of your own, has no such argument. Raises
    UsageError for other settings that it has not.
    """
    settings = {"depth": "depth", f"{network}_normalization": "normalization"}
    of_generators = {"upsampling": "upsampling", "palette": "palette"}
    settings |= of_generators if network == "generator" else {"minibatch_stddev": "stddev"}
    takes = {name: inspect.signature(build).parameters for name, build in table.items()}
    chosen, options = getattr(config, network), {}
    for name, argument in settings.items():
        value = getattr(config, name)
        if value in (0, "own"):
            continue
        if argument not in takes[chosen]:
            if name == "depth" and value == find_settings(config.recipe, config.image_size).get(name):
                continue
            given = format_flag(name) + ("" if value is True else f" {value}")
            possible = ", ".join(each for each in table if argument in takes[each])
            raise UsageError(
                f"{given}: the {network} {chosen} has no such setting. Leave it out, or use another --{network}:"
                f" {possible}."
            )
        options[argument] = value
    return options
