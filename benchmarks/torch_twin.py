"""A game of dcgan.py again in PyTorch, from the same weights: the other side of benchmarks/speed.py.

    twin = Twin(game, loss="cross-entropy", noise="normal", precision="float32")
    d_loss, g_loss, real_opinion, fake_opinion = twin.train_step(images(real))

Written as PyTorch is fastest on a CPU: channels-last memory, activations in place, fakes for D made without a
graph, only G's gradients in G's update, fused Adam.
"""

import functools

import torch
from torch.nn import functional as F

from benchmarks.torch_networks import translate


def cross_entropy(logits, target: float):
    """Mean cross-entropy of logits against one target for all."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def least_squares(logits, target: float):
    """Mean squared distance of logits from one target for all."""
    return F.mse_loss(logits, torch.full_like(logits, target))


LOSSES = {"cross-entropy": (cross_entropy, torch.sigmoid), "least-squares": (least_squares, lambda logits: logits)}
NOISES = {"normal": torch.randn, "uniform": lambda shape: torch.empty(shape).uniform_(-1.0, 1.0)}


def adam(parameters, optimizer) -> torch.optim.Adam:
    """Adam with the rates of a Keras one, fused: on a CPU too the fastest of PyTorch's three."""
    rate, betas = float(optimizer.learning_rate), (optimizer.beta_1, optimizer.beta_2)
    return torch.optim.Adam(parameters, rate, betas, eps=optimizer.epsilon, fused=True)


class Twin:
    """The same networks, losses, penalty, optimizers and average as a game's, updated in the same order."""

    def __init__(self, game, *, loss: str, noise: str, precision: str):
        self.game, self.iteration = game, 0
        self.generator, self.discriminator = translate(game.generator), translate(game.discriminator)
        self.trained = [p for p in self.generator.parameters() if p.requires_grad]
        self.g_optimizer = adam(self.trained, game.g_optimizer)
        self.d_optimizer = adam(self.discriminator.parameters(), game.d_optimizer)
        (self.loss, self.opinion), self.noise = LOSSES[loss], NOISES[noise]
        self.averaging = [t for t in self.generator.state_dict().values() if t.is_floating_point()]
        self.averages = [t.clone() for t in self.averaging] if game.ema_half_life else []
        self.precision = functools.partial(
            torch.autocast, "cpu", dtype=torch.bfloat16, enabled=precision == "mixed_bfloat16"
        )

    def train_step(self, real):
        """As DCGAN.train_step, for real faces (discriminator_steps * n, c, h, w)."""
        for batch in real.chunk(self.game.discriminator_steps):
            fake = self.generate(len(batch), trail=self.game.reuse_fakes)
            d_loss, real_logits, fake_logits = self.update_discriminator(batch, fake.detach())
        g_loss = self.update_generator(fake if self.game.reuse_fakes else self.generate(len(batch)))
        self.update_average(len(real))
        self.iteration += 1
        opinions = [self.opinion(logits.detach()).mean() for logits in (real_logits, fake_logits)]
        return torch.stack([d_loss.detach(), g_loss.detach(), *opinions])

    def generate(self, count: int, trail: bool = True):
        """Fakes of new noise, with or without what leads back to G's weights."""
        with self.precision(), torch.set_grad_enabled(trail):
            return self.generator(self.draw(count))

    def update_discriminator(self, real, fake):
        """One descent of D."""
        with self.precision():
            real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
            loss = self.loss(real_logits, 1.0 - self.game.label_smoothing) + self.loss(fake_logits, 0.0)
        self.d_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.game.penalty_weight and self.iteration % self.game.penalty_every == 0:
            self.add_penalty(real)
        self.d_optimizer.step()
        return loss, real_logits, fake_logits

    def add_penalty(self, real):
        """Adds the gradient of R1, that of gan/training/regularizers.py, to D's."""
        real = real.detach().requires_grad_()
        with self.precision():
            logits = self.discriminator(real)
        (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        penalty = slope.square().sum(dim=[1, 2, 3]).mean() / 2
        (self.game.penalty_weight * self.game.penalty_every * penalty).backward()

    def update_generator(self, fake):
        """One descent of G; D's gradients are not computed."""
        with self.precision():
            loss = self.loss(self.discriminator(fake), 1.0)
        self.g_optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=self.trained)
        self.g_optimizer.step()
        return loss

    def update_average(self, batch_size: int):
        """Moves the average towards the generator, as DCGAN.update_average."""
        if self.averages:
            half_life = min(self.game.ema_half_life, batch_size * (self.iteration + 1) / 20)
            torch._foreach_lerp_(self.averages, self.averaging, 1 - 0.5 ** (batch_size / half_life))

    def draw(self, count: int):
        """New noise for `count` faces."""
        noise = self.noise((count, *self.game.generator.input_shape[1:]))
        return noise.permute(0, 3, 1, 2) if noise.dim() == 4 else noise
