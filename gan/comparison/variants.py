"""Variants: what a comparison compares, recipes with or without settings that override them.

plan = parse_variants(["default:3", "default,noise_size=16"])  # {Variant("default"): 3, Variant(...): 1}
plan = parse_variants(["@variants.txt:2"])  # a variant a line, two seeds of each
"""

import dataclasses
from dataclasses import dataclass

from gan.config import Config
from gan.errors import UsageError, summarize
from gan.files import expand_path
from gan.recipes import RECIPES
from gan.runs import legacy

# Settings that are the same in all runs of a comparison, or that the comparison itself sets.
SHARED = {
    "data", "limit", "sample", "crop", "allow_bad", "allow_truncated", "max_pixels", "accept_new_data", "cache_dir",
    "output", "holdout", "patience", "epochs", "steps_per_epoch", "minutes", "seed", "recipe", "run",
}  # fmt: skip
KINDS = {f.name: f.metadata["kind"] for f in dataclasses.fields(Config) if f.name not in SHARED}
# Settings of older versions keep their names, which are part of the names of runs.
FORMER_KINDS = {"flip": bool, **{old: KINDS[new] for old, new in legacy.SETTINGS.items()}}


@dataclass(frozen=True)
class Variant:
    """A recipe, and the settings, (name, text), that override it."""

    recipe: str
    overrides: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The variant as it is typed."""
        return ",".join([self.recipe, *(f"{name}={text}" for name, text in self.overrides)])

    @property
    def flags(self) -> list[str]:
        """The variant as flags of train.py."""
        typed = ["--recipe", self.recipe]
        for name, text in self.overrides:
            flag = name.replace("_", "-")
            if {**KINDS, **FORMER_KINDS}[name] is bool:
                typed.append(f"--{flag}" if text == "yes" else f"--no-{flag}")
            else:
                typed += [f"--{flag}", *text.split()]
        return typed


def parse_variants(items: list[str]) -> dict[Variant, int]:
    """Parses variants, and the number of seeds of each. Raises UsageError where one is not a variant."""
    found = {}
    for item in items:
        text, count = item.rsplit(":", 1) if ":" in item else (item, "1")
        if not (count.isdecimal() and int(count) > 0):
            raise UsageError(f"--recipes {item}: {count!r} is not a number of seeds from 1")
        texts = RECIPES if text == "all" else read_lines(text[1:]) if text.startswith("@") else [text]
        for variant in map(parse_variant, texts):
            found[variant] = max(found.get(variant, 0), int(count))
    return found


def read_lines(name: str) -> list[str]:
    """Reads the variants in a file, one a line; empty lines are none. Raises UsageError where it cannot be read."""
    try:
        lines = expand_path(name).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--recipes @{name}: {summarize(error)}") from error
    return [line.strip() for line in lines if line.strip()]


def parse_variant(text: str) -> Variant:
    """Parses one variant, such as default,noise_size=16; its values are checked by train.py. Raises UsageError."""
    recipe, *settings = text.split(",")
    if recipe not in RECIPES:
        raise UsageError(f"--recipes {text}: there is no recipe {recipe!r}. There are: all, {', '.join(RECIPES)}")
    overrides = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        name = name.replace("-", "_")
        kind = {**KINDS, **FORMER_KINDS}.get(name)
        if not kind or not value.strip() or (kind is bool and value not in ("yes", "no")):
            raise UsageError(
                f"--recipes {text}: {setting!r} is not a setting that may differ and its value, such as noise_size=16"
                f" or reuse_fakes=no. There are: {', '.join(KINDS)}"
            )
        overrides[name] = " ".join(value.split())
    return Variant(recipe, tuple(sorted(overrides.items())))
