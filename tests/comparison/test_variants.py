from pathlib import Path

import pytest

from gan.cli import parse_arguments
from gan.comparison.variants import parse_variant, parse_variants
from gan.errors import UsageError


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


def test_a_value_with_spaces():
    """A path stays one value, as it is."""
    variant = parse_variant("default,start_from=output/my  run")
    assert variant.flags == ["--recipe", "default", "--start-from", "output/my  run"]
    assert parse_arguments(variant.flags)[0].start_from == "output/my  run"


def test_file_names():
    """A label is part of the names of files as it is, but for what these cannot have and for its length."""
    assert parse_variant("default,noise=image").file_name == "default,noise=image"
    assert parse_variant("default,generator_betas=0 0.9").file_name == "default,generator_betas=0+0.9"
    names = [parse_variant(f"default,start_from={start}").file_name for start in ("a/b", "a_b", "ä" * 150, "ä" * 151)]
    assert names[0].startswith("default,start_from=a_b-") and names[1] == "default,start_from=a_b"
    assert len(set(names)) == 4 and all(len(name.encode()) < 225 for name in names)


def test_a_file(tmp_path, monkeypatch):
    """@FILE stands for its lines, each a variant, with as many seeds each as are given after the name.

    Empty lines and comments are none. The name may have a colon, as on Windows.
    """
    monkeypatch.chdir(tmp_path)
    Path("a:variants.txt").write_text(
        "\ufeffdefault\n\n default,noise_size=16 \n# longer ones\ndefault,depth=1", "utf-8"
    )
    for item, count in (("@a:variants.txt", 1), ("@a:variants.txt:2", 2)):
        found = parse_variants([item, "default:3"])
        assert {variant.label: seeds for variant, seeds in found.items()} == {
            "default": 3, "default,noise_size=16": count, "default,depth=1": count,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"\xff\xfe\x00", "decode"),
        (b"\n# default\n", "has no variant"),
        (b"default\n\nno-such-recipe\n", "line 3.*no-such-recipe"),
    ],
)
def test_a_file_that_is_refused(tmp_path, content, words):
    """A file that is missing, is no text or has no variant is named, and so is a line that is none."""
    path = tmp_path / "variants.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"variants.txt.*{words}"):
        parse_variants([f"@{path}"])
