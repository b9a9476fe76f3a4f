"""Diagnostics: recognizes failure modes of GAN training and advises what to change.

    failures = diagnose({"d_loss": [...], "g_loss": [...], "real_score": [...], "fake_score": [...]}, score=row)
    # {"mode collapse": "samples differ from one another 30% as much as real images do. Try ..."}

Thresholds hold for every loss, as scores are on one scale: 1 is what a perfect discriminator gives real images, 0 what
it gives fakes (see `gan.training.losses.Loss.scores`).
"""

from collections.abc import Mapping

import numpy as np

WINDOW = 500  # iterations that the means of losses and scores are taken over
WINNING = 0.9  # mean of real_score - fake_score over the window
STUCK = 1e-4  # standard deviation of both losses over the window
COLLAPSED = 0.5  # diversity, 1 being the real images'
SATURATED = 0.25  # share of black or white color values beyond that of the real images

NEW_RUN = "in a new run (--run NAME)"  # as a run keeps nearly all of its settings
SCALARS = ("d_loss", "g_loss", "real_score", "fake_score")


def diagnose(
    scalars: Mapping[str, np.ndarray],
    saturation: float = 0.0,
    score: dict | None = None,
    *,
    smoothing: float = 0.0,
    regularized: bool = False,
    critic: bool = False,
    acgd: bool = False,
    batch_norm: bool = False,
    penalty: str = "r1",
) -> dict[str, str]:
    """Returns the failure modes of a training by name, each with what is seen and what to try.

    Arguments:
        scalars: the values (n,) of `SCALARS` in the last iterations; fewer than `WINDOW` tell nothing.
        saturation: `saturated_share` of the samples minus that of the real images.
        score: the last score, with `diversity` (1: the real images'), `copying` (0 or 1) and `copied` (a share).
        smoothing: of the labels; the best score of real images is then 1 - smoothing.
        regularized: whether the discriminator has a penalty, which is then not advised.
        acgd: whether the optimizer is ACGD, which has no penalty.
        batch_norm: whether the discriminator has batch norm, which does not go with a penalty of single images.
        penalty: the one to advise.
        critic: whether the loss is Wasserstein's, which teaches the generator however far apart the scores are.
    """
    found, add_penalty = {}, ""
    if not (regularized or acgd):
        add_penalty = f"--penalty {penalty}{' with --discriminator-normalization layer' if batch_norm else ''}, "
    strengthen = "a larger --penalty-weight, " if regularized else add_penalty
    if all(len(scalars.get(name, ())) >= WINDOW for name in SCALARS):
        d_loss, g_loss, real_score, fake_score = (np.asarray(scalars[name])[-WINDOW:] for name in SCALARS)
        if not critic and real_score.mean() - fake_score.mean() > WINNING * (1 - smoothing):
            found["discriminator winning"] = (
                f"D(x) {real_score.mean():.2f} and D(G(z)) {fake_score.mean():.2f} over {WINDOW} iterations: the"
                f" generator can learn little from it. Try {strengthen}{'or ' if strengthen else ''}a smaller"
                f" --discriminator-learning-rate, {NEW_RUN}"
            )
        if max(d_loss.std(), g_loss.std()) < STUCK:
            found["losses stuck"] = (
                f"both losses have not changed for {WINDOW} iterations: a network has died. Try smaller learning"
                f" rates, or another --seed, {NEW_RUN}"
            )
    if saturation > SATURATED:
        found["saturation"] = (
            f"the share of color values that are black or white is {100 * saturation:.0f} percentage points above that"
            f" of real images. Try a smaller --generator-learning-rate, {NEW_RUN}"
        )
    if score and score["diversity"] < COLLAPSED:
        found["mode collapse"] = (
            f"samples differ from one another {100 * score['diversity']:.0f}% as much as real images do. Try"
            f" {add_penalty}a larger --batch-size, or another --seed, {NEW_RUN}"
        )
    if score and score["copying"]:
        found["copying"] = (
            f"{100 * score['copied']:.0f}% of the samples are closer to the training images, relative to held-out ones,"
            " than nearly all held-out images are. Stop earlier (--patience), or try more images or a smaller --width,"
            f" {NEW_RUN}"
        )
    return found


def suggest_after_nan(precision: str) -> str:
    """What to try when a loss or a weight is no longer finite."""
    other = "" if precision == "float32" else ", --precision float32"
    return f"Try a smaller learning rate{other} or another --seed, {NEW_RUN}"


def saturated_share(images: np.ndarray) -> float:
    """The share of the color values of uint8 images that are black or white: 0, 1, 254 or 255."""
    return float(np.mean((images < 2) | (images > 253)))
