"""Networks by name: a generator and a discriminator a file, each a function that returns a Keras model.

    generator = GENERATORS["conv"](noise_shape=(100,), image_shape=(32, 32, 3), width=64)
    discriminator = DISCRIMINATORS["conv"](image_shape=(32, 32, 3), width=64)

Generators take noise, a vector (n, size) or an image (n, h, w, c), and give images (n, h, w, c) in [-1, 1].
Discriminators take such images and give logits (n, 1), high for real. Images are square, their side a multiple of 4.

To add a pair, write a file with both functions, their rows in `GENERATORS` and `DISCRIMINATORS`, and their name in both
tuples of gan/config.py.
"""

import gan  # noqa: F401  (sets Keras's backend, which Keras reads when it is imported)
from models import conv, conv_dense, dense, residual, self_modulated, upsample

GENERATORS = {
    "self-modulated": self_modulated.generator,
    "conv": conv.generator,
    "conv-2x2": conv.generator_from_2x2,
    "upsample": upsample.generator,
    "dense": dense.generator,
    "conv-dense": conv_dense.generator,
    "residual": residual.generator,
    "residual-free": residual.generator_without_norm,
}

DISCRIMINATORS = {
    "self-modulated": self_modulated.discriminator,
    "conv": conv.discriminator,
    "upsample": upsample.discriminator,
    "dense": dense.discriminator,
    "conv-dense": conv_dense.discriminator,
    "residual": residual.discriminator,
    "residual-free": residual.discriminator_without_norm,
}
