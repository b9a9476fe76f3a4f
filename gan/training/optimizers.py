"""Adam in one pass over memory: Keras's optimizer, TensorFlow's fused kernel."""

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
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


def adam(learning_rate: float, beta_1: float, beta_2: float, *, scaled: bool = False):
    """Adam, its loss scaled for float16's small range if so asked. Epsilon is the paper's 1e-8, not Keras's 1e-7."""
    optimizer = Adam(learning_rate, beta_1, beta_2, epsilon=1e-8)
    return keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer
