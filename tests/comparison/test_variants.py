from gan.comparison.variants import parse_variant


def test_flags():
    """Settings of a variant become flags of train.py; those of older versions keep their names."""
    assert parse_variant("default,noise-size=16,reuse_fakes=no").flags == [
        "--recipe", "default", "--noise-size", "16", "--no-reuse-fakes",
    ]  # fmt: skip
    former = parse_variant("default,flip=no,average_half_life=0")
    assert former.label == "default,average_half_life=0,flip=no"
    assert former.flags == ["--recipe", "default", "--average-half-life", "0", "--no-flip"]
