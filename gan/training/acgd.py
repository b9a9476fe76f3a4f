"""ACGD: a step of generator and discriminator at once, each of which takes the step of the other into account.

    g_step, d_step, count = find_equilibrium(g_gradient, d_gradient, mixed_gd, mixed_dg, g_rate, d_rate)

Adaptive competitive gradient descent, arXiv:1910.05852, algorithm 1; competitive gradient descent, arXiv:1905.12103,
section 2. Both play one zero-sum game, f = -L_D, which the generator minimizes and the discriminator maximizes. The
step is the equilibrium of f to second order, of which only the mixed derivatives count, with rates by Adam's second
moments. Products with mixed derivatives are second derivatives; conjugate gradients need two for each of their
iterations, so that a step takes many times as long as one of Adam.
"""

import keras
import tensorflow as tf

# Of conjugate gradients: the most iterations, and the residual, as a share of the right-hand side's norm, to stop at.
# Where they stop early, the generator's step is not quite that of the equilibrium, and the discriminator replies to it.
ITERATIONS, TOLERANCE = 20, 1e-3


class SecondMoments(keras.optimizers.Optimizer):
    """The rates of ACGD for one network: learning_rate / (sqrt(v) + epsilon) for each weight.

    It changes no weights: it is an optimizer so that checkpoints and schedules find its variables and learning rate.
    v is the moving average of squared gradients, corrected for its start. arXiv:1910.05852, algorithm 1.
    """

    def __init__(self, learning_rate: float, beta: float, epsilon: float = 1e-5):
        super().__init__(learning_rate)
        self.beta, self.epsilon = beta, epsilon

    def build(self, variables):
        """Makes the moving averages."""
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_rates(self, gradients, variables):
        """Counts a step, moves the averages, and returns the rate of each weight, in the shapes of `variables`."""
        self.iterations.assign_add(1)
        correction = 1 - tf.pow(self.beta, tf.cast(self.iterations.value, tf.float32))
        rates = []
        for gradient, variable in zip(gradients, variables, strict=True):
            velocity = self._velocities[self._get_variable_index(variable)]
            velocity.assign(self.beta * velocity + (1 - self.beta) * gradient**2)
            rates.append(self.learning_rate / (tf.sqrt(velocity.value / correction) + self.epsilon))
        return rates


def train_step(gan, images, labels) -> dict[str, tf.Tensor]:
    """One step of a `dcgan.DCGAN` by ACGD, whose optimizers are `SecondMoments`; returns scalars.

    They are those of `DCGAN.train_step`, where g_loss is -d_loss, and cg_steps, the iterations of conjugate gradients.
    """
    noise = gan.sample_noise(images, 0)
    g_weights, d_weights = gan.g_weights, gan.d_weights
    # Both passes are recorded once: each product with second derivatives reuses them, and batch norm sees one batch.
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as outer:
        outer.watch(g_weights + d_weights)
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(g_weights + d_weights)
            fake = gan.generator(gan.pair_with_labels(noise, labels), training=True)
            real_logits = gan.discriminate(images, labels)
            fake_logits = gan.discriminate(fake, labels, fake=True)
            loss = gan.loss.discriminator(real_logits, fake_logits)
            value = -loss
        gradients = inner.gradient(value, g_weights + d_weights, unconnected_gradients="zero")
        g_gradients, d_gradients = gradients[: len(g_weights)], gradients[len(g_weights) :]

    def multiply(targets, sources, vector):
        """The derivative of `targets` times a vector, in `sources`."""
        parts = split(vector, targets)
        return flatten(outer.gradient(targets, sources, output_gradients=parts, unconnected_gradients="zero"))

    g_rates = gan.g_optimizer.update_rates(g_gradients, gan.generator.trainable_variables)
    d_rates = gan.d_optimizer.update_rates(d_gradients, gan.d_variables)
    g_step, d_step, count = find_equilibrium(
        flatten(g_gradients),
        flatten(d_gradients),
        lambda vector: multiply(d_gradients, g_weights, vector),
        lambda vector: multiply(g_gradients, d_weights, vector),
        flatten(g_rates),
        flatten(d_rates),
    )
    for weights, step in ((g_weights, g_step), (d_weights, d_step)):
        for weight, part in zip(weights, split(step, weights), strict=True):
            weight.assign_add(part)
    real_scores, fake_scores = gan.loss.scores(real_logits, fake_logits)
    adapted = gan.adaptation.update(real_scores) if gan.adaptation else {}
    return {
        "d_loss": loss,
        "g_loss": value,
        "real_score": tf.reduce_mean(real_scores),
        "fake_score": tf.reduce_mean(fake_scores),
        "grad_norm_d": tf.linalg.global_norm(d_gradients),
        "grad_norm_g": tf.linalg.global_norm(g_gradients),
        "cg_steps": tf.cast(count, tf.float32),
        **adapted,
    }


def find_equilibrium(g_gradient, d_gradient, mixed_gd, mixed_dg, g_rate, d_rate):
    """The steps of both players of min_x max_y f(x, y), and how many iterations they took.

    The discriminator's is the best reply to the generator's. arXiv:1910.05852, algorithm 1.

    Arguments:
        g_gradient, d_gradient: the gradients of f in x (m,) and y (n,).
        mixed_gd, mixed_dg: functions of vectors (n,) and (m,), their products with D^2_xy f and D^2_yx f.
        g_rate, d_rate: rates of each component, (m,) and (n,).
    """
    root = tf.sqrt(g_rate)

    def apply(vector):
        return vector + root * mixed_gd(d_rate * mixed_dg(root * vector))

    solution, count = conjugate_gradients(apply, root * (g_gradient + mixed_gd(d_rate * d_gradient)))
    g_step = -root * solution
    return g_step, d_rate * (d_gradient + mixed_dg(g_step)), count


def conjugate_gradients(apply, right):
    """The x of apply(x) = right, for a symmetric, positive definite linear function, and how many iterations."""
    goal = TOLERANCE**2 * tf.reduce_sum(right**2)

    def body(count, x, residual, direction, square):
        image = apply(direction)
        length = square / tf.reduce_sum(direction * image)
        residual -= length * image
        after = tf.reduce_sum(residual**2)
        return count + 1, x + length * direction, residual, residual + after / square * direction, after

    start = (tf.constant(0), tf.zeros_like(right), right, right, tf.reduce_sum(right**2))
    count, x, *_ = tf.while_loop(
        lambda count, x, residual, direction, square: square > goal, body, start, maximum_iterations=ITERATIONS
    )
    return x, count


def flatten(tensors):
    """All numbers of a list of tensors, (n,)."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def split(vector, tensors) -> list:
    """The reverse of `flatten`, in the shapes of `tensors`."""
    parts = tf.split(vector, [tensor.shape.num_elements() for tensor in tensors])
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
