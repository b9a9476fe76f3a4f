"""A game of dcgan.py again in PyTorch, from the same weights: the other side of tools/benchmark.py.

    twin = Twin(game, loss="cross-entropy", noise="normal", precision="float32")
    d_loss, g_loss, real_opinion, fake_opinion = twin.train_step(images(real))

Written as PyTorch is fastest on a CPU: channels-last memory, activations in place, fakes for D made without a
graph, only G's gradients in G's update, fused Adam.
"""

import functools

import keras
import numpy as np
import torch
from keras import layers
from torch import nn
from torch.nn import functional as F

from gan.errors import UsageError
from models.layers import BatchNormalization, UpsamplingConv2D


def images(array) -> torch.Tensor:
    """(n, h, w, c), the layout here -> (n, c, h, w), PyTorch's, in channels-last memory; vectors as they are."""
    tensor = torch.from_numpy(np.array(keras.ops.convert_to_numpy(array)))
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor


class Flatten(nn.Module):
    """Flattens in the order of channels-last memory, so that nothing moves and Dense kernels fit as they are."""

    def forward(self, x):
        return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).flatten(1)


class Reshape(nn.Module):
    """(n, h * w * c) -> (n, c, h, w), over the same channels-last memory."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(-1, *self.shape).permute(0, 3, 1, 2)


class Float32(nn.Sequential):
    """Layers that stay in float32 whatever the precision."""

    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def dense(layer) -> list[nn.Module]:
    """Dense -> Linear."""
    return [filled(nn.Linear(*layer.kernel.shape, bias=layer.use_bias), layer)]


def convolution(layer) -> list[nn.Module]:
    """Conv2D -> Conv2d, after a padding of its own where "same" pads one side more than the other."""
    size, kernel, stride = layer.input.shape[1], layer.kernel_size[0], layer.strides[0]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0) if layer.padding == "same" else 0
    before, after = total // 2, total - total // 2
    even = before == after
    module = nn.Conv2d(*layer.kernel.shape[2:], kernel, stride, padding=before if even else 0, bias=layer.use_bias)
    return [*([] if even else [nn.ZeroPad2d((before, after, before, after))]), filled(module, layer)]


def transposed_convolution(layer) -> list[nn.Module]:
    """Conv2DTranspose, 4x4, stride 2, "same" -> ConvTranspose2d."""
    if (layer.kernel_size, layer.strides, layer.padding) != ((4, 4), (2, 2), "same"):
        raise untranslatable(layer)
    filters, channels = layer.kernel.shape[2:]
    return [filled(nn.ConvTranspose2d(channels, filters, 4, 2, padding=1, bias=layer.use_bias), layer)]


def upsampling_convolution(layer) -> list[nn.Module]:
    """UpsamplingConv2D -> the two steps that it stands for."""
    module = nn.Conv2d(*layer.kernel.shape[2:], 3, padding=1, bias=layer.use_bias)
    return [nn.Upsample(scale_factor=2, mode="nearest"), filled(module, layer)]


def batch_normalization(layer) -> list[nn.Module]:
    """BatchNormalization -> BatchNorm, whose momentum is 1 minus Keras's."""
    kind = nn.BatchNorm2d if len(layer.input.shape) == 4 else nn.BatchNorm1d
    module = kind(layer.gamma.shape[0], eps=layer.epsilon, momentum=1 - layer.momentum)
    values = [layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance]
    copy([module.weight, module.bias, module.running_mean, module.running_var], values)
    return [module]


def filled(module: nn.Module, layer) -> nn.Module:
    """The module with the layer's kernel, its outputs first as PyTorch has them, and its bias."""
    axes = (3, 2, 0, 1) if len(layer.kernel.shape) == 4 else (1, 0)
    copy([module.weight], [np.transpose(keras.ops.convert_to_numpy(layer.kernel), axes)])
    if layer.use_bias:
        copy([module.bias], [layer.bias])
    return module.requires_grad_(layer.trainable)


@torch.no_grad()
def copy(tensors: list[torch.Tensor], values: list) -> None:
    """Writes the values into the tensors."""
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(torch.from_numpy(np.array(keras.ops.convert_to_numpy(value))))


MODULES = {
    layers.Dense: dense,
    layers.Conv2D: convolution,
    layers.Conv2DTranspose: transposed_convolution,
    UpsamplingConv2D: upsampling_convolution,
    BatchNormalization: batch_normalization,
    layers.ZeroPadding2D: lambda layer: [nn.ZeroPad2d((*layer.padding[1], *layer.padding[0]))],
    layers.Reshape: lambda layer: [Reshape(layer.target_shape)],
    layers.Flatten: lambda layer: [Flatten()],
    layers.Dropout: lambda layer: [nn.Dropout(layer.rate)],
    layers.ReLU: lambda layer: [nn.ReLU(inplace=True)],
    layers.LeakyReLU: lambda layer: [nn.LeakyReLU(layer.negative_slope, inplace=True)],
}

ACTIVATIONS = {"linear": [], "relu": [nn.ReLU(inplace=True)], "tanh": [nn.Tanh()]}


def translate(network: keras.Sequential) -> nn.Sequential:
    """The same network with the same weights in PyTorch; raises UsageError where a layer has no counterpart."""
    modules = []
    for layer in network.layers:
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if type(layer) not in MODULES or activation not in ACTIVATIONS:
            raise untranslatable(layer)
        parts = [*MODULES[type(layer)](layer), *ACTIVATIONS[activation]]
        modules += [Float32(*parts)] if layer.compute_dtype != network.compute_dtype else parts
    return nn.Sequential(*modules).to(memory_format=torch.channels_last)


def untranslatable(layer) -> UsageError:
    """What to say of a layer that has no counterpart here."""
    return UsageError(
        f"--against torch: the layer {layer.name} ({type(layer).__name__}) has no translation to PyTorch in"
        " tools/torch_twin.py. Choose another network, or leave --against away."
    )


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
        self.averages = [t.clone() for t in self.averaging] if game.average_half_life else []
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
        """Adds the gradient of R1, that of gan/penalties.py, to D's."""
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
            half_life = min(self.game.average_half_life, batch_size * (self.iteration + 1) / 20)
            torch._foreach_lerp_(self.averages, self.averaging, 1 - 0.5 ** (batch_size / half_life))

    def draw(self, count: int):
        """New noise for `count` faces."""
        noise = self.noise((count, *self.game.generator.input_shape[1:]))
        return noise.permute(0, 3, 1, 2) if noise.dim() == 4 else noise
