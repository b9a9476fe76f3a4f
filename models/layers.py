"""Layers and initializers that several networks share.

    x = UpsamplingConv2D(64)(x)                  # (n, h, w, c) -> (n, 2h, 2w, 64)
    x = BatchNormalization(momentum=0.9)(x)

Most compute what Keras's own do: faster, or in several replicas as in one. `models.portable` replaces those of
generators by Keras's own for saving.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from gan.replicas import count_replicas, draw_part, gather_from_replicas


def normal() -> keras.initializers.Initializer:
    """Returns a new initializer N(0, 0.02) for the kernel of one layer. DCGAN, arXiv:1511.06434, section 4."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def dropout(rate: float) -> list:
    """Returns a dropout layer, or no layer where the rate is 0."""
    return [Dropout(rate)] if rate else []


def minibatch_stddev(used: bool) -> list:
    """Returns a layer that shows a discriminator how much the images of a group differ, or no layer."""
    return [MinibatchStddev()] if used else []


def count_doublings(size: int, smallest: int = 4) -> tuple[int, int]:
    """Splits the side of an image into a generator's first side and its number of doublings: 28 -> (7, 2).

    The first side is `size` halved for as long as it stays a whole number and at least `smallest`.
    """
    count = 0
    while size % 2 == 0 and size // 2 >= smallest:
        size, count = size // 2, count + 1
    return size, count


def flatten_noise(noise_shape: tuple[int, ...]) -> list:
    """Returns the layers that turn noise into a vector, so that a generator takes both kinds; for a vector, none.

    Noise images are projected patch by patch to 8 numbers each: 32 x 32 x 3 -> 4 x 4 x 8 -> 128. The projection is
    orthogonal and not trained: normal noise stays normal, and a generator that could narrow its noise would lose
    diversity (docs/findings.md).
    """
    if len(noise_shape) == 1:
        return []
    patch = noise_shape[0] // count_doublings(noise_shape[0])[0]
    project = layers.Conv2D(8, patch, patch, use_bias=False, kernel_initializer="orthogonal", trainable=False)
    return [project, layers.Flatten()]


@keras.saving.register_keras_serializable("faces")
class BatchNormalization(layers.BatchNormalization):
    """Batch normalization that trains on images with TensorFlow's fused kernel.

    Keras 3 composes batch norm from moments, in float32 even under mixed precision. The fused kernel reads its input
    only twice, which makes a whole training step a sixth faster on a CPU. Weights and formula are Keras's, with two
    differences: the moving variance is the unbiased one (n / (n - 1)), as in PyTorch; and second derivatives, which
    R1 needs, are complete, where `tf.nn.moments` stops a gradient at the mean.
    """

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=training, mask=mask)
        if count_replicas() > 1 or len(inputs.shape) != 4:
            return self.normalize_together(inputs)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        self.update_moving_statistics(mean, variance)
        return outputs

    def normalize_together(self, inputs):
        """Normalizes by the mean and variance of the batches of all replicas, which is what one would do with all.

        In float32. The variance is the mean of the replicas' variances, and the variance of their means: from sums of
        squares, digits would be lost.
        """
        x = tf.cast(inputs, tf.float32)
        axes = list(range(len(x.shape) - 1))
        count = tf.cast(count_replicas() * tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)
        own_mean = tf.reduce_mean(x, axes)
        own_variance = tf.reduce_mean((x - own_mean) ** 2, axes)
        means, variances = tf.unstack(gather_from_replicas(tf.stack([own_mean, own_variance])), axis=1)
        mean = tf.reduce_mean(means, 0)
        variance = tf.reduce_mean(variances, 0) + tf.reduce_mean((means - mean) ** 2, 0)
        unbiased = variance * count / (count - 1) if len(x.shape) == 4 else variance  # as with one replica
        self.update_moving_statistics(mean, unbiased)
        scale = tf.math.rsqrt(variance + self.epsilon) * tf.convert_to_tensor(self.gamma)
        return tf.cast((x - mean) * scale + tf.convert_to_tensor(self.beta), self.compute_dtype)

    def update_moving_statistics(self, mean, variance):
        """Moves the statistics that are used after training towards those of a batch."""
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))


@keras.saving.register_keras_serializable("faces")
class GroupNormalization(layers.GroupNormalization):
    """Group normalization, arXiv:1803.08494, of maps (n, h, w, c) or vectors (n, c), with complete second derivatives.

    Weights and outputs are Keras's, whose variance has no gradient in the mean, so that R1 would be another penalty.
    """

    def call(self, inputs):
        x = tf.cast(inputs, tf.float32)
        x = tf.reshape(x, (-1, *x.shape[1:-1], self.groups, x.shape[-1] // self.groups))
        axes = [*range(1, len(x.shape) - 2), -1]  # all but those of images and groups
        x -= tf.reduce_mean(x, axes, keepdims=True)
        x *= tf.math.rsqrt(tf.reduce_mean(x**2, axes, keepdims=True) + self.epsilon)
        x = tf.reshape(x, (-1, *inputs.shape[1:]))
        return tf.cast(x * tf.convert_to_tensor(self.gamma) + tf.convert_to_tensor(self.beta), self.compute_dtype)


@keras.saving.register_keras_serializable("faces")
class SpectralNormalization(layers.SpectralNormalization):
    """Divides the kernel of a layer by its largest singular value, as arXiv:1802.05957, section 2.1, has it.

    Keras's own assigns the quotient to the kernel, which the optimizer then moves from there: the gradient is not that
    of the quotient (equation 12), and in mixed precision the kernel is rounded at every call. Here the kernel stays as
    the optimizer left it. The singular value is estimated by one power iteration a call (algorithm 1) from `vector_u`,
    which is moved on in training. As it depends on the kernel alone, it is the same in all replicas; its length does
    not count, so that it may be averaged.
    """

    def __init__(self, layer, power_iterations=1, **options):
        super().__init__(layer, power_iterations, **options)
        self.autocast = False  # the wrapped layer casts; the singular value is computed in float32

    def call(self, inputs, training=False):
        kernel, vector = self.normalize_kernel()
        if training:
            self.vector_u.assign(vector)
        with keras.StatelessScope([(self.kernel, kernel)], initialize_variables=False):
            return self.layer(inputs)

    def normalize_kernel(self) -> tuple:
        """Returns the kernel over its singular value, and the singular vector (1, filters) that this was found by."""
        kernel, u = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.vector_u)
        matrix = tf.reshape(kernel, (-1, kernel.shape[-1]))
        for _ in range(self.power_iterations):
            v = tf.math.l2_normalize(tf.matmul(u, matrix, transpose_b=True))
            u = tf.math.l2_normalize(tf.matmul(v, matrix))
        u, v = tf.stop_gradient(u), tf.stop_gradient(v)
        return tf.math.divide_no_nan(kernel, tf.reduce_sum(tf.matmul(v, matrix) * u)), u

    def get_plain_weights(self) -> list[np.ndarray]:
        """Returns the weights with which the wrapped layer alone computes the same."""
        kernel = self.normalize_kernel()[0].numpy()
        return [kernel if weight is self.kernel else weight.numpy() for weight in self.layer.weights]


@keras.saving.register_keras_serializable("faces")
class Dropout(layers.Dropout):
    """Dropout whose mask depends on the place in the whole batch, however many replicas share it."""

    def call(self, inputs, training=False):
        if not training or not self.rate or count_replicas() == 1:
            return super().call(inputs, training=training)

        def draw(count):
            ones = tf.ones(tf.concat([[count], tf.shape(inputs)[1:]], axis=0), inputs.dtype)
            return keras.random.dropout(ones, self.rate, seed=self.seed_generator)

        return inputs * draw_part(draw, tf.shape(inputs)[0])


class MinibatchStddev(layers.Layer):
    """Appends one feature, how much the images of a group differ: (n, ..., c) -> (n, ..., c + 1).

    It is the standard deviation over a group of each feature, averaged over all of them, the same at every place.
    arXiv:1710.10196, section 3; groups of 4, as in StyleGAN2 (arXiv:1912.04958), or of the largest divisor of n below.
    A group's rows are n / 4 apart in the whole batch, however many replicas share it.

    A logit depends on other images with it: gradients of the sum of logits, as in R1, contain what an image does to
    the logits of its group.
    """

    def call(self, inputs):
        x = tf.cast(inputs, tf.float32)
        count = tf.shape(x)[0]
        whole = tf.reshape(gather_from_replicas(x), (-1, *x.shape[1:]))
        total = tf.shape(whole)[0]
        size = tf.reduce_max([tf.where(total % i == 0, i, 1) for i in (1, 2, 3, 4)])
        groups = tf.reshape(whole, (size, total // size, *x.shape[1:]))
        deviations = tf.sqrt(tf.math.reduce_variance(groups, axis=0) + 1e-8)
        means = tf.reduce_mean(tf.reshape(deviations, (total // size, -1)), axis=1)
        feature = draw_part(lambda _: tf.tile(means, [size]), count)
        feature = tf.reshape(feature, (-1, *(1 for _ in x.shape[1:]))) * tf.ones_like(x[..., :1])
        return tf.concat([inputs, tf.cast(feature, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)


# Row i of the 4-row kernel is the sum of those rows of the 3-row kernel where ROW_SUMS[i] is 1, in mirrored order;
# KERNEL_SUMS, (16, 9), is the same for rows and columns together. A matrix product, because the gradient of sums of
# slices takes a tenth of a training step.
ROW_SUMS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)
KERNEL_SUMS = np.kron(ROW_SUMS, ROW_SUMS)


@keras.saving.register_keras_serializable("faces")
class UpsamplingConv2D(layers.Conv2D):
    """Nearest-neighbor upsampling by 2, then a 3x3 convolution: (n, h, w, c) -> (n, 2h, 2w, filters).

    Both are linear, so together they are one transposed convolution of stride 2, with a 4x4 kernel whose entries are
    sums of the 3x3 kernel's. It takes 16 products per input pixel in place of 36, and no upsampled image in memory.
    Weights are those of the 3x3 convolution; outputs are equal up to rounding.

    Raises:
        ValueError: for another kernel size than 3, or other padding than "same".
    """

    def __init__(self, filters, kernel_size=3, padding="same", **options):
        super().__init__(filters, kernel_size, padding=padding, **options)
        if self.kernel_size != (3, 3) or self.padding != "same":
            raise ValueError(
                f"UpsamplingConv2D has kernel size {self.kernel_size} and padding {self.padding!r}:"
                " only (3, 3) and 'same' are supported."
            )

    def call(self, inputs):
        batch, height, width = tf.shape(inputs)[0], inputs.shape[1], inputs.shape[2]
        kernel = tf.cast(self.transposed_kernel(), self.compute_dtype)
        outputs = tf.nn.conv2d_transpose(inputs, kernel, (batch, 2 * height, 2 * width, self.filters), 2, "SAME")
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, self.compute_dtype))
        return self.activation(outputs)

    def transposed_kernel(self):
        """Computes the kernel of the transposed convolution: (3, 3, inputs, filters) -> (4, 4, filters, inputs)."""
        kernel = tf.transpose(tf.convert_to_tensor(self.kernel), [0, 1, 3, 2])
        return tf.reshape(KERNEL_SUMS @ tf.reshape(kernel, (9, -1)), (4, 4, *kernel.shape[2:]))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, 2 * height, 2 * width, self.filters)


@tf.custom_gradient
def enlarge(images):
    """Upsamples images (n, h, w, c) to (n, 2h, 2w, c), bilinearly, in float32."""
    height, width = images.shape[1:3]
    enlarged = tf.raw_ops.ResizeBilinear(images=images, size=(2 * height, 2 * width), half_pixel_centers=True)
    return enlarged, shrink


@tf.custom_gradient
def shrink(gradients):
    """The transpose of `enlarge`: float32 (n, 2h, 2w, c) -> (n, h, w, c). They are each other's gradients."""
    batch, (height, width, channels) = tf.shape(gradients)[0], gradients.shape[1:]
    original = tf.zeros((batch, height // 2, width // 2, channels))  # of which only the shape counts
    shrunk = tf.raw_ops.ResizeBilinearGrad(grads=gradients, original_image=original, half_pixel_centers=True)
    return shrunk, enlarge


@keras.saving.register_keras_serializable("faces")
class BilinearUpSampling2D(layers.UpSampling2D):
    """Bilinear upsampling by 2, (n, h, w, c) -> (n, 2h, 2w, c), that can be differentiated twice.

    In TensorFlow, the gradient of a bilinear interpolation has none, and says nothing: `gan.training.acgd` would
    not see how the networks' gradients depend on each other through it.
    """

    def __init__(self, size=2, interpolation="bilinear", **options):
        super().__init__(size, interpolation=interpolation, **options)

    def call(self, inputs):
        return tf.cast(enlarge(tf.cast(inputs, "float32")), self.compute_dtype)


@keras.saving.register_keras_serializable("faces")
class SubpixelConv2D(layers.Conv2D):
    """A convolution, then a pixel shuffle: (n, h, w, c) -> (n, 2h, 2w, filters / 4). arXiv:1609.05158, equation 4.

    Channel (2 y + x) filters / 4 + c becomes channel c of pixel (y, x) of each 2 x 2. At first these four have equal
    kernels (ICNR, arXiv:1707.02937, section 3.2), so that the image is upsampled by nearest neighbor, without a
    checkerboard.
    """

    def build(self, input_shape):
        initializer = self.kernel_initializer

        def repeat(shape, dtype=None):
            return tf.tile(initializer((*shape[:-1], shape[-1] // 4), dtype=dtype), [1, 1, 1, 4])

        self.kernel_initializer = repeat
        super().build(input_shape)
        self.kernel_initializer = initializer  # which can be saved

    def call(self, inputs):
        return tf.nn.depth_to_space(super().call(inputs), 2)

    def compute_output_shape(self, input_shape):
        batch, height, width, filters = super().compute_output_shape(input_shape)
        return (batch, 2 * height, 2 * width, filters // 4)
