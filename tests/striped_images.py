"""Images of 16 x 16 pixels whose attributes are plain to see, with the shares that a test asks for."""

import numpy as np

from gan.labels import Attribute

ATTRIBUTES = (Attribute("bright"), Attribute("stripe", ("none", "middle", "edges")))
# Settings of gan.metrics.attribute_classifier that suffice to learn them, in about two seconds.
QUICK = {"STEPS": 80, "WIDTHS": (8, 16, 32), "BATCH": 64, "LEARNING_RATE": 0.01}


def draw(count: int, bright: float, stripes: tuple[float, float, float], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws images uint8 (count, 16, 16, 3) and their codes int32 (count, 2), whose values have the given shares."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.random(count) < bright, rng.choice(3, count, p=stripes)], axis=1).astype(np.int32)
    pixels = rng.integers(0, 60, (count, 16, 16, 3))
    pixels[codes[:, 0] == 1, :8] += 120
    pixels[codes[:, 1] == 1, 8:, 5:11] += 150
    pixels[codes[:, 1] == 2, 8:, :3] += 150
    pixels[codes[:, 1] == 2, 8:, 13:] += 150
    return pixels.astype(np.uint8), codes
