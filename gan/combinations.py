"""Combinations of settings that exclude each other, or of which one would change nothing: they are refused.

require_possible(config, 1)
require_sound_penalty(config, discriminator)  # of a new run
"""

import dataclasses
import warnings

from gan.config import SAN_LOSSES, SMOOTHABLE_LOSSES, Config, format_flag
from gan.errors import UsageError
from gan.recipes import find_settings


def require_possible(config: Config, replicas: int) -> None:
    """Raises UsageError where settings exclude each other, change nothing, or do not go with so many replicas."""
    require_used(config)
    require_possible_loss(config)
    require_possible_head(config)
    require_groups(config)
    if config.freeze_discriminator and not config.start_from:
        raise UsageError("--freeze-discriminator needs --start-from: new layers know nothing that should stay.")
    estimated = config.penalty_method == "finite-difference"
    if estimated and config.penalty not in ("r1", "r2", "r1+r2"):
        raise UsageError(
            f"--penalty-method finite-difference estimates r1, r2 and r1+r2, not --penalty {config.penalty}: use one of"
            " those, or --penalty-method exact."
        )
    if config.optimizer == "acgd":
        require_possible_acgd(config, replicas)
    elif config.loss == "wasserstein" and not config.penalized:
        raise UsageError(
            "--loss wasserstein has no least value without a penalty on the slope of the discriminator: add --penalty"
            " gradient --penalty-weight 10 --penalty-every 1."
        )
    for flag in ("generator_optimizer", "discriminator_optimizer"):
        if config.beta_schedule != "constant" and (name := getattr(config, flag)) not in ("adam", "adamw"):
            raise UsageError(
                f"--beta-schedule {config.beta_schedule}: {format_flag(flag)} {name} has no second decay rate as"
                " adam and adamw have it. Leave it out, or use one of these."
            )
    count = count_penalized(config)
    if config.penalty_batch < 1 and count % replicas:
        raise UsageError(
            f"--penalty-batch {config.penalty_batch:g} of --batch-size {config.batch_size} are {count} images, which"
            f" {replicas} replicas cannot share equally: give a share that is a multiple of {replicas} images."
        )


def require_used(config: Config) -> None:
    """Raises UsageError where a setting of a penalty, of noise or of a schedule would change nothing."""
    penalty = "there is no penalty. Add --penalty r1 and a --penalty-weight"
    unused = {
        "penalty_method": (not config.penalized, penalty),
        "penalty_schedule": (not config.penalized, penalty),
        "penalty_batch": (not config.penalized, penalty),
        "final_penalty_weight": (
            config.penalty_schedule == "constant",
            "the weight of the penalty is constant. Add --penalty-schedule linear",
        ),
        "final_beta2": (config.beta_schedule == "constant", "the decay rates are constant. Add --beta-schedule linear"),
        "discriminator_noise_schedule": (
            not config.discriminator_noise,
            "no noise is added. Add --discriminator-noise 0.1",
        ),
    }
    for name, (is_unused, why) in unused.items():
        if is_unused and (value := getattr(config, name)) != getattr(Config, name):
            raise UsageError(f"{format_flag(name)} {value} changes nothing: {why}, or leave it out.")


def require_possible_loss(config: Config) -> None:
    """Raises UsageError where --label-smoothing does not go with the loss."""
    if config.label_smoothing and config.loss not in SMOOTHABLE_LOSSES:
        raise UsageError(
            f"--label-smoothing {config.label_smoothing:g}: --loss {config.loss} has no targets to smooth;"
            f" {' and '.join(SMOOTHABLE_LOSSES)} have. Leave it out, or use one of those."
        )


def require_layers_to_train(config: Config, layers: int) -> None:
    """Raises UsageError where --freeze-discriminator leaves no layer of the discriminator's to train."""
    if config.freeze_discriminator >= layers:
        raise UsageError(
            f"--freeze-discriminator {config.freeze_discriminator}: the discriminator has {layers} layers with"
            f" weights, of which at least one is to be trained: give at most {layers - 1}."
        )


def require_possible_head(config: Config) -> None:
    """Raises UsageError where --head does not go with the loss."""
    if config.head == "san" and config.loss not in SAN_LOSSES:
        raise UsageError(
            f"--head san needs a generator's loss that falls with the logit of each fake, which --loss {config.loss} is"
            f" not. Use one of these for --loss: {', '.join(SAN_LOSSES)}; or --head linear."
        )


def require_groups(config: Config) -> None:
    """Raises UsageError where --minibatch-stddev cannot divide a batch into groups of 4 images."""
    if config.minibatch_stddev and config.batch_size % 4:
        raise UsageError(
            f"--minibatch-stddev compares groups of 4 images: --batch-size {config.batch_size} is no multiple of 4."
            f" Use --batch-size {-(-config.batch_size // 4) * 4}."
        )


def require_penalty(config: Config) -> None:
    """Raises UsageError where a penalty, its weight or its interval is given, and there is no penalty.

    Called for new runs only, so that existing runs with such settings can still be resumed.
    """
    usual = {**dataclasses.asdict(Config()), **find_settings(config.recipe, config.image_size)}
    missing = "--penalty r1" if config.penalty == "none" else "a --penalty-weight"
    for name in ("penalty", "penalty_weight", "penalty_every"):
        if not config.penalized and (value := getattr(config, name)) not in (0, "none", usual[name]):
            raise UsageError(
                f"{format_flag(name)} {value} changes nothing: there is no penalty. Add {missing}, or leave it out."
            )


def require_possible_acgd(config: Config, replicas: int) -> None:
    """Raises UsageError where --optimizer acgd, which updates both networks at once, does not have a setting."""
    wanted = {
        "--penalty none": not config.penalized,
        "--head linear": config.head == "linear",
        "--precision float32": config.precision in ("auto", "float32"),  # auto becomes float32
        "--discriminator-steps 1": config.discriminator_steps == 1,
        "--auxiliary-weight 0": not config.auxiliary_weight,
        "--reuse-fakes": config.reuse_fakes,
        "--generator-optimizer adam": config.generator_optimizer == "adam",
        "--discriminator-optimizer adam": config.discriminator_optimizer == "adam",
        "--beta-schedule constant": config.beta_schedule == "constant",
        "--devices auto": replicas == 1,
        "--no-jit": not config.jit,
    }
    if missing := [flag for flag, is_met in wanted.items() if not is_met]:
        raise UsageError(f"--optimizer acgd updates both networks by one plain loss: add {', '.join(missing)}.")


def require_smooth(config: Config, discriminator) -> None:
    """Raises UsageError where logits differ at an image and near it for other reasons than the discriminator's slope.

    A dropout layer drops others in each pass, a spectral norm is estimated better in each, and what depends on other
    images differs where those are a part of the batch.
    """
    kinds = list_kinds(discriminator)
    for kind, name in (("Dropout", "dropout"), ("SpectralNormalization", "spectral norm")):
        if kind in kinds:
            raise UsageError(
                f"--penalty-method finite-difference: --discriminator {config.discriminator} has {name}, which differs"
                f" from pass to pass. Use --penalty-method exact, or a discriminator without {name}."
            )
    if config.penalty_batch < 1:
        require_separate(config, discriminator)


def require_separate(config: Config, discriminator) -> None:
    """Raises UsageError where a penalty is to be estimated of logits that depend on other images.

    Each image is changed in its own direction, so that the estimate lacks what an image does to the other logits.
    """
    grouped = {"BatchNormalization": "batch norm", "MinibatchStddev": "--minibatch-stddev"}
    kinds = list_kinds(discriminator)
    if name := next((name for kind, name in grouped.items() if kind in kinds), ""):
        raise UsageError(
            f"--penalty-method finite-difference: --discriminator {config.discriminator} has {name}, by which logits"
            f" depend on the other images. Use --penalty-method exact, or a discriminator without {name}."
        )


def require_sound_penalty(config: Config, discriminator) -> None:
    """Raises UsageError where a penalty would not be what it says, and warns where it is known not to work.

    Called for new runs only, so that existing runs with such settings can still be resumed.
    """
    require_penalty(config)
    if config.penalty_method == "finite-difference":
        require_separate(config, discriminator)
    count = count_penalized(config)
    if config.minibatch_stddev and config.penalized and count % 4:
        raise UsageError(
            f"--minibatch-stddev compares groups of 4 images: --penalty-batch {config.penalty_batch:g} of --batch-size"
            f" {config.batch_size} are {count} images. Give a share that is a multiple of 4 images."
        )
    if config.penalized and "BatchNormalization" in list_kinds(discriminator):  # arXiv:1704.00028, section 4
        warnings.warn(
            f"--penalty {config.penalty} is for discriminators that judge each image alone, which one with batch norm"
            " does not: add --discriminator-normalization layer, or --penalty none",
            stacklevel=2,
        )
    is_sound = config.penalized and config.penalty == "r1+r2"  # arXiv:2501.05441, section 2.2
    if config.loss == "relativistic" and not is_sound and config.optimizer != "acgd":
        warnings.warn("--loss relativistic is known to train stably only with --penalty r1+r2: add it", stacklevel=2)


def count_penalized(config: Config) -> int:
    """Counts the images of a batch that the penalty sees."""
    return max(1, round(config.penalty_batch * config.batch_size))


def list_kinds(network) -> set[str]:
    """Lists the kinds of a network's layers."""
    return {type(layer).__name__ for layer in network.layers}
