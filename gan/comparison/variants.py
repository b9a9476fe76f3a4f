"""Variants: what a comparison compares, recipes with or without settings that override them.

plan = parse_variants(["default:3", "default,noise_size=16"])  # {Variant("default"): 3, Variant(...): 1}
plan = parse_variants(["@variants.txt:2"])  # a variant a line, two seeds of each
"""

import dataclasses
import hashlib
import re
from dataclasses import dataclass

from gan.config import Config, format_flag, one_or_several
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
ALL_KINDS = {**KINDS, "flip": bool, **{old: KINDS[new] for old, new in legacy.SETTINGS.items()}}

LONGEST = 210  # bytes of a label in the name of a file, which has 255 at most


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
    def file_name(self) -> str:
        """The variant as a part of the names of its runs and grids."""
        return name_file(self.label)

    @property
    def flags(self) -> list[str]:
        """The variant as flags of train.py."""
        typed = ["--recipe", self.recipe]
        for name, text in self.overrides:
            if ALL_KINDS[name] is bool:
                typed.append(format_flag(name if text == "yes" else f"no_{name}"))
            else:
                typed += [format_flag(name), *(text.split() if is_several(name) else [text])]
        return typed


def is_several(name: str) -> bool:
    """Whether a setting has several values, with spaces between them."""
    return ALL_KINDS[name] in (tuple, one_or_several)


def name_file(label: str) -> str:
    """The label of a variant as a part of a file's name.

    Spaces are +. Where a label has what names of files cannot have, or is too long for one, its digest is added.
    """
    name = label.replace(" ", "+")
    known = re.sub(r'[/\\:*?"<>|]', "_", name).encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")
    digest = hashlib.blake2b(label.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    return name if known == name else f"{known}-{digest}"


def parse_variants(items: list[str]) -> dict[Variant, int]:
    """Parses variants, and the number of seeds of each. Raises UsageError where one is not a variant."""
    found = {}
    for item in items:
        text, colon, count = item.rpartition(":")
        if not colon or (item.startswith("@") and not count.isdecimal()):  # a colon may be part of a file's name
            text, count = item, "1"
        if not (count.isdecimal() and int(count) > 0):
            raise UsageError(f"--recipes {item}: {count!r} is not a number of seeds from 1")
        if text.startswith("@"):
            variants = read_variants(text[1:])
        else:
            variants = map(parse_variant, RECIPES if text == "all" else [text])
        for variant in variants:
            found[variant] = max(found.get(variant, 0), int(count))
    return found


def read_variants(name: str) -> list[Variant]:
    """Reads the variants in a file, one a line; empty lines and those that begin with # are none.

    Raises UsageError where the file cannot be read, has no variant, or a line that is none.
    """
    try:
        lines = expand_path(name).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--recipes @{name}: {summarize(error)}") from error
    variants = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            try:
                variants.append(parse_variant(line))
            except UsageError as error:
                raise UsageError(f"{name}, line {number}: {error}") from error
    if not variants:
        raise UsageError(f"--recipes @{name}: it has no variant. Write one a line, such as default,noise_size=16")
    return variants


def parse_variant(text: str) -> Variant:
    """Parses one variant, such as default,noise_size=16; its values are checked by train.py. Raises UsageError."""
    recipe, *settings = text.split(",")
    if recipe not in RECIPES:
        raise UsageError(
            f"--recipes {summarize(text)}: there is no recipe {summarize(repr(recipe))}. There are:"
            f" {', '.join(RECIPES)}, and all"
        )
    overrides = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        name = name.replace("-", "_")
        kind = ALL_KINDS.get(name)
        if not kind or not value.strip() or (kind is bool and value not in ("yes", "no")):
            raise UsageError(
                f"--recipes {text}: {setting!r} is not a setting that may differ and its value, such as noise_size=16"
                f" or reuse_fakes=no. There are: {', '.join(KINDS)}"
            )
        overrides[name] = " ".join(value.split()) if is_several(name) else value.strip()
    return Variant(recipe, tuple(sorted(overrides.items())))
