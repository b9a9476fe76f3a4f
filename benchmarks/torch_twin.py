"""The convolutional pair (models/conv.py) and its train step in PyTorch, from the same weights, to compare speeds.

    twin = TorchTwin(gan, config)
    scalars = twin.train_step(to_torch(images))  # by the names of DCGAN.train_step

Written as PyTorch is fastest on a CPU: channels-last memory, activations in place, no graph of the fakes that the
discriminator learns from, only the generator's gradients in its update, fused Adam.
"""

import functools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def to_torch(images) -> torch.Tensor:
    """Images (n, h, w, c) -> the same as (n, c, h, w), channels last in memory."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


class Float32(nn.Sequential):
    """Layers that compute in float32 whatever the precision of the others."""

    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class Generator(nn.Module):
    """models.conv.generator from vector noise."""

    def __init__(self, network):
        super().__init__()
        dense, *convolutions = [layer for layer in network.layers if hasattr(layer, "kernel")]
        norms = [layer for layer in network.layers if hasattr(layer, "gamma")]
        self.start = next(layer for layer in network.layers if hasattr(layer, "target_shape")).target_shape
        self.dense, blocks = linear(dense), []
        for i, layer in enumerate(convolutions):
            side, _, outputs, inputs = layer.kernel.shape
            convolution = nn.ConvTranspose2d(inputs, outputs, side, 2, 1, bias=False)
            copy(convolution.weight, layer.kernel.numpy().transpose(3, 2, 0, 1))
            last = i == len(convolutions) - 1
            blocks += [Float32(convolution, nn.Tanh())] if last else [convolution, batch_norm(norms[i]), nn.ReLU(True)]
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
            blocks += [convolution, *([batch_norm(norms[i - 1])] if i else []), nn.LeakyReLU(0.2, True)]
        self.blocks, self.dense = nn.Sequential(*blocks), Float32(linear(dense))

    def forward(self, images):
        return self.dense(self.blocks(images).permute(0, 2, 3, 1).flatten(1))  # flattened in Keras's order


def linear(layer) -> nn.Linear:
    """A dense layer with the weights of a Keras one."""
    dense = nn.Linear(*layer.kernel.shape)
    copy(dense.weight, layer.kernel.numpy().T)
    copy(dense.bias, layer.bias.numpy())
    return dense


def batch_norm(layer) -> nn.BatchNorm2d:
    """A batch norm with the weights and statistics of a Keras one."""
    norm = nn.BatchNorm2d(layer.gamma.shape[0], eps=layer.epsilon, momentum=1 - layer.momentum)
    weights = layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance
    for tensor, weight in zip((norm.weight, norm.bias, norm.running_mean, norm.running_var), weights, strict=True):
        copy(tensor, weight.numpy())
    return norm


def copy(tensor: torch.Tensor, array: np.ndarray) -> None:
    """Copies an array into a parameter or a statistic."""
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))


class TorchTwin:
    """The same networks, losses and optimizers as those of a DCGAN, updated in the same order.

    The settings of `config` must be those of `benchmarks.speed.COVERED`.
    """

    def __init__(self, gan, config):
        self.shape, self.distribution = gan.noise_shape, config.noise_distribution
        self.generator = Generator(gan.generator).to(memory_format=torch.channels_last)
        self.discriminator = Discriminator(gan.discriminator).to(memory_format=torch.channels_last)
        self.g_optimizer = adam(self.generator, config.generator_learning_rate, config.generator_betas)
        self.d_optimizer = adam(self.discriminator, config.discriminator_learning_rate, config.discriminator_betas)
        bfloat16 = config.precision == "mixed_bfloat16"
        self.precision = functools.partial(torch.autocast, "cpu", dtype=torch.bfloat16, enabled=bfloat16)

    def train_step(self, real) -> dict[str, torch.Tensor]:
        """Trains on real images (n, c, h, w) and returns scalars by name, those of `DCGAN.train_step`."""
        with self.precision(), torch.no_grad():
            fake = self.generator(self.sample_noise(len(real)))
        with self.precision():
            real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
            d_loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        self.d_optimizer.zero_grad(set_to_none=True)
        d_loss.backward()
        grad_norm_d = gradient_norm(self.discriminator)
        self.d_optimizer.step()
        with self.precision():
            g_loss = F.softplus(-self.discriminator(self.generator(self.sample_noise(len(real))))).mean()
        self.g_optimizer.zero_grad(set_to_none=True)
        g_loss.backward(inputs=list(self.generator.parameters()))
        grad_norm_g = gradient_norm(self.generator)
        self.g_optimizer.step()
        real_score, fake_score = (torch.sigmoid(logits.detach()).mean() for logits in (real_logits, fake_logits))
        return {
            "d_loss": d_loss.detach(), "real_score": real_score, "fake_score": fake_score, "grad_norm_d": grad_norm_d,
            "g_loss": g_loss.detach(), "grad_norm_g": grad_norm_g,
        }  # fmt: skip

    def sample_noise(self, count: int) -> torch.Tensor:
        """New noise, (count, *noise_shape)."""
        if self.distribution == "normal":
            return torch.randn(count, *self.shape)
        return torch.empty(count, *self.shape).uniform_(-1.0, 1.0)


def gradient_norm(network: nn.Module) -> torch.Tensor:
    """The Euclidean norm of all gradients of a network together."""
    return nn.utils.get_total_norm([parameter.grad for parameter in network.parameters()])


def adam(network: nn.Module, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Adam, fused: on a CPU too the fastest of PyTorch's three."""
    return torch.optim.Adam(network.parameters(), rate, betas, eps=1e-8, fused=True)
