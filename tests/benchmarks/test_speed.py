"""The benchmark's figures and mistakes, and that its twin in PyTorch does the same work as the GAN."""

import importlib.util
import json

import numpy as np
import pytest

from benchmarks import speed
from gan import experiment
from gan.cli import parse_arguments
from gan.errors import UsageError

TINY = ["--precision", "float32", "--batch-size", "8", "--width", "8", "--image-size", "16"]


@pytest.fixture
def twin_module():
    """The twin's module, where PyTorch is installed."""
    pytest.importorskip("torch", reason="PyTorch is an option: pip install torch")
    from benchmarks import torch_twin

    return torch_twin


def build_pair(twin_module, *flags):
    """A GAN, its twin, which gets the GAN's noise, and a batch of images."""
    config, _ = parse_arguments(["--recipe", "udacity-64", *TINY, *flags])
    gan = experiment.build_gan(config)
    for network in (gan.generator, gan.discriminator):  # in networks so narrow, gradients are of the size of rounding
        network.set_weights([w if w.ndim == 1 else 5 * w for w in network.get_weights()])
    twin = twin_module.TorchTwin(gan, config)
    images = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
    import torch

    noises = iter([torch.from_numpy(gan.sample_noise(images, step).numpy()) for step in range(2)])
    twin.sample_noise = lambda count: next(noises)
    return gan, twin, images


def take_step(gan, twin, images, twin_module):
    """The scalars of one step of both, by name."""
    scalars = gan.train_step((images, np.zeros((8, 0), np.float32)))
    theirs = twin.train_step(twin_module.to_torch(images))
    return {name: float(value) for name, value in scalars.items()}, {name: float(theirs[name]) for name in theirs}


def arrays(network):
    """The weights and batch statistics of a network of the twin, in Keras's axes."""
    axes = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
    values = [tensor.numpy() for tensor in network.state_dict().values() if tensor.is_floating_point()]
    return [value.transpose(axes[value.ndim]).copy() for value in values]


def test_the_twin_has_the_same_networks(twin_module):
    """With the copied weights they give the same samples and logits."""
    gan, twin, images = build_pair(twin_module)
    noise = twin.sample_noise(8)
    fake = twin.generator(noise).detach().permute(0, 2, 3, 1)
    np.testing.assert_allclose(fake, gan.generator(noise.numpy(), training=True), atol=1e-4)
    expected = gan.discriminate(images).numpy()
    logits = twin.discriminator(twin_module.to_torch(images)).detach()
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


def test_the_twin_takes_the_same_step(twin_module):
    """Same scalars; afterwards the same weights and batch statistics, to a tenth of the way that they went.

    Adam's first step has the gradient's sign and hardly its size: where a gradient is nearly 0, rounding decides,
    and so does epsilon, which PyTorch adds after the bias correction and Keras before it.
    """
    gan, twin, images = build_pair(twin_module)
    pairs = [(gan.generator, twin.generator), (gan.discriminator, twin.discriminator)]
    starts = [network.get_weights() for network, _ in pairs]
    expected, scalars = take_step(gan, twin, images, twin_module)
    assert scalars == pytest.approx(expected, rel=1e-3, abs=1e-5)
    for (network, theirs), start in zip(pairs, starts, strict=True):
        for before, wanted, value in zip(start, network.get_weights(), arrays(theirs), strict=True):
            way = np.abs(wanted - before).mean()
            assert way > 0 and np.abs(value - wanted).mean() <= 0.1 * way


def test_the_twin_in_mixed_precision(twin_module, float32_afterwards):
    """The same scalars but for rounding; the last layers compute in float32, as the GAN's do."""
    gan, twin, images = build_pair(twin_module, "--precision", "mixed_bfloat16")
    expected, scalars = take_step(gan, twin, images, twin_module)
    assert scalars == pytest.approx(expected, rel=0.1)
    import torch

    with twin.precision():
        assert twin.discriminator(twin_module.to_torch(images)).dtype == torch.float32
        assert twin.generator(torch.zeros(8, *gan.noise_shape)).dtype == torch.float32


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "--generator self-modulated"),
        (["--recipe", "udacity-64", "--penalty", "r1"], "--penalty r1"),
        (["--recipe", "udacity-2x2"], "--generator conv-2x2"),
    ],
)
def test_what_the_twin_does_not_cover_is_refused(capsys, flags, named):
    """Exit code 2 before anything is loaded; the message names the flag, and a recipe that is covered."""
    assert speed.main(["--against", "torch", *flags]) == 2
    printed = capsys.readouterr().err
    assert named in printed and "--recipe udacity-64" in printed


@pytest.mark.usefixtures("eagerly")
def test_the_last_line_is_one_json_document(tmp_path, capsys):
    """A run from start to end: every figure is positive, in order, and printed again in JSON."""
    np.save(tmp_path / "faces.npy", np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8))
    own = ["--rounds", "2", "--steps", "1"]
    rivals = ["--against", "torch"] if importlib.util.find_spec("torch") else []
    paths = ["--data", str(tmp_path / "faces.npy"), "--cache-dir", str(tmp_path)]
    assert speed.main([*own, *rivals, "--recipe", "udacity-64", *TINY, *paths]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name in speed.ROWS if rivals else list(speed.ROWS)[:6]:
        assert 0 < document[name]["lowest"] <= document[name]["median"] <= document[name]["highest"], name
    assert document["peak_memory_mb"] > 100
    assert document["peak_memory_includes_torch"] == ("torch" in document["machine"]) == bool(rivals)
    assert (document["rounds"], document["steps"], document["config"]["width"]) == (2, 1, 8)


@pytest.mark.parametrize("flags", [["--rounds", "0"], ["--steps", "x"], ["--against", "jax"], ["--bogus"]])
def test_a_mistyped_flag_is_a_usage_mistake(flags):
    """Our own flags and those of train.py are checked before anything is loaded."""
    with pytest.raises(SystemExit) as stopped:
        speed.main(flags)
    assert stopped.value.code == 2


def test_a_missing_pytorch_is_a_usage_mistake(monkeypatch, capsys):
    """Without PyTorch the message says how to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert speed.main(["--recipe", "udacity-64", "--against", "torch"]) == 2
    assert "pip install torch" in capsys.readouterr().err


def test_other_work_is_not_compared():
    """A GPU, or float16 with its scaled losses, would not be the same work as the twin's."""
    speed.require_comparable("CPU (2 cores)", "mixed_bfloat16")
    with pytest.raises(UsageError, match="GPU"):
        speed.require_comparable("GPU (unnamed)", "float32")
    with pytest.raises(UsageError, match="mixed_float16"):
        speed.require_comparable("CPU (2 cores)", "mixed_float16")
