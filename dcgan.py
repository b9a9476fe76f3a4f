"""The game: one training step of two players, and the moving average of one of them.

    game = DCGAN(generator, discriminator, noise=NOISES["normal"], loss=LOSSES["cross-entropy"], ...)
    d_loss, g_loss, real_opinion, fake_opinion = game.train_step(real)
    faces = game.imagine(game.fixed_noise(64))

Goodfellow et al., arXiv:1406.2661, algorithm 1; Radford et al., arXiv:1511.06434. Networks, loss, penalty and
optimizers come as arguments; nothing is looked up here.
"""

import keras
import tensorflow as tf


def uniform(shape, seed):
    """Noise in [-1, 1)."""
    return tf.random.stateless_uniform(shape, seed, -1.0, 1.0)


NOISES = {"normal": tf.random.stateless_normal, "uniform": uniform}


class DCGAN:
    """Two networks, their optimizers, and how they are trained against each other.

    Every random number is a pure function of (seed, iteration), so that a stopped game goes on exactly.
    `ema_half_life` is in images; 0 means no average: `averaged` is then the generator itself. `reuse_fakes`: the
    generator learns from the fakes that the discriminator just saw, which saves drawing others (a quarter of a step).
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        g_optimizer,
        d_optimizer,
        loss,
        penalty,
        noise,
        penalty_weight: float = 0.0,
        penalty_every: int = 1,
        label_smoothing: float = 0.0,
        discriminator_steps: int = 1,
        reuse_fakes: bool = False,
        ema_half_life: float = 0.0,
        seed: int = 0,
    ):
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        self.loss, self.penalty, self.noise = loss, penalty, noise
        self.penalty_weight, self.penalty_every = penalty_weight, penalty_every
        self.label_smoothing = label_smoothing
        self.discriminator_steps, self.reuse_fakes = discriminator_steps, reuse_fakes
        self.ema_half_life = ema_half_life
        self.seed = seed
        self.averaged = self.shown = generator
        if ema_half_life:
            self.averaged, self.shown = keras.models.clone_model(generator), keras.models.clone_model(generator)
            for clone in (self.averaged, self.shown):
                clone.set_weights(generator.get_weights())  # a clone's own weights are fresh ones
        g_optimizer.build(generator.trainable_variables)
        d_optimizer.build(discriminator.trainable_variables)
        with tf.device("CPU"):  # so that Python can read it at no cost
            self.iteration = tf.Variable(0, dtype=tf.int64, name="iteration")

    def train_step(self, real):
        """Real faces (discriminator_steps * n, h, w, c) in [-1, 1] -> float32 (4,).

        The discriminator's loss without its penalty, the generator's loss, the discriminator's mean opinion of
        the real faces and of the fakes made for its update. Whether this step has a penalty is decided here, in
        Python: one graph for each case. A penalty within `tf.cond` meets a fault of TensorFlow's graph optimizer
        (ArithmeticOptimizer, "tmp_var already exists") from 64 x 64 on.
        """
        penalised = bool(self.penalty_weight) and int(self.iteration) % self.penalty_every == 0
        return self.compiled_step(real, penalised)

    @tf.function(autograph=False)
    def compiled_step(self, real, penalised: bool):
        """One of the two graphs of `train_step`."""
        for part, batch in enumerate(tf.split(real, self.discriminator_steps)):
            fake, trail = self.generate(self.draw(batch, part))
            d_loss, real_logits, fake_logits = self.update_discriminator(batch, fake, penalised)
        if not self.reuse_fakes:
            fake, trail = self.generate(self.draw(batch, self.discriminator_steps))
        g_loss = self.update_generator(fake, trail)
        self.update_average(tf.shape(real)[0])
        self.iteration.assign_add(1)
        opinion = self.loss.opinion
        return tf.stack([d_loss, g_loss, tf.reduce_mean(opinion(real_logits)), tf.reduce_mean(opinion(fake_logits))])

    def generate(self, noise):
        """Fakes G(z), and the tape that leads from them back to G's weights."""
        with tf.GradientTape(watch_accessed_variables=False) as trail:
            trail.watch(self.g_weights)
            fake = self.generator(noise, training=True)
        return fake, trail

    def update_discriminator(self, real, fake, penalised: bool):
        """Descends L_D(D(x), D(G(z))) + penalty in D's weights; x and G(z) pass apart, each with its own
        batch statistics, as one batch of both would tell them apart by the statistics alone.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.d_weights)
            real_logits, fake_logits = self.judge(real), self.judge(fake)
            loss = self.loss.discriminator(real_logits, fake_logits, self.label_smoothing)
            scaled = self.d_optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.d_weights)
        if penalised:
            gradients = self.add_penalty(gradients, real, fake)
        self.d_optimizer.apply(gradients, self.discriminator.trainable_variables)
        return loss, real_logits, fake_logits

    def update_generator(self, fake, trail):
        """Descends L_G(D(G(z))) in G's weights: back through D, as it is now, to the fakes, then along their trail."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(fake)
            loss = self.loss.generator(self.judge(fake))
            scaled = self.g_optimizer.scale_loss(loss)
        gradients = trail.gradient(fake, self.g_weights, output_gradients=tape.gradient(scaled, fake))
        self.g_optimizer.apply(gradients, self.generator.trainable_variables)
        return loss

    def add_penalty(self, gradients, real, fake):
        """Adds the penalty's gradient, `penalty_every` times over.

        Lazy regularisation, arXiv:1912.04958, section 3.1: a penalty needs no update at every step.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.d_weights)
            penalty = self.penalty_weight * self.penalty_every * self.penalty(self.judge, real, fake)
            scaled = self.d_optimizer.scale_loss(penalty)
        extra = tape.gradient(scaled, self.d_weights, unconnected_gradients="zero")
        return [gradient + more for gradient, more in zip(gradients, extra, strict=True)]

    def update_average(self, batch_size):
        """Moves the average towards the generator, batch-norm statistics included.

        The half-life is the given one, and at most a twentieth of the images seen, so that a short run has an
        average that has forgotten its start. Ramp-up: arXiv:2006.06676, appendix.
        """
        if not self.ema_half_life:
            return
        size = tf.cast(batch_size, tf.float32)
        seen = size * tf.cast(self.iteration + 1, tf.float32)
        decay = 0.5 ** (size / tf.minimum(self.ema_half_life, seen / 20))
        for average, weight in zip(self.averaged.weights, self.generator.weights, strict=True):
            average.assign(decay * average + (1 - decay) * weight)

    def judge(self, images):
        """Images (n, h, w, c) in [-1, 1] -> logits (n, 1), with dropout and batch statistics at work."""
        return self.discriminator(images, training=True)

    def draw(self, real, part: int):
        """The noise of one update, as many rows as `real`: a pure function of seed, iteration and part."""
        number = self.iteration * (self.discriminator_steps + 1) + part
        shape = tf.concat([tf.shape(real)[:1], self.generator.input_shape[1:]], axis=0)
        noise = self.noise(shape, tf.stack([tf.constant(self.seed, tf.int64), number]))
        return tf.ensure_shape(noise, (None, *self.generator.input_shape[1:]))

    def fixed_noise(self, count: int, stream: int = -1):
        """The noise behind every picture of a run: (count, *noise shape), apart from all that trains.

        Other negative streams are other noise, as fixed.
        """
        return self.noise((count, *self.generator.input_shape[1:]), (self.seed, stream))

    def rest(self, settle) -> None:
        """Readies what `imagine` draws with: the average, as it is now, brought to rest by `settle(network, noise)`.

        `noise(i)` is the i-th batch of a noise of its own.
        """
        if self.ema_half_life:
            self.shown.set_weights(self.averaged.get_weights())
            settle(self.shown, lambda i: self.fixed_noise(100, stream=-4 - i))

    @tf.function(autograph=False)
    def imagine(self, noise):
        """Noise -> faces (n, h, w, c), float32 in [-1, 1], by the averaged generator, as it last came to rest."""
        return self.shown(noise, training=False)

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that a game needs to go on exactly, dropout's own random state included, by name."""
        parts = {
            "generator": self.generator.variables,
            "discriminator": self.discriminator.variables,
            "averaged": self.averaged.variables if self.ema_half_life else [],
            "g_optimizer": self.g_optimizer.variables,
            "d_optimizer": self.d_optimizer.variables,
        }
        named = {f"{part}/{i:03d}": v for part, variables in parts.items() for i, v in enumerate(variables)}
        return {"iteration": self.iteration, **named}

    @property
    def d_weights(self):
        return [weight.value for weight in self.discriminator.trainable_variables]

    @property
    def g_weights(self):
        return [weight.value for weight in self.generator.trainable_variables]
