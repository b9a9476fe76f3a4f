"""The DCGAN train step: discriminator update, generator update, moving average of the generator (EMA).

    gan = DCGAN(generator, discriminator, noise=NOISE_DISTRIBUTIONS["normal"], loss=LOSSES["cross-entropy"], ...)
    scalars = gan.train_step((images, labels))  # {"d_loss": ..., "g_loss": ..., "real_score": ..., ...}
    samples = gan.generate_images(gan.fixed_noise(64))

Goodfellow et al., arXiv:1406.2661, algorithm 1; Radford et al., arXiv:1511.06434. Networks, loss, penalty,
augmentation and optimizers are arguments; nothing is looked up here by name.
"""

import contextlib
import enum
import math
from collections.abc import Sequence
from typing import NamedTuple

import gan  # noqa: F401  (sets Keras's backend, which Keras reads when it is imported)

# isort: split
import keras
import tensorflow as tf

from gan.labels import Labels
from gan.replicas import count_replicas, draw_part, sum_over_replicas
from gan.training import acgd, ema
from gan.training.losses import classification_loss, direction_loss
from gan.training.regularizers import Penalty
from models.portable import uncast


def uniform(shape, seed):
    """Noise in [-1, 1)."""
    return tf.random.stateless_uniform(shape, seed, -1.0, 1.0)


# Seeds of augmentations are beyond those of noise: were the random bits the same, a generator could learn from its
# noise how a fake will be augmented, and undo it.
AUGMENT_SEEDS, LABEL_SEEDS = 2**32, 2**33
PENALTY_SEEDS, INSTANCE_NOISE_SEEDS = 2**36, 2**37

NOISE_DISTRIBUTIONS = {"normal": tf.random.stateless_normal, "uniform": uniform}


class Outputs(NamedTuple):
    """The outputs of a discriminator.

    Arguments:
        logits: (n, 1).
        direction: the logits (n, 1) by which a SAN head trains its direction.
        labels: the logits (n, k) of an auxiliary classifier of labels.
    """

    logits: tf.Tensor
    direction: tf.Tensor | None = None
    labels: tf.Tensor | None = None


class NoiseStream(enum.IntEnum):
    """Streams of noise apart from training's, whose stream is the number of the update, from 0."""

    GRID = -1  # the samples that a run shows
    VALIDATION = -2  # the samples that are scored during training
    EVALUATION = -3  # the samples of a finished run that are scored
    CALIBRATION = -4  # and below, one for each batch


def list_freezable_layers(discriminator: keras.Model) -> list:
    """The discriminator's layers with weights, in order, except those that only process labels."""
    labels = [id(tensor) for tensor in discriminator.inputs[1:]]
    return [
        layer for layer in discriminator.layers if layer.weights and not (labels and id(uncast(layer.input)) in labels)
    ]


def gradient_norm(gradients, optimizer):
    """The Euclidean norm of all gradients together, without the scale of a `LossScaleOptimizer`.

    0 where that optimizer skips the step, as a gradient has overflowed float16.
    """
    norm = tf.linalg.global_norm(gradients)
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return norm
    return tf.where(tf.math.is_finite(norm), norm / tf.cast(optimizer.dynamic_scale, norm.dtype), 0.0)


def divide_by_replicas(loss):
    """A replica's share of a loss that is a mean: gradients of shares, summed over replicas, are the whole loss's."""
    return loss / count_replicas() if count_replicas() > 1 else loss


def average_over_replicas(scalars: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Replaces scalars by their means over replicas, all in one sum."""
    if count_replicas() == 1:
        return scalars
    values = sum_over_replicas(tf.stack([tf.cast(value, tf.float32) for value in scalars.values()]))
    return dict(zip(scalars, tf.unstack(values / count_replicas()), strict=True))


def gather_rows(x, rows):
    """The given rows of a tensor, all where they are None; None where the tensor is."""
    return x if x is None or rows is None else tf.gather(x, rows)


class DCGAN:
    """A generator and a discriminator, their optimizers, and one step of training them against each other.

    Every random number is a function of (seed, iteration) or, for dropout, of a state that `state` has, so a stopped
    training continues exactly.

    Arguments:
        g_optimizer, d_optimizer: as from `gan.training.optimizers.build_optimizer`. With two
            `gan.training.acgd.SecondMoments`, both networks take their step at once, by the discriminator's
            loss. Then the generator's loss, penalty, discriminator_steps, reuse_fakes, auxiliary_weight and
            split_logits are not used.
        loss: a `gan.training.losses.Loss`.
        noise: a function (shape, seed) -> noise; one of `NOISE_DISTRIBUTIONS`.
        penalty: a `gan.training.regularizers.Penalty` that is added to the discriminator's loss, or None.
        augment: a function (images, seed, probability) -> images of all that the discriminator sees, or None.
        adaptation: a `gan.training.ada.Adaptation` of that probability; None: 1.
        discriminator_noise: a scalar variable, the standard deviation of noise added to all that the discriminator
            sees after augmentation; None: no noise. Instance noise, arXiv:1610.04490, section 2.2; arXiv:1701.04862.
        discriminator_steps: discriminator updates an iteration, each with real images of its own.
        reuse_fakes: whether the generator learns from the fakes of the last discriminator update, which saves
            generating others (a quarter of a step).
        ema_half_lives: half-lives of the generator's moving averages, in images. Of several averages, `selected` is the
            number of the one that generates all samples, `ema_generator`. Without an average, that is the generator.
        ema_ramp_up: whether half-lives are shorter at the start, when the first weights are to be forgotten.
        frozen_layers: how many of the discriminator's `list_freezable_layers`, the first ones, are not trained.
            FreezeD, arXiv:2002.10964.
        strategy: the `tf.distribute.Strategy` in whose scope networks, optimizers, adaptation and variables among the
            arguments were made; None: one device. Its replicas share the batch, and do together what one would.
        jit: whether XLA compiles the step, which it cannot for several replicas.
        labels: what images are labelled by, and how often, a `gan.labels.Labels`; None: by nothing. With labels, both
            networks take them as a second input.
        auxiliary_weight: weight of an auxiliary classifier's loss. The discriminator predicts labels as well: it learns
            from those of real images, the generator from those of fakes. AC-GAN, arXiv:1610.09585, except that
            the discriminator does not learn from the labels of fakes. 0, or no labels: none.
        split_logits: a function as `models.heads.split_logits` returns, by which the direction of the discriminator's
            last layer is trained by a loss of its own. SAN, arXiv:2301.12811. None: it is trained as all else is.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        g_optimizer,
        d_optimizer,
        loss,
        noise,
        penalty: Penalty | None = None,
        augment=None,
        adaptation=None,
        discriminator_noise=None,
        discriminator_steps: int = 1,
        reuse_fakes: bool = False,
        ema_half_lives: Sequence[float] = (),
        ema_ramp_up: bool = True,
        frozen_layers: int = 0,
        strategy: tf.distribute.Strategy | None = None,
        jit: bool = False,
        labels: Labels | None = None,
        auxiliary_weight: float = 0.0,
        split_logits=None,
        seed: int = 0,
    ):
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        self.loss, self.noise = loss, noise
        self.augment, self.adaptation, self.discriminator_noise = augment, adaptation, discriminator_noise
        self.penalty, self.discriminator_steps, self.reuse_fakes = penalty, discriminator_steps, reuse_fakes
        self.ema_ramp_up = ema_ramp_up
        self.labels, self.auxiliary_weight, self.seed = labels, auxiliary_weight if labels else 0.0, seed
        self.split_logits = split_logits
        self.strategy = strategy or tf.distribute.get_strategy()
        self.compiled_step = tf.function(self.step, autograph=False, jit_compile=jit or None)
        with self.strategy.scope():
            self.averages = {half_life: keras.models.clone_model(generator) for half_life in ema_half_lives}
        self.selected = 0
        self.calibrated_ema = generator
        if self.averages:
            self.calibrated_ema = keras.models.clone_model(generator)  # which one device generates all samples with
            for clone in (*self.averages.values(), self.calibrated_ema):
                clone.set_weights(generator.get_weights())  # a clone's own weights are fresh ones
        frozen = list_freezable_layers(discriminator)[:frozen_layers]
        self.frozen = {id(variable) for layer in frozen for variable in layer.trainable_variables}
        with self.strategy.scope():
            g_optimizer.build(generator.trainable_variables)
            d_optimizer.build(discriminator.trainable_variables)
        # On the CPU, Python reads it without waiting for a GPU; XLA needs all variables of a step on one device.
        with contextlib.nullcontext() if jit else tf.device("CPU"):
            self.iteration = tf.Variable(0, dtype=tf.int64, name="iteration")

    def train_step(self, batch) -> dict[str, tf.Tensor]:
        """Trains on one batch and returns scalars by name.

        Arguments:
            batch: images (discriminator_steps * n, h, w, c), float32 in [-1, 1], and labels, float32 (the same, k);
                with several replicas, the part of each (see `gan.training.distribution`).

        Returns:
            float32 scalars: d_loss and g_loss, the adversarial losses alone; real_score and fake_score (see
            `gan.training.losses.Loss.scores`), both of the last discriminator update; grad_norm_d and grad_norm_g; in
            iterations that have one, penalty (weighted); with an auxiliary classifier, label_loss, the discriminator's,
            not weighted; where the augmentation is adapted, augment_probability and real_sign; with ACGD, cg_steps.
        """
        # Decided in Python, so that each case is a graph of its own: a penalty within `tf.cond` meets a fault of
        # TensorFlow's graph optimizer from 64 x 64 on (ArithmeticOptimizer: "tmp_var already exists").
        penalize = self.penalty is not None and self.penalty.is_due(int(self.iteration))
        return self.compiled_step(*batch, penalize)

    def step(self, images, labels, penalize: bool):
        """One of the two graphs of `train_step`, with the penalty and without it."""
        scalars = self.strategy.run(self.replica_step, args=(images, labels, penalize))
        self.iteration.assign_add(1)
        return {name: self.strategy.experimental_local_results(value)[0] for name, value in scalars.items()}

    def replica_step(self, images, labels, penalize: bool):
        """The step of one replica, which differs from the others' only in its part of the batch."""
        if isinstance(self.g_optimizer, acgd.SecondMoments):
            scalars = acgd.train_step(self, images, labels)
            self.update_ema(tf.shape(images)[0])
            return scalars
        micro_batches = zip(
            tf.split(images, self.discriminator_steps), tf.split(labels, self.discriminator_steps), strict=True
        )
        for micro_step, (real, real_labels) in enumerate(micro_batches):
            fake, tape = self.generate(self.sample_noise(real, micro_step), real_labels)
            d_scalars = self.update_discriminator(real, fake, real_labels, penalize, micro_step)
        if not self.reuse_fakes:
            fake, tape = self.generate(self.sample_noise(real, self.discriminator_steps), real_labels)
        g_scalars = self.update_generator(real, fake, real_labels, tape)
        self.update_ema(tf.shape(images)[0] * count_replicas())
        return average_over_replicas({**d_scalars, **g_scalars})

    def generate(self, noise, labels=None):
        """Returns fakes G(z), and the tape that records how they depend on G's weights."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.g_weights)
            fake = self.generator(self.pair_with_labels(noise, labels), training=True)
        return fake, tape

    def update_discriminator(self, real, fake, labels=None, penalize: bool = False, micro_step: int = 0):
        """Minimizes L_D(D(x), D(G(z))), and what is added to it, in D's weights, and returns scalars.

        Added are the penalty, the weighted loss of labels, and SAN's loss of the direction.

        Real images and fakes are separate batches with batch statistics of their own: in one batch of both, the
        statistics alone would tell them apart.
        """
        extra = {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.d_weights)
            seen = self.augment_inputs(real, micro_step, fake=False), self.augment_inputs(fake, micro_step, fake=True)
            on_real, on_fake = (self.call_discriminator(images, labels, split=True) for images in seen)
            real_logits, fake_logits = on_real.logits, on_fake.logits
            total = loss = self.loss.discriminator(real_logits, fake_logits)
            if self.split_logits:
                total += direction_loss(self.loss.slope, on_real.direction, on_fake.direction)
            if self.auxiliary_weight:
                extra["label_loss"] = classification_loss(labels, on_real.labels, self.labels.widths)
                total += self.auxiliary_weight * extra["label_loss"]
            if penalize and self.penalty.is_estimated:
                value = self.estimate_penalty(real, fake, real_logits, fake_logits, labels, micro_step)
                extra["penalty"] = self.penalty.weight * value
                total += self.penalty.every * extra["penalty"]
            scaled = self.d_optimizer.scale_loss(divide_by_replicas(total))
        gradients = tape.gradient(scaled, self.d_weights)
        if penalize and not self.penalty.is_estimated:
            gradients, extra["penalty"] = self.add_penalty(gradients, real, fake, labels, micro_step)
        gradients = sum_over_replicas(gradients)
        norm = gradient_norm(gradients, self.d_optimizer)  # before `apply`, which may change the loss scale
        self.d_optimizer.apply(gradients, self.d_variables)
        real_scores, fake_scores = self.loss.scores(real_logits, fake_logits)
        real_score, fake_score = tf.reduce_mean(real_scores), tf.reduce_mean(fake_scores)
        scalars = {"d_loss": loss, "real_score": real_score, "fake_score": fake_score, "grad_norm_d": norm, **extra}
        if self.adaptation and micro_step == self.discriminator_steps - 1:
            scalars |= self.adaptation.update(real_scores)
        return scalars

    def update_generator(self, real, fake, labels, tape):
        """Minimizes L_G(D(x), D(G(z))) in G's weights, and returns scalars.

        The gradient flows back through D, as it is now, to the fakes, and along their `tape` to G's weights.
        """
        last = self.discriminator_steps  # the micro-step after the discriminator's
        real_logits = self.discriminate(real, labels, last) if self.loss.generator_uses_real else None
        with tf.GradientTape(watch_accessed_variables=False) as fake_tape:
            fake_tape.watch(fake)
            on_fake = self.call_discriminator(self.augment_inputs(fake, last, fake=True), labels)
            total = loss = self.loss.generator(real_logits, on_fake.logits)
            if self.auxiliary_weight:
                total += self.auxiliary_weight * classification_loss(labels, on_fake.labels, self.labels.widths)
            scaled = self.g_optimizer.scale_loss(divide_by_replicas(total))
        gradients = tape.gradient(fake, self.g_weights, output_gradients=fake_tape.gradient(scaled, fake))
        gradients = sum_over_replicas(gradients)
        norm = gradient_norm(gradients, self.g_optimizer)
        self.g_optimizer.apply(gradients, self.generator.trainable_variables)
        return {"g_loss": loss, "grad_norm_g": norm}

    def add_penalty(self, gradients, real, fake, labels=None, micro_step: int = 0):
        """Adds the penalty's gradient to D's, `penalty.every` times; returns the sum and the weighted penalty."""
        rows = self.penalty.choose_rows(tf.shape(real)[0])
        real, fake, labels = gather_rows(real, rows), gather_rows(fake, rows), gather_rows(labels, rows)

        def discriminate(images):
            # As in the loss: fakes by the seeds of fakes, real images and points between both by those of real images.
            seen = self.augment_inputs(images, micro_step, images is fake)
            return self.call_discriminator(seen, labels, split=True).logits

        options = {"seed": self.draw_seed(PENALTY_SEEDS, micro_step)} if self.penalty.is_random else {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.d_weights)
            value = self.penalty.regularizer(discriminate, real, fake, **options)
            penalty = self.penalty.weight * self.penalty.every * value
            scaled = self.d_optimizer.scale_loss(divide_by_replicas(penalty))
        of_penalty = tape.gradient(scaled, self.d_weights, unconnected_gradients="zero")
        return [a + b for a, b in zip(gradients, of_penalty, strict=True)], penalty / self.penalty.every

    def estimate_penalty(self, real, fake, real_logits, fake_logits, labels, micro_step: int):
        """The penalty of a `FiniteDifference`, of real images and fakes, whose logits are known; not weighted.

        What the discriminator sees of a changed image is augmented as the image itself was.
        """
        rows, total = self.penalty.choose_rows(tf.shape(real)[0]), 0.0
        difference = self.penalty.regularizer
        for at_fakes in difference.at_fakes:
            images, logits = (fake, fake_logits) if at_fakes else (real, real_logits)
            part = gather_rows(images, rows)
            change = difference.step * difference.direction(part, self.draw_seed(PENALTY_SEEDS, micro_step, at_fakes))
            if rows is not None:  # into the whole batch, so that each image is augmented as before
                change = tf.scatter_nd(rows[:, None], change, tf.shape(images, rows.dtype))
            near = gather_rows(self.augment_inputs(images + change, micro_step, at_fakes), rows)
            near_logits = self.call_discriminator(near, gather_rows(labels, rows), split=True).logits
            total += difference.estimate(gather_rows(logits, rows), near_logits)
        return total

    def update_ema(self, batch_size):
        """Moves each averaged generator towards the generator. Without an average nothing happens."""
        for half_life, average in self.averages.items():
            seen = tf.cast(batch_size, tf.int64) * (self.iteration + 1) if self.ema_ramp_up else math.inf
            ema.update_average(
                average, self.generator, half_life=half_life, batch_size=batch_size, images_seen=seen
            )  # fmt: skip

    def discriminate(self, images, labels=None, micro_step: int = 0, fake: bool = False):
        """Images (n, h, w, c) in [-1, 1] -> logits (n, 1), in training mode: dropout and batch statistics apply."""
        return self.call_discriminator(self.augment_inputs(images, micro_step, fake), labels).logits

    def augment_inputs(self, images, micro_step: int, fake: bool):
        """Returns what the discriminator sees of images: they are augmented, then noise is added.

        Each micro-step has random numbers of its own, and fakes have others than real images. The images of a penalty
        are prepared as in the loss, but by other random numbers where an exact penalty sees a part of the batch.
        """
        if self.augment:
            seed = self.draw_seed(AUGMENT_SEEDS, micro_step, fake)
            images = self.augment(images, seed, self.adaptation.probability if self.adaptation else 1.0)
        if self.discriminator_noise is not None:
            seed = self.draw_seed(INSTANCE_NOISE_SEEDS, micro_step, fake)
            shape = images.shape[1:]
            noise = draw_part(lambda n: tf.random.stateless_normal((n, *shape), seed), tf.shape(images)[0])
            images += self.discriminator_noise * noise
        return images

    def draw_seed(self, seeds: int, micro_step: int, fake: bool = False):
        """Returns the seed, int64 (2,), of random numbers for the real images, or the fakes, of a micro-step."""
        number = 2 * (self.iteration * (self.discriminator_steps + 1) + micro_step) + fake
        return tf.stack([tf.constant(self.seed + seeds, tf.int64), number])

    def call_discriminator(self, images, labels, split: bool = False) -> Outputs:
        """Calls the discriminator on images (n, h, w, c) from `augment_inputs`, in training mode.

        `split`: with `split_logits`, the direction has logits of its own, and the others are those of the function, so
        that their gradients, and a penalty on their slope, turn no direction.
        """
        inputs = self.pair_with_labels(images, labels) if len(self.discriminator.inputs) == 2 else images
        if split and self.split_logits:
            (logits, direction), label_logits = self.split_logits(inputs)
            return Outputs(logits, direction, label_logits)
        outputs = self.discriminator(inputs, training=True)
        return Outputs(outputs[0], labels=outputs[1]) if self.auxiliary_weight else Outputs(outputs)

    def pair_with_labels(self, x, labels):
        """What a network takes: x alone, or a list of x and its labels."""
        return x if self.labels is None else [x, labels]

    def sample_noise(self, real, micro_step: int):
        """The noise of one update, as many rows as `real`: a function of seed, iteration, micro-step and row."""
        number = self.iteration * (self.discriminator_steps + 1) + micro_step

        def draw(count):
            shape = tf.concat([[count], self.noise_shape], axis=0)
            return self.noise(shape, tf.stack([tf.constant(self.seed, tf.int64), number]))

        return tf.ensure_shape(draw_part(draw, tf.shape(real)[0]), (None, *self.noise_shape))

    def fixed_noise(self, count: int, stream: int = NoiseStream.GRID):
        """Noise (count, *noise_shape) that is the same at every iteration, different for each `NoiseStream`."""
        return self.noise((count, *self.noise_shape), (self.seed, int(stream)))

    def fixed_labels(self, count: int, stream: int, labels=None):
        """Labels (count, k) as the training images have them, drawn like `fixed_noise`; None without labels.

        `labels`, a `gan.labels.Labels`, has their shares in place of those in training.
        """
        if self.labels is None:
            return None
        fractions = tf.random.stateless_uniform((count,), (self.seed + LABEL_SEEDS, int(stream)), dtype=tf.float64)
        return tf.constant(self.labels.encode((labels or self.labels).draw(fractions.numpy())))

    def calibrate_ema(self, calibrate) -> None:
        """Copies `ema_generator` into `calibrated_ema`, and calls `calibrate(batch)`, which may change that.

        `batch(i)` is the i-th batch that the generator takes: noise (100, *noise_shape) of a stream of its own, or a
        list of that and labels (100, k). Without an average nothing happens.
        """
        if self.averages:
            self.calibrated_ema.set_weights(self.ema_generator.get_weights())

            def batch(i):
                stream = NoiseStream.CALIBRATION - i
                return self.pair_with_labels(self.fixed_noise(100, stream), self.fixed_labels(100, stream))

            calibrate(batch)

    @tf.function(autograph=False)
    def generate_images(self, inputs):
        """Noise -> images (n, h, w, c), float32 in [-1, 1], by the averaged generator as it was last calibrated.

        Without an average, by the generator.

        With labels, `inputs` is a list of noise and labels (n, k), as from `pair_with_labels`.
        """
        return self.calibrated_ema(inputs, training=False)

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that training needs to continue exactly, by name; dropout's random state included."""
        parts = {
            "generator": self.generator.variables,
            "discriminator": self.discriminator.variables,
            **{ema.name_average(i): average.variables for i, average in enumerate(self.averages.values())},
            "g_optimizer": self.g_optimizer.variables,
            "d_optimizer": self.d_optimizer.variables,
        }
        named = {f"{part}/{i:03d}": v for part, variables in parts.items() for i, v in enumerate(variables)}
        return {"iteration": self.iteration, **named, **(self.adaptation.state() if self.adaptation else {})}

    @property
    def ema_generator(self) -> keras.Model:
        """The selected average; without one, the generator."""
        return [*self.averages.values()][self.selected] if self.averages else self.generator

    @property
    def has_batch_norm(self) -> bool:
        """Whether the discriminator's logits depend on the whole batch, by batch norm."""
        return any(isinstance(layer, keras.layers.BatchNormalization) for layer in self.discriminator.layers)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of one row of noise: (128,), or (32, 32, 3)."""
        return tuple(self.generator.inputs[0].shape[1:])

    @property
    def d_variables(self):
        """The discriminator's weights that are trained, as the optimizer takes them."""
        return [weight for weight in self.discriminator.trainable_variables if id(weight) not in self.frozen]

    @property
    def d_weights(self):
        """The same, as tf.Variable."""
        return [weight.value for weight in self.d_variables]

    @property
    def g_weights(self):
        """The generator's trainable weights, as tf.Variable."""
        return [weight.value for weight in self.generator.trainable_variables]
