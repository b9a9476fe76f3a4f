"""What can go wrong with a game, in plain words, and what to do about it.

ailments = examine(values, saturated, score)  # ailment -> what is seen, and what to try
"""

import numpy as np

WINDOW = 500  # iterations that an opinion about losses rests on
WINNING = 0.9  # D(x) - D(G(z)), in the mean over the window
STUCK = 1e-4  # both losses' deviation over the window
COLLAPSED = 0.5  # of the real faces' diversity
SATURATED = 0.25  # more of the pixels black or white than in the real faces


def diagnose(
    values: np.ndarray,
    saturated: float = 0.0,
    score: dict | None = None,
    *,
    smoothing: float = 0.0,
    penalised: bool = False,
) -> dict[str, str]:
    """The ailments of a game, by name, each with its sign and its cure.

    `values` (n, 4) are the losses of D and G, D(x) and D(G(z)) of the last iterations, and tell nothing while there
    are fewer than `WINDOW`. `saturated` is the share of the samples' colour values at an end of the range, less the
    real faces' share. `score` is the last one, with `diversity` (relative to the real faces), `copying` and `copied`.
    With label `smoothing` the best that D can say of real faces is 1 less that. Where D is `penalised` already, that
    is no cure.
    """
    found, penalty = {}, "" if penalised else "--penalty r1, "
    if len(values) >= WINDOW:
        d_loss, g_loss, d_real, d_fake = values[-WINDOW:].T
        if d_real.mean() - d_fake.mean() > WINNING * (1 - smoothing):
            found["discriminator winning"] = (
                f"D(x) {d_real.mean():.2f} and D(G(z)) {d_fake.mean():.2f} over {WINDOW} iterations: the generator can"
                f" learn little from it. Try {penalty or 'a larger --penalty-weight, '}or a smaller"
                " --discriminator-learning-rate"
            )
        if max(d_loss.std(), g_loss.std()) < STUCK:
            found["losses stuck"] = (
                f"both losses have stood still for {WINDOW} iterations: a network has died. Try smaller learning rates,"
                " or another --seed"
            )
    if saturated > SATURATED:
        found["saturation"] = (
            f"{100 * saturated:.0f}% more of the samples' colours than of the real faces' are at an end of their range."
            " Try a smaller --generator-learning-rate"
        )
    if score and score["diversity"] < COLLAPSED:
        found["collapse"] = (
            f"samples differ from one another {100 * score['diversity']:.0f}% as much as real faces do. Try"
            f" {penalty}a larger --batch-size, or another --seed"
        )
    if score and score["copying"]:
        found["copying"] = (
            f"{100 * score['copied']:.0f}% of the samples are closer to a training face than nearly all unseen faces."
            " Stop earlier (--patience), use more faces, or a smaller --width"
        )
    return found


def suggest_after_nan(precision: str) -> str:
    """What to do where a loss or a weight is no number any more."""
    other = "" if precision == "float32" else ", --precision float32"
    return f"Try a smaller learning rate{other} or another --seed, under another --run"


def saturated_share(images: np.ndarray) -> float:
    """The share of the colour values of uint8 images that are black or white: 0, 1, 254 or 255."""
    return float(np.mean((images < 2) | (images > 253)))
