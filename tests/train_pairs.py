"""A program: trains some pairs of networks for a few iterations in some replicas, and saves the state of each replica.

    python tests/train_pairs.py FOLDER DEVICES OPTIMIZER LEARNING_RATE PAIR...

FOLDER gets a file for each pair, of each process that TF_CONFIG names. The pair "everything" has every other setting
whose random numbers or sums depend on the batch and that goes with the others: dropout, two micro-batches, adaptive
augmentation, noise before the discriminator, two penalties of a part of the batch, groups of images, an auxiliary
classifier of labels, spectral norms, the head of SAN, and two averages. "conv" has batch norm with a penalty, and
"processes" has it with most of the other settings, without penalties. What schedules change is variables: in
"everything" its penalty's weight, and with Adam decay rates.

Activations are smooth, unlike those of training: where a unit is near the kink of a ReLU, the last digit of a sum would
decide its gradient, and sums of other replicas have another order.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from gan import devices, experiment
from gan.cluster import find_cluster
from gan.config import Config
from gan.labels import Attribute, Labels

SIDE = 16
SMALL = {"image_size": SIDE, "noise_size": 8, "width": 4, "batch_size": 32, "precision": "float32"}
ALL = {"penalty_every": 1, "penalty": "r1"}
PAIRS = {
    "self-modulated": {"generator": "self-modulated", "discriminator": "self-modulated", **ALL},
    "conv": {"generator": "conv", "discriminator": "conv", **ALL},
    "conv-2x2": {"generator": "conv-2x2", "discriminator": "conv", **ALL, "penalty": "none"},
    "upsample": {"generator": "upsample", "discriminator": "upsample", **ALL, "penalty": "none"},
    "dense": {"generator": "dense", "discriminator": "dense", **ALL},
    "conv-dense": {"generator": "conv-dense", "discriminator": "conv-dense", **ALL},
    "residual": {
        "generator": "residual", "discriminator": "residual", "minibatch_stddev": True, "head": "san", **ALL,
        "generator_normalization": "spectral", "discriminator_normalization": "spectral",
    },
    "residual-free": {
        "generator": "residual-free", "discriminator": "residual-free", "depth": 1, "upsampling": "transpose",
        "head": "san", "loss": "wasserstein", "penalty": "gradient", "penalty_every": 1,
    },
    "everything": {
        "generator": "conv", "discriminator": "conv", "dropout": 0.2, "discriminator_steps": 2, "reuse_fakes": False,
        "augment": "ada", "loss": "hinge", "penalty": "r1+r2", "penalty_every": 1, "noise": "image", "head": "san",
        "generator_normalization": "spectral", "discriminator_normalization": "spectral",
        "auxiliary_weight": 0.5, "minibatch_stddev": True, "discriminator_noise": 0.1, "penalty_batch": 0.5,
        "penalty_schedule": "linear", "ema_half_life": (20_000.0, 5.0),
    },
    "processes": {
        "generator": "conv", "discriminator": "conv", "dropout": 0.2, "discriminator_steps": 2, "reuse_fakes": False,
        "augment": "ada", "penalty": "none", "auxiliary_weight": 0.5, "minibatch_stddev": True,
        "discriminator_noise": 0.1, "ema_half_life": (20_000.0, 5.0),
    },
    "spectral": {
        "generator": "self-modulated", "discriminator": "conv", **ALL, "depth": 1, "upsampling": "pixel-shuffle",
        "generator_normalization": "spectral", "discriminator_normalization": "spectral",
    },
    "labelled": {
        "generator": "self-modulated", "discriminator": "self-modulated", "penalty_every": 1, "penalty": "r1+r2",
        "penalty_method": "finite-difference", "penalty_batch": 0.5, "loss": "relativistic",
    },
}  # fmt: skip
LABELLED = ("everything", "processes", "labelled", "residual")
ITERATIONS = 4


def main(folder: str, device: str, optimizer: str, rate: str, *names: str) -> None:
    devices.setup_devices("float32")
    cluster = find_cluster("auto")
    from gan.training.distribution import distribute

    distribution = distribute(device, cluster)
    for name in names:
        config = Config(
            generator_optimizer=optimizer, discriminator_optimizer=optimizer, generator_learning_rate=float(rate),
            discriminator_learning_rate=float(rate), beta_schedule="linear" if optimizer == "adam" else "constant",
            **SMALL, **PAIRS[name],
        )  # fmt: skip
        state = train(config, distribution, on_device=name in ("everything", "processes"), labelled=name in LABELLED)
        np.savez(Path(folder, f"{name}-{distribution.index}.npz"), **state)


def train(config: Config, distribution, on_device: bool, labelled: bool) -> dict[str, np.ndarray]:
    """Trains, and returns each variable as (replicas of this process, ...), the noise of each, and the scalars.

    The images are kept on each device, as on a GPU, or come from the input pipeline.
    """
    import keras
    import tensorflow as tf

    import data
    from gan.training.augmentation import AUGMENTATIONS
    from gan.training.device_batches import device_batches

    for layer in (keras.layers.ReLU, keras.layers.LeakyReLU):
        layer.call = lambda self, inputs: keras.activations.silu(inputs)
    faces = np.random.default_rng(0).integers(0, 256, (100, SIDE, SIDE, 3), np.uint8)
    labels = Labels((Attribute("class", ("a", "b", "c")),), (np.arange(100) % 3).astype(np.int32)[:, None])
    labels = labels if labelled else None
    gan = experiment.build_gan(config, strategy=distribution.strategy, labels=labels)
    for network in (gan.generator, gan.discriminator):
        for layer in network.layers:
            if getattr(layer, "activation", None) is keras.activations.relu:
                layer.activation = keras.activations.silu
    distribution.broadcast_state(gan.state())
    if gan.adaptation:
        gan.adaptation.speed.assign(0.1)
    flip, size = AUGMENTATIONS["flip"], config.images_per_iteration
    places = distribution.places(config.batch_size, config.discriminator_steps)
    if on_device:
        rows = np.arange(len(faces))
        batches = device_batches(
            faces, size, rows=rows, augmentation=flip, distribution=distribution, places=places, labels=labels
        )  # fmt: skip
    else:
        batches = distribution.distribute_batches(
            data.batches(faces, size, augment=flip.pipeline, places=places, labels=labels)
        )
    for _, batch in zip(range(ITERATIONS), batches, strict=False):
        scalars = gan.train_step(batch)
    results = distribution.strategy.experimental_local_results
    state = {}
    for name, variable in gan.state().items():
        if name != "iteration":  # which is no replica's
            value = variable.value if isinstance(variable, keras.Variable) else variable
            state[name] = np.stack([part.numpy() for part in results(value)])

    @tf.function
    def draw():
        part = tf.zeros((config.batch_size // distribution.replicas, 1))
        return distribution.strategy.run(lambda: gan.sample_noise(part, 0))

    noise = np.stack([part.numpy() for part in results(draw())])
    return {**state, "noise": noise, **{f"scalar/{name}": np.array(value) for name, value in scalars.items()}}


if __name__ == "__main__":
    main(*sys.argv[1:])
