"""The networks by name: GENERATORS[name](noise_shape, image_shape, width), DISCRIMINATORS[name](image_shape, width).

Every generator takes noise of both kinds, a vector (size,) or an image (h, w, c), at every image size that is a
multiple of 4, and gives faces in [-1, 1]; every discriminator gives one logit a face, high for real.
"""

from models import conv, conv_dense, dense, self_modulated, upsample

GENERATORS = {
    "self-modulated": self_modulated.generator,
    "conv": conv.generator,
    "conv-2x2": conv.generator_from_2x2,
    "upsample": upsample.generator,
    "dense": dense.generator,
    "conv-dense": conv_dense.generator,
}

DISCRIMINATORS = {
    "self-modulated": self_modulated.discriminator,
    "conv": conv.discriminator,
    "upsample": upsample.discriminator,
    "dense": dense.discriminator,
    "conv-dense": conv_dense.discriminator,
}
