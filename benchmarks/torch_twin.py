"""The convolutional pair (models/conv.py) and its train step in PyTorch, from the same weights, to compare speeds.

    twin = TorchTwin(gan, config)
    d_loss, g_loss, real_score, fake_score = twin.train_step(to_torch(images))

Written as PyTorch is fastest on a CPU: channels-last memory, activations in place, fakes for the discriminator made
without a graph, only the generator's gradients in its update, fused Adam.
"""

import functools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gan.errors import UsageError

# What the recipes udacity-* have in common, and the twin covers.
COVERED = {
    "generator": "conv", "discriminator": "conv", "noise": "vector", "loss": "cross-entropy", "label_smoothing": 0.0,
    "penalty": "none", "augmentation": "none", "dropout": 0.0, "discriminator_steps": 1, "reuse_fakes": False,
    "ema_half_life": 0.0, "generator_optimizer": "adam", "discriminator_optimizer": "adam",
    "learning_rate_schedule": "constant",
}  # fmt: skip


def require_covered(config) -> None:
    """Raises UsageError where a configuration does what the twin does not."""
    if other := [name for name, value in COVERED.items() if getattr(config, name) != value]:
        flags = ", ".join("--" + name.replace("_", "-") for name in other)
        raise UsageError(f"--against torch covers the convolutional recipes, such as --recipe udacity-64, not {flags}.")


def to_torch(images) -> torch.Tensor:
    """Images (n, h, w, c) -> the same as (n, c, h, w), channels last in memory."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


class Generator(nn.Module):
    """models.conv.generator from vector noise."""

    def __init__(self, network):
        super().__init__()
        dense, *convolutions = [layer for layer in network.layers if hasattr(layer, "kernel")]
        norms = [layer for layer in network.layers if hasattr(layer, "gamma")]
        self.start = next(layer for layer in network.layers if hasattr(layer, "target_shape")).target_shape
        self.dense = nn.Linear(*dense.kernel.shape)
        copy(self.dense.weight, dense.kernel.numpy().T)
        copy(self.dense.bias, dense.bias.numpy())
        blocks = []
        for i, layer in enumerate(convolutions):
            side, _, outputs, inputs = layer.kernel.shape
            convolution = nn.ConvTranspose2d(inputs, outputs, side, 2, 1, bias=False)
            copy(convolution.weight, layer.kernel.numpy().transpose(3, 2, 0, 1))
            last = i == len(convolutions) - 1
            blocks += [convolution, *([nn.Tanh()] if last else [batch_norm(norms[i]), nn.ReLU(inplace=True)])]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, noise):
        x = self.dense(noise).view(-1, *self.start).permute(0, 3, 1, 2)
        return self.blocks(x)


class Discriminator(nn.Module):
    """models.conv.discriminator."""

    def __init__(self, network):
        super().__init__()
        *convolutions, dense = [layer for layer in network.layers if hasattr(layer, "kernel")]
        norms, blocks = [layer for layer in network.layers if hasattr(layer, "gamma")], []
        for i, layer in enumerate(convolutions):
            side, _, inputs, outputs = layer.kernel.shape
            convolution = nn.Conv2d(inputs, outputs, side, 2, 1, bias=False)
            copy(convolution.weight, layer.kernel.numpy().transpose(3, 2, 0, 1))
            blocks += [convolution, *([batch_norm(norms[i - 1])] if i else []), nn.LeakyReLU(0.2, inplace=True)]
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Linear(*dense.kernel.shape)
        copy(self.dense.weight, dense.kernel.numpy().T)
        copy(self.dense.bias, dense.bias.numpy())

    def forward(self, images):
        return self.dense(self.blocks(images).permute(0, 2, 3, 1).flatten(1))  # flattened in Keras's order


def batch_norm(layer) -> nn.BatchNorm2d:
    """A batch norm with the weights and statistics of a Keras one."""
    norm = nn.BatchNorm2d(layer.gamma.shape[0], eps=layer.epsilon, momentum=1 - layer.momentum)
    for tensor, weight in ((norm.weight, layer.gamma), (norm.bias, layer.beta)):
        copy(tensor, weight.numpy())
    norm.running_mean.copy_(torch.from_numpy(layer.moving_mean.numpy()))
    norm.running_var.copy_(torch.from_numpy(layer.moving_variance.numpy()))
    return norm


def copy(tensor: torch.Tensor, array: np.ndarray) -> None:
    """Copies an array into a parameter."""
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))


class TorchTwin:
    """The same networks, losses and optimizers as a DCGAN's, updated in the same order."""

    def __init__(self, gan, config):
        require_covered(config)
        self.shape, self.distribution = gan.noise_shape, config.noise_distribution
        self.generator = Generator(gan.generator).to(memory_format=torch.channels_last)
        self.discriminator = Discriminator(gan.discriminator).to(memory_format=torch.channels_last)
        self.g_optimizer = adam(self.generator, config.generator_learning_rate, config.generator_betas)
        self.d_optimizer = adam(self.discriminator, config.discriminator_learning_rate, config.discriminator_betas)
        bfloat16 = config.precision == "mixed_bfloat16"
        self.precision = functools.partial(torch.autocast, "cpu", dtype=torch.bfloat16, enabled=bfloat16)

    def train_step(self, real) -> torch.Tensor:
        """Trains on real images (n, c, h, w); returns d_loss, g_loss, real_score and fake_score, (4,)."""
        with self.precision(), torch.no_grad():
            fake = self.generator(self.sample_noise(len(real)))
        with self.precision():
            real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
            d_loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        self.d_optimizer.zero_grad(set_to_none=True)
        d_loss.backward()
        self.d_optimizer.step()
        with self.precision():
            g_loss = F.softplus(-self.discriminator(self.generator(self.sample_noise(len(real))))).mean()
        self.g_optimizer.zero_grad(set_to_none=True)
        g_loss.backward(inputs=list(self.generator.parameters()))
        self.g_optimizer.step()
        scores = [torch.sigmoid(logits.detach()).mean() for logits in (real_logits, fake_logits)]
        return torch.stack([d_loss.detach(), g_loss.detach(), *scores])

    def sample_noise(self, count: int) -> torch.Tensor:
        """New noise, (count, *noise_shape)."""
        if self.distribution == "normal":
            return torch.randn(count, *self.shape)
        return torch.empty(count, *self.shape).uniform_(-1.0, 1.0)


def adam(network: nn.Module, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Adam, fused: on a CPU too the fastest of PyTorch's three."""
    return torch.optim.Adam(network.parameters(), rate, betas, eps=1e-8, fused=True)
