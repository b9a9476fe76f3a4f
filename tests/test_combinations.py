"""Settings that exclude each other, or would change nothing."""

import contextlib
import re
import warnings

import pytest
import train_pairs

from gan.cli import parse_arguments
from gan.combinations import require_penalty, require_sound_penalty
from gan.config import Config
from gan.errors import UsageError
from gan.experiment import build_gan


class Passed(Exception):
    """All checks have passed; the networks get no weights."""


def check(config, _, discriminator):
    """The checks of a new run."""
    require_sound_penalty(config, discriminator)
    raise Passed


def build(settings):
    """Builds small networks as for a new run, up to the checks, after which nothing here can fail."""
    config = Config(**{**train_pairs.SMALL, **settings})
    with contextlib.suppress(Passed):
        build_gan(config, check=check)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "san", "loss": "least-squares"}, "for --loss: cross-entropy, hinge, wasserstein"),
        ({"head": "san", "loss": "relativistic"}, "or --head linear"),
        ({"minibatch_stddev": True, "batch_size": 10}, "--batch-size 12"),
    ],
)
def test_heads_and_groups_that_are_impossible(settings, message):
    """A loss whose logits have no direction, and a batch that has no groups of 4, are refused with what to type."""
    with pytest.raises(UsageError, match=message):
        build_gan(Config(**settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"penalty": "gradient", "penalty_method": "finite-difference"}, "--penalty-method exact"),
        ({"loss": "wasserstein", "penalty": "none"}, "--penalty gradient --penalty-weight 10"),
        ({"loss": "wasserstein", "penalty_weight": 0.0}, "--penalty gradient --penalty-weight 10"),
        ({"penalty": "none", "penalty_batch": 0.5}, "--penalty-batch 0.5 changes nothing: there is no penalty"),
        ({"penalty_weight": 0.0, "penalty_schedule": "linear"}, "--penalty-schedule linear changes nothing"),
        ({"final_penalty_weight": 0.1}, "Add --penalty-schedule linear"),
        ({"final_beta2": 0.9}, "Add --beta-schedule linear"),
        ({"penalty_weight": 0.0, "penalty_method": "finite-difference"}, "--penalty-method finite-difference changes"),
        ({"discriminator_noise_schedule": "cosine"}, "Add --discriminator-noise 0.1"),
        ({"penalty_method": "finite-difference", "discriminator": "upsample"}, "dropout"),
        ({"penalty_method": "finite-difference", "discriminator": "conv"}, "without batch norm"),
        ({"penalty_method": "finite-difference", "minibatch_stddev": True}, "without --minibatch-stddev"),
        ({"minibatch_stddev": True, "batch_size": 8, "penalty_batch": 0.25}, "of --batch-size 8 are 2 images"),
        ({"penalty_method": "finite-difference", "discriminator_normalization": "spectral"}, "without spectral norm"),
    ],
)
def test_impossible_or_unused_penalties(settings, words):
    """What cannot be estimated, has no least value, or would change nothing, is refused with what to type."""
    with pytest.raises(UsageError, match=words):
        build(settings)


@pytest.mark.parametrize("more", [{"discriminator": "conv"}, {"minibatch_stddev": True}])
def test_penalties_of_older_runs(more):
    """Estimates of logits that depend on other images are refused in new runs, and go on in older ones."""
    build_gan(Config(**{**train_pairs.SMALL, "ema_half_life": 0.0, "penalty_method": "finite-difference", **more}))


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("--recipe udacity-64 --penalty-weight 10", "--penalty-weight 10.0"),
        ("--penalty none --penalty-every 1", "--penalty-every 1"),
        ("--penalty none --recipe avatars", ""),
        ("--penalty none --penalty-weight 0", ""),
        ("--penalty-weight 10 --penalty-every 1", ""),
        ("--penalty-weight 0", ""),
        ("--penalty r1+r2 --penalty-weight 0", "--penalty r1.r2"),
        ("--penalty-weight 0 --penalty-every 4", "--penalty-every 4"),
    ],
)
def test_settings_of_a_penalty_that_there_is_not(line, flag):
    """Its kind, weight and interval are refused, unless they are those of the recipe, or 0."""
    config = parse_arguments(line.split())[0]
    with pytest.raises(UsageError, match=f"{flag} changes nothing") if flag else contextlib.nullcontext():
        require_penalty(config)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"penalty": "gradient", "discriminator": "conv"}, ["-normalization layer"]),
        ({"penalty": "gradient"}, []),
        ({"discriminator": "conv"}, ["-normalization layer, or --penalty none"]),
        ({"discriminator": "conv", "penalty": "none"}, []),
        ({"loss": "relativistic"}, ["--penalty r1.r2"]),
        ({"loss": "relativistic", "penalty": "r1+r2"}, []),
        ({"loss": "relativistic", "penalty": "gradient", "discriminator": "conv"}, ["layer", "--penalty r1.r2"]),
    ],
)
def test_doubtful_penalties(settings, words):
    """A penalty of logits that depend on the whole batch, and a loss without the penalties that it needs, warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(settings)
    assert len(caught) == len(words)
    assert all(re.search(word, str(warning.message)) for word, warning in zip(words, caught, strict=True))
