"""The few pieces that several networks share: initial weights, batch norm, noise that comes as an image."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def normal() -> keras.initializers.Initializer:
    """Kernels drawn from N(0, 0.02), a new generator for each layer. DCGAN, arXiv:1511.06434, section 4."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def doublings(size: int, smallest: int = 4) -> tuple[int, int]:
    """Splits an image's side into where a generator starts and how often it doubles: 64 -> (4, 4), 28 -> (7, 2).

    The start is the side halved as long as it stays whole and at least `smallest`.
    """
    count = 0
    while size % 2 == 0 and size // 2 >= smallest:
        size, count = size // 2, count + 1
    return size, count


@keras.saving.register_keras_serializable("faces")
class BatchNormalization(layers.BatchNormalization):
    """Keras's batch norm, computed by TensorFlow's fused kernel where there is one (training, images).

    Keras 3 composes it from moments, in float32 even under mixed precision; one kernel that reads its input
    twice is a sixth of a whole training step faster on a CPU. Same weights, same formula, two differences: the
    running variance is the unbiased one (n / (n - 1)), as in PyTorch; and second derivatives, which R1 needs, are
    whole, where `tf.nn.moments` stops a gradient at the mean. Saved generators hold Keras's own layer
    (see `portable`).
    """

    def call(self, inputs, training=None, mask=None):
        if not training or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))
        return outputs


# Which of the 3 rows of a kernel meet in each of the 4 rows of the doubled one, mirrored; then the same for rows and
# columns at once, (16, 9). A product with a constant: sums of slices have a gradient that takes a tenth of a step.
ROWS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)
DOUBLED = np.kron(ROWS, ROWS)


@keras.saving.register_keras_serializable("faces")
class UpsamplingConv2D(layers.Conv2D):
    """Nearest-neighbour doubling, then a 3x3 convolution: (n, h, w, c) -> (n, 2h, 2w, filters).

    Both are linear, so they are one transposed convolution of stride 2, whose 4x4 kernel is the 3x3 kernel
    summed over the four places a doubled pixel can have: 16 products an input pixel where the two steps need 36,
    and no doubled image in memory. Same weights, same result up to rounding (the test compares them).
    """

    def __init__(self, filters, kernel_size=3, padding="same", **options):
        super().__init__(filters, kernel_size, padding=padding, **options)
        if self.kernel_size != (3, 3) or self.padding != "same":
            raise ValueError("UpsamplingConv2D has a 3x3 kernel and 'same' padding.")

    def call(self, inputs):
        batch, height, width = tf.shape(inputs)[0], inputs.shape[1], inputs.shape[2]
        kernel = tf.cast(self.four_by_four(), self.compute_dtype)
        outputs = tf.nn.conv2d_transpose(inputs, kernel, (batch, 2 * height, 2 * width, self.filters), 2, "SAME")
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, self.compute_dtype))
        return self.activation(outputs)

    def four_by_four(self):
        """The kernel as a transposed convolution wants it: (3, 3, in, out) -> (4, 4, out, in), mirrored."""
        kernel = tf.transpose(tf.convert_to_tensor(self.kernel), [0, 1, 3, 2])
        return tf.reshape(DOUBLED @ tf.reshape(kernel, (9, -1)), (4, 4, *kernel.shape[2:]))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, 2 * height, 2 * width, self.filters)


def flatten_noise(noise_shape: tuple[int, ...]) -> list:
    """Layers that bring noise of any shape to a vector, so that one generator serves both kinds.

    A vector needs none. Of an image (h, w, c), each patch becomes 8 numbers: 32 x 32 x 3 -> 4 x 4 x 8 -> 128. They
    are projections that never train: normal noise stays normal, and a generator that may narrow its noise makes faces
    that are alike (docs/findings.md).
    """
    if len(noise_shape) == 1:
        return []
    patch = noise_shape[0] // doublings(noise_shape[0])[0]
    project = layers.Conv2D(8, patch, patch, use_bias=False, kernel_initializer="orthogonal", trainable=False)
    return [project, layers.Flatten()]
