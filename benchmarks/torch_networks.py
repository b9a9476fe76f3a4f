"""The networks of models/ in PyTorch, layer by layer, with the same weights, in channels-last memory.

network = translate(game.generator)
"""

import keras
import numpy as np
import torch
from keras import layers
from torch import nn

from gan.errors import UsageError
from models.layers import BatchNormalization, UpsamplingConv2D
from models.portable import uncast


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


class Function(nn.Module):
    """A function of one or several tensors."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *given):
        return self.function(*given)


class Parts(nn.ModuleList):
    """The modules that make up a layer, the first of which may take several tensors."""

    def forward(self, *given):
        for module in self:
            given = (module(*given),)
        return given[0]


class Float32(Parts):
    """Those of a layer that stays in float32 whatever the precision."""

    def forward(self, *given):
        with torch.autocast("cpu", enabled=False):
            return super().forward(*(x.float() for x in given))


class Graph(nn.Module):
    """Modules in a row, each fed by outputs of those before it: by their places, where 0 is what comes in."""

    def __init__(self, modules: list[nn.Module], places: list[list[int]]):
        super().__init__()
        self.steps, self.places = nn.ModuleList(modules), places

    def forward(self, x):
        values = [x]
        for module, places in zip(self.steps, self.places, strict=True):
            values.append(module(*(values[place] for place in places)))
        return values[-1]


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
    layers.UpSampling2D: lambda layer: [nn.Upsample(scale_factor=layer.size, mode=layer.interpolation)],
    layers.Activation: lambda layer: [],
    layers.Add: lambda layer: [Function(torch.add)],
    layers.Multiply: lambda layer: [Function(torch.mul)],
    layers.Concatenate: lambda layer: [Function(lambda *given: torch.cat(given, 1))],  # the channels' place
    layers.Reshape: lambda layer: [Reshape(layer.target_shape)],
    layers.Flatten: lambda layer: [Flatten()],
    layers.Dropout: lambda layer: [nn.Dropout(layer.rate)],
    layers.ReLU: lambda layer: [nn.ReLU(inplace=True)],
    layers.LeakyReLU: lambda layer: [nn.LeakyReLU(layer.negative_slope, inplace=True)],
}

# In place: what an activation is of, nothing else in these networks reads.
ACTIVATIONS = {"linear": [], "relu": [nn.ReLU(inplace=True)], "tanh": [nn.Tanh()]}


def translate(network: keras.Model) -> Graph:
    """The same network with the same weights in PyTorch; raises UsageError where a layer has no counterpart."""
    modules, places, place = [], [], {id(network.inputs[0]): 0}
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if type(layer) not in MODULES or activation not in ACTIVATIONS:
            raise untranslatable(layer)
        parts = [*MODULES[type(layer)](layer), *ACTIVATIONS[activation]]
        modules.append((Float32 if layer.compute_dtype != network.compute_dtype else Parts)(parts))
        given = layer.input if isinstance(layer.input, list) else [layer.input]
        places.append([place[id(uncast(tensor))] for tensor in given])
        place[id(layer.output)] = len(modules)
    return Graph(modules, places).to(memory_format=torch.channels_last)


def untranslatable(layer) -> UsageError:
    """What to say of a layer that has no counterpart here."""
    return UsageError(
        f"--against torch: the layer {layer.name} ({type(layer).__name__}) has no translation to PyTorch in"
        " benchmarks/torch_networks.py. Choose another network, or leave --against away."
    )
