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


def build_pair(twin_module):
    """A GAN, its twin, which gets the GAN's noise, and a batch of images."""
    config, _ = parse_arguments(["--recipe", "udacity-64", *TINY])
    gan = experiment.build_gan(config)
    for network in (gan.generator, gan.discriminator):  # in networks so narrow, gradients are of the size of rounding
        network.set_weights([w if w.ndim == 1 else 5 * w for w in network.get_weights()])
    twin = twin_module.TorchTwin(gan, config)
    images = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
    import torch

    noises = iter([torch.from_numpy(gan.sample_noise(images, step).numpy()) for step in range(2)])
    twin.sample_noise = lambda count: next(noises)
    return gan, twin, images


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
    """Same losses and scores; afterwards the same weights, to a tenth of the way that they went."""
    gan, twin, images = build_pair(twin_module)
    before = gan.discriminator.layers[0].kernel.numpy()
    scalars = gan.train_step((images, np.zeros((8, 0), np.float32)))
    expected = [scalars[name] for name in ("d_loss", "g_loss", "real_score", "fake_score")]
    np.testing.assert_allclose(twin.train_step(twin_module.to_torch(images)), expected, rtol=1e-4, atol=1e-5)
    after = gan.discriminator.layers[0].kernel.numpy()
    theirs = twin.discriminator.blocks[0].weight.detach().numpy().transpose(2, 3, 1, 0)
    assert np.abs(theirs - after).mean() <= 0.1 * np.abs(after - before).mean()


@pytest.mark.parametrize("flags", [[], ["--recipe", "udacity-64", "--penalty", "r1"]])
def test_what_the_twin_does_not_cover_is_refused(twin_module, flags):
    """The message names the flag, and a recipe that is covered."""
    with pytest.raises(UsageError, match=r"udacity-64, not .*--penalty"):
        twin_module.require_covered(parse_arguments(flags)[0])


def test_the_last_line_is_one_json_document(tmp_path, capsys):
    """A run from start to end: every figure is positive, in order, and told again in JSON."""
    np.save(tmp_path / "faces.npy", np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8))
    own = ["--rounds", "2", "--steps", "1"]
    rivals = ["--against", "torch"] if importlib.util.find_spec("torch") else []
    paths = ["--data", str(tmp_path / "faces.npy"), "--cache-dir", str(tmp_path)]
    assert speed.main([*own, *rivals, "--recipe", "udacity-64", *TINY, *paths]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name in speed.ROWS if rivals else list(speed.ROWS)[:4]:
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
    assert speed.main(["--against", "torch"]) == 2
    assert "pip install torch" in capsys.readouterr().err


def test_other_work_is_not_compared():
    """A GPU, or float16 with its scaled losses, would not be the same work as the twin's."""
    speed.require_comparable("CPU (2 cores)", "mixed_bfloat16")
    with pytest.raises(UsageError, match="GPU"):
        speed.require_comparable("GPU (unnamed)", "float32")
    with pytest.raises(UsageError, match="mixed_float16"):
        speed.require_comparable("CPU (2 cores)", "mixed_float16")
