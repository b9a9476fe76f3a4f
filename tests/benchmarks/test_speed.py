"""The benchmark's figures and mistakes, and that its twin in PyTorch does the same work as the game."""

import importlib.util
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from benchmarks import speed
from gan import experiment
from gan.cli import parse_arguments
from gan.errors import UsageError

TINY = ["--precision", "float32", "--batch-size", "8", "--width", "8", "--image-size", "16"]
R1 = ["--penalty-weight", "100", "--penalty-every", "1"]
PAIRS = {
    "conv": ["--recipe", "udacity-64"],
    "compact": ["--ema-half-life", "1", "--discriminator-steps", "2", *R1],
    "upsample": ["--generator", "upsample", "--noise", "image", "--loss", "least-squares", "--penalty", "none"],
}


@pytest.fixture
def torch_twin():
    """The two modules, where PyTorch is installed."""
    pytest.importorskip("torch", reason="PyTorch is an option: pip install torch")
    from benchmarks import torch_networks, torch_twin

    return SimpleNamespace(Twin=torch_twin.Twin, images=torch_networks.images, translate=torch_networks.translate)


def twins(torch_twin, flags):
    """A game, its twin, which gets the game's noise, and a batch of real faces."""
    config, _ = parse_arguments([*TINY, *flags])
    game = experiment.build_gan(config)
    for network in (game.generator, game.discriminator):  # or so narrow, gradients are of the size of rounding
        network.set_weights([w if w.ndim == 1 else 5 * w for w in network.get_weights()])
    game.averaged.set_weights(game.generator.get_weights())
    twin = torch_twin.Twin(game, loss=config.loss, noise=config.noise_distribution, precision=config.precision)
    real = np.random.default_rng(0).uniform(-1, 1, (config.images_per_iteration, 16, 16, 3)).astype(np.float32)
    noises = iter([torch_twin.images(game.draw(real[:8], part)) for part in range(3)])
    twin.draw = lambda count: next(noises)
    return game, twin, real


def floats(state):
    """The weights and batch statistics of a PyTorch network, without its counters."""
    return {name: tensor.clone() for name, tensor in state.items() if tensor.is_floating_point()}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_twin_gives_the_same_faces_and_logits(torch_twin, pair):
    """The translated networks with the copied weights compute what ours do."""
    game, twin, real = twins(torch_twin, PAIRS[pair])
    noise = game.draw(real[:8], 0)
    faces = twin.generator(torch_twin.images(noise)).detach().permute(0, 2, 3, 1)
    np.testing.assert_allclose(faces, game.generator(noise, training=True), atol=1e-4)
    expected = game.judge(real).numpy()
    logits = twin.discriminator(torch_twin.images(real)).detach()
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("pair", PAIRS)
def test_the_twin_takes_the_same_step(torch_twin, pair):
    """Same losses and opinions; afterwards same weights, batch statistics and average, to a tenth of the way they went.

    Adam's first step has the gradient's sign and hardly its size: where a gradient is nearly 0, rounding decides,
    and so does epsilon, which PyTorch adds after the bias correction and Keras before it.
    """
    game, twin, real = twins(torch_twin, PAIRS[pair])
    starts = [floats(twin.generator.state_dict()), floats(twin.discriminator.state_dict())]
    expected = game.train_step(real)
    np.testing.assert_allclose(twin.train_step(torch_twin.images(real)), expected, rtol=1e-4, atol=1e-5)
    ours = [floats(torch_twin.translate(network).state_dict()) for network in (game.generator, game.discriminator)]
    theirs = [floats(twin.generator.state_dict()), floats(twin.discriminator.state_dict())]
    for network, start, wanted, values in zip([twin.generator, twin.discriminator], starts, ours, theirs, strict=True):
        frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
        for name in start:
            way = (wanted[name] - start[name]).abs().mean()
            assert (way > 0) == (name not in frozen), name
            assert (values[name] - wanted[name]).abs().mean() <= 0.1 * way, name
    assert bool(twin.averages) == bool(game.ema_half_life)
    averages = list(floats(torch_twin.translate(game.averaged).state_dict()).values())[: len(twin.averages)]
    for average, wanted, start in zip(twin.averages, averages, starts[0].values(), strict=False):
        assert (average - wanted).abs().mean() <= 0.1 * (wanted - start).abs().mean()


def test_the_twin_in_mixed_precision(torch_twin, float32_afterwards):
    """Where Keras puts casts between layers, too, its networks are translated: the same faces, but for rounding."""
    game, twin, real = twins(torch_twin, ["--precision", "mixed_bfloat16"])
    noise = game.draw(real[:8], 0)
    faces = twin.generator(torch_twin.images(noise)).detach().permute(0, 2, 3, 1).numpy()
    expected = game.generator(noise, training=True).numpy()
    assert np.abs(faces - expected).mean() < 0.1 * expected.std()
    step = twin.train_step(torch_twin.images(real))
    np.testing.assert_allclose(step, game.train_step(real), rtol=0.1)


def test_a_layer_without_a_counterpart_is_named(torch_twin):
    """What cannot be translated is an error that says which layer it is."""
    network = keras.Sequential([keras.Input((4,)), keras.layers.LayerNormalization(name="odd")])
    with pytest.raises(UsageError, match=r"odd \(LayerNormalization\)"):
        torch_twin.translate(network)


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
