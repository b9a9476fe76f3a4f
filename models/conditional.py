"""Labels in networks: builds generators and discriminators of a chain of layers, which may take labels as well.

    generator = build_generator((100,), [], layers, labels=4)          # inputs: noise (n, 100) and labels (n, 4)
    discriminator = build_discriminator((32, 32, 3), layers, labels=4)

Without labels, a chain is a `keras.Sequential`. With them it stays a chain: a generator's first layer takes an
embedding beside the noise, a discriminator's takes it as more channels of the image. arXiv:1411.1784, section 3.2.
"""

import keras
from keras import layers

from models.layers import flatten_noise, normal

EMBEDDING = 32  # the largest size of the embedding of labels; more classes than that share its dimensions


def build_inputs(shape, labels: int, name: str) -> tuple:
    """The inputs of a network: of a shape, and of labels (n, labels). Without labels, 0, the second is None."""
    if not labels:
        return keras.Input(shape), None
    return keras.Input(shape, name=name), keras.Input((labels,), name="labels")


def build_noise_inputs(noise_shape, labels: int) -> tuple:
    """The inputs of a generator, and a vector (n, size) of all that they have: noise, and labels that are embedded."""
    noise, given = build_inputs(noise_shape, labels, "noise")
    z = apply_layers(flatten_noise(noise_shape), noise)
    return ([noise, given], join_labels(z, given)) if labels else (noise, z)


def build_projected(images, given, features, logits, auxiliary: bool):
    """Builds a discriminator of images and labels `given`, which are projected on its features (n, d).

    Without labels, None, its logits (n, 1) stay as they are. `auxiliary`: it gives logits of labels as well.
    """
    if given is None:
        return keras.Model(images, logits, name="discriminator")
    logits = layers.Add(dtype="float32")([logits, project_labels(features, given)])
    outputs = [logits, classify(features, given.shape[-1])] if auxiliary else logits
    return keras.Model([images, given], outputs, name="discriminator")


def embed_labels(labels):
    """Embeds labels (n, k) linearly: (n, min(k, `EMBEDDING`)), as large as normal noise where one label is 1."""
    size = min(labels.shape[-1], EMBEDDING)
    return layers.Dense(size, kernel_initializer=keras.initializers.RandomNormal(0.0, 1.0), name="embedding")(labels)


def join_labels(x, labels):
    """Appends embedded labels (n, k) to vectors (n, d) or, as constant maps, to images (n, h, w, c)."""
    embedding = embed_labels(labels)
    if len(x.shape) == 4:
        embedding = layers.Reshape((1, 1, embedding.shape[-1]))(embedding)
        embedding = layers.UpSampling2D((x.shape[1], x.shape[2]))(embedding)
    return layers.Concatenate()([x, embedding])


def build_generator(noise_shape, first: list, chain: list, labels: int = 0):
    """Builds a generator: noise (n, *noise_shape), and labels (n, labels) unless that is 0 -> images (n, h, w, c).

    Arguments:
        first: layers that take the noise alone, where it has another shape than the next layer needs.
        chain: the layers after them.
    """
    if not labels:
        return keras.Sequential([keras.Input(noise_shape), *first, *chain], name="generator")
    noise, given = build_inputs(noise_shape, labels, "noise")
    x = join_labels(apply_layers(first, noise), given)
    return keras.Model([noise, given], apply_layers(chain, x), name="generator")


def build_discriminator(image_shape, chain: list, labels: int = 0, auxiliary: bool = False):
    """Builds a discriminator: images (n, h, w, c), and labels (n, labels) unless that is 0 -> logits (n, 1).

    Arguments:
        chain: its layers, of which the last gives the logits.
        auxiliary: whether it gives logits of labels (n, labels) as well, and takes none, which would give them away.
            arXiv:1610.09585.
    """
    if not labels:
        return keras.Sequential([keras.Input(image_shape), *chain], name="discriminator")
    images, given = build_inputs(image_shape, 0 if auxiliary else labels, "images")
    if auxiliary:
        features = apply_layers(chain[:-1], images)
        return keras.Model(images, [chain[-1](features), classify(features, labels)], name="discriminator")
    return keras.Model([images, given], apply_layers(chain, join_labels(images, given)), name="discriminator")


def apply_layers(chain, x):
    """Applies layers one after the other."""
    for layer in chain:
        x = layer(x)
    return x


def classify(features, labels: int):
    """Logits of labels (n, labels), in float32, from features (n, d)."""
    return layers.Dense(labels, kernel_initializer=normal(), dtype="float32", name="classes")(features)


def project_labels(features, labels):
    """The part of the logits (n, 1), in float32, that depends on labels (n, k): their embedding times the features.

    Projection, arXiv:1802.05637, equation 3.
    """
    embedding = layers.Dense(
        features.shape[-1], use_bias=False, kernel_initializer=normal(), dtype="float32", name="projection"
    )(labels)
    return layers.Dot(axes=1, dtype="float32")([features, embedding])
