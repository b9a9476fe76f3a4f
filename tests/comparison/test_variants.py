from gan.cli import parse_arguments
from gan.comparison.variants import parse_variant, parse_variants


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
