"""Variants: what a comparison compares, recipes with or without settings that override them.

plan = parse_variants(["default:3", "default,noise_size=16"], seeds=1)  # {Variant("default"): 3, Variant(...): 1}
"""

import dataclasses
from dataclasses import dataclass

from gan.config import Config
from gan.errors import UsageError
from gan.recipes import RECIPES

FIELDS = {field.name: field.metadata["kind"] for field in dataclasses.fields(Config)}
# Settings that are the same in all runs of a comparison, or that the comparison itself sets.
SHARED = {
    "data", "limit", "crop", "allow_bad", "cache_dir", "holdout", "patience", "epochs", "steps_per_epoch", "minutes",
    "seed", "recipe", "run",
}  # fmt: skip


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
            if FIELDS[name] is bool:
                typed.append(f"--{flag}" if text == "yes" else f"--no-{flag}")
            else:
                typed += [f"--{flag}", *text.split()]
        return typed


def parse_variants(items: list[str], seeds: int) -> dict[Variant, int]:
    """Parses variants, and the number of seeds of each. Raises UsageError where one is not a variant."""
    found = {}
    for item in items:
        text, colon, count = item.rpartition(":")
        if colon and not (count.isdecimal() and int(count) > 0):
            raise UsageError(f"--recipes {item}: {count!r} is not a number of seeds from 1")
        text = text if colon else item
        for variant in map(parse_variant, RECIPES if text == "all" else [text]):
            found[variant] = max(found.get(variant, 0), int(count) if colon else seeds)
    return found


def parse_variant(text: str) -> Variant:
    """Parses one variant, such as default,noise_size=16. Raises UsageError."""
    recipe, *settings = text.split(",")
    if recipe not in RECIPES:
        raise UsageError(f"--recipes {text}: there is no recipe {recipe!r}. There are: all, {', '.join(RECIPES)}")
    overrides = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        name = name.replace("-", "_")
        if name not in FIELDS or not equals or not value.strip():
            raise UsageError(
                f"--recipes {text}: {setting!r} is not a setting and its value, such as noise_size=16."
                f" There are: {', '.join(name for name in FIELDS if name not in SHARED)}"
            )
        if name in SHARED:
            raise UsageError(f"--recipes {text}: {name} is the same for all runs of a comparison")
        if FIELDS[name] is bool and value not in ("yes", "no"):
            raise UsageError(f"--recipes {text}: {name} is yes or no, not {value!r}")
        overrides[name] = " ".join(value.split())
    return Variant(recipe, tuple(sorted(overrides.items())))
