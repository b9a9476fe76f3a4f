import dataclasses
from pathlib import Path

import pytest

from gan.cli import parse_arguments
from gan.combinations import require_possible_head, require_possible_loss, require_possible_training
from gan.comparison.variants import parse_variant, parse_variants
from gan.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_flags():
    """Settings of a variant become flags of train.py; those of older versions keep their names."""
    assert parse_variant("default,noise-size=16,reuse_fakes=no").flags == [
        "--recipe", "default", "--noise-size", "16", "--no-reuse-fakes",
    ]  # fmt: skip
    former = parse_variant("default,flip=no,average_half_life=0")
    assert former.label == "default,average_half_life=0,flip=no"
    assert former.flags == ["--recipe", "default", "--average-half-life", "0", "--no-flip"]


def test_several_values():
    """They are separated by spaces, as on a command line, also in the name by which seeds are given."""
    [(variant, seeds)] = parse_variants(["default,ema_half_life=20000  60000:3"]).items()
    assert (variant.label, seeds) == ("default,ema_half_life=20000 60000", 3)
    assert variant.flags == ["--recipe", "default", "--ema-half-life", "20000", "60000"]
    assert parse_arguments(variant.flags)[0].ema_half_lives == (20_000, 60_000)


def test_a_file(tmp_path):
    """@FILE stands for its lines, each a variant; empty lines are none, and the number of seeds is that of all."""
    path = tmp_path / "variants.txt"
    path.write_text("default\n\n default,noise_size=16 \ndefault,ema_half_life=5000 20000\n")
    found = parse_variants([f"@{path}:2", "default:3"])
    assert {variant.label: count for variant, count in found.items()} == {
        "default": 3, "default,noise_size=16": 2, "default,ema_half_life=5000 20000": 2,
    }  # fmt: skip


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"default\nno-such-recipe\n"])
def test_a_file_that_is_none(tmp_path, content):
    """A file that is missing, is no text or has a line that is no variant is refused."""
    path = tmp_path / "variants.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError):
        parse_variants([f"@{path}"])


@pytest.mark.parametrize("name", ["networks", "training"])
def test_the_lists_are_of_variants(name):
    """Each line of the lists behind docs/what-pays.md is a command that train.py takes; no two are the same."""
    path = ROOT / "results" / f"what-pays-{name}.txt"
    variants = parse_variants([f"@{path}"])
    assert len(variants) == len(path.read_text().split("\n")) - 1
    for variant in variants:
        config = parse_arguments([*variant.flags, "--image-size", "32"])[0]
        config = dataclasses.replace(config, precision="float32")
        require_possible_training(config, 1)
        require_possible_loss(config)
        require_possible_head(config)
