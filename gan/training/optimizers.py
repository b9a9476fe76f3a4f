"""Optimizers: functions (learning_rate, betas) -> keras.optimizers.Optimizer.

    optimizer = build_optimizer("adam", 2e-4, (0.5, 0.999), scale_loss=False)

`Loop.set_scheduled` changes their rates by the schedule. To add one, write its function, a row of
`OPTIMIZERS`, and its name in gan/config.py.
"""

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam whose update is one kernel instead of ten. arXiv:1412.6980, the form before section 2.1.

    Keras 3 composes the update from separate operations, each a pass over all weights. Same state, same result
    up to rounding.
    """

    def update_step(self, gradient, variable, learning_rate):
        step = tf.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def adam(learning_rate: float, betas: tuple[float, float]):
    """Adam in one pass over memory. Epsilon is the paper's 1e-8, not Keras's 1e-7."""
    return FusedAdam(learning_rate, *betas, epsilon=1e-8)


def adamw(learning_rate: float, betas: tuple[float, float]):
    """Adam with decoupled weight decay of 0.004, Keras's default. arXiv:1711.05101."""
    return keras.optimizers.AdamW(learning_rate, beta_1=betas[0], beta_2=betas[1], epsilon=1e-8)


def rmsprop(learning_rate: float, betas: tuple[float, float]):
    """RMSprop with momentum betas[0], and betas[1] as the decay rate of squared gradients."""
    return keras.optimizers.RMSprop(learning_rate, rho=betas[1], momentum=betas[0])


def sgd(learning_rate: float, betas: tuple[float, float]):
    """Gradient descent with momentum betas[0]; betas[1] is not used."""
    return keras.optimizers.SGD(learning_rate, momentum=betas[0])


def unwrap_optimizer(optimizer):
    """The optimizer whose loss a `LossScaleOptimizer` scales, or itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def make_beta2_variable(optimizer, beta2: float) -> None:
    """Lets the second decay rate of Adam or AdamW be assigned during training; bias correction is by its present value.

    To be called in the scope of the strategy in which the optimizer was made. As in R3GAN, arXiv:2501.05441, appendix.
    """
    unwrap_optimizer(optimizer).beta_2 = tf.Variable(beta2, trainable=False, name="beta_2")


OPTIMIZERS = {"adam": adam, "adamw": adamw, "rmsprop": rmsprop, "sgd": sgd}


def build_optimizer(name: str, learning_rate: float, betas: tuple[float, float], *, scale_loss: bool = False):
    """One of `OPTIMIZERS`; with `scale_loss` it scales its loss dynamically, for float16's small range."""
    optimizer = OPTIMIZERS[name](learning_rate, betas)
    # `DCGAN` has summed the gradients over replicas. Keras would do so again, too late for their norm, and for a
    # `LossScaleOptimizer`, of which each replica would look for an overflow in its own gradients alone.
    optimizer._all_reduce_sum_gradients = lambda grads_and_vars: grads_and_vars
    return keras.optimizers.LossScaleOptimizer(optimizer) if scale_loss else optimizer
