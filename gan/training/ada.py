"""ADA: adapts the probability of augmentations to how much the discriminator overfits. arXiv:2006.06676.

adaptation = Adaptation()
adaptation.speed.assign(share_of_the_run / SPAN)  # before a step, as learning rates are set
scalars = adaptation.update(real_scores)          # within the step; {"augment_probability": ..., "real_sign": ...}
images = augment(images, seed, adaptation.probability)
"""

import tensorflow as tf

from gan.replicas import count_replicas, sum_over_replicas

# Of the mean sign of real logits. Section 3 has 0.6, which an R1 penalty on small networks hardly lets it reach; this
# was the best in trials with 500 and 2,000 images (docs/findings.md).
TARGET = 0.15
BATCHES = 4  # over which that mean is taken
HIGHEST = 0.8  # probability up to which augmentations do not leak into samples. Section 2.2
# Share of a run in which the probability may go from 0 to 1. The paper has 1/50, 500,000 of 25 million images; runs are
# shorter here, so the mean sign is taken of fewer images in that time, and is less certain.
SPAN = 1 / 20


class Adaptation:
    """The probability of augmentations, from 0 on, which rises while real images are recognized too surely.

    The measure is r_t, equation 1 of the paper, the mean of sign(D(x)) at training images: 1 where each of them is
    taken for real, 0 where half of them are. It is averaged over about `BATCHES` batches.
    """

    def __init__(self):
        self.probability = tf.Variable(0.0, name="augment_probability")
        self.real_sign = tf.Variable(0.0, name="real_sign")
        self.speed = tf.Variable(0.0, name="augment_speed")  # by how much the probability may change in a step

    def update(self, real_scores) -> dict[str, tf.Tensor]:
        """Moves the probability by `speed`: up where the mean sign is above the target, else down. Returns both.

        `real_scores` (n, 1) are those of `gan.training.losses.Loss.scores`, above 1/2 where the discriminator takes an
        image for real, whatever the loss.
        """
        sign = sum_over_replicas(tf.reduce_mean(tf.sign(real_scores - 0.5))) / count_replicas()
        real_sign = self.real_sign.assign_add((sign - self.real_sign) / BATCHES)
        moved = self.probability + self.speed * tf.sign(real_sign - TARGET)
        probability = self.probability.assign(tf.clip_by_value(moved, 0.0, HIGHEST))
        return {"augment_probability": tf.identity(probability), "real_sign": tf.identity(real_sign)}

    def state(self) -> dict[str, tf.Variable]:
        """What a training needs to continue exactly, by name; the speed is set before each step."""
        return {"augment_probability": self.probability, "real_sign": self.real_sign}
