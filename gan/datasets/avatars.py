"""Avatars: drawings of faces with known attributes, the built-in dataset.

    pixels, attributes = draw(10_000, 32, seed=0)  # uint8 (10000, 32, 32, 3), {"hair": ["bob", ...], ...}

The art is Avataaars by Pablo Stanley (https://avataaars.com, free for personal and commercial use), as remixed by
DiceBear (https://www.dicebear.com). An avatar is a stack of layers, of which there are some two hundred: each is
rendered once, and avatars are composed of them.
"""

import functools
import io
import json
from bisect import bisect
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from itertools import accumulate

import numpy as np
from PIL import Image

from gan import images
from gan.datasets.source import Request, Source, digest
from gan.labels import Attribute, Labels
from gan.progress import track_task

COUNT = 10_000  # avatars, unless --limit is given
VERSION = f"1 (dicebear-styles {version('dicebear-styles')})"  # raise the number when a pixel changes

# Attribute -> value -> (DiceBear's name for it, or None where there is no layer; its relative frequency).
# There are few colors and no rare shapes, so that a small network sees each of them often. The values are part of each
# avatar's digest, which decides whether it is held out: a new spelling would move avatars between the sides.
ATTRIBUTES = {
    "background": {"blue": ("d6e6f2", 1), "green": ("dbeadb", 1), "lilac": ("e6e0f0", 1)},
    "skin": {
        "pale": ("ffdbb4", 4),
        "light": ("edb98a", 4),
        "tan": ("d08b5b", 3),
        "brown": ("a8663f", 3),
        "dark": ("75493a", 3),
    },
    "hair": {
        "bald": (None, 2),
        "fringe": ("sides", 1),
        "cropped": ("theCaesar", 3),
        "short": ("shortFlat", 3),
        "waved": ("shortWaved", 3),
        "quiff": ("shortCurly", 3),
        "bun": ("bun", 2),
        "locks": ("dreads02", 2),
        "afro": ("fro", 2),
        "shaggy": ("shaggy", 2),
        "mullet": ("shaggyMullet", 2),
        "curly": ("curly", 2),
        "bob": ("bob", 3),
        "bangs": ("miaWallace", 2),
        "long": ("straight02", 3),
        "parted": ("straightAndStrand", 3),
        "swept": ("straight01", 2),
    },
    "hair_color": {
        "black": ("2c1b18", 8),
        "brown": ("724133", 8),
        "auburn": ("a55728", 4),
        "blond": ("d6b370", 5),
        "red": ("b8451f", 2),
        "grey": ("b9b4b0", 1),
    },
    "brows": {
        "relaxed": ("defaultNatural", 3),
        "raised": ("raisedExcitedNatural", 2),
        "flat": ("flatNatural", 1),
    },
    "eyes": {
        "open": ("default", 10),
        "smiling": ("happy", 2),
        "narrow": ("squint", 2),
        "winking": ("wink", 1),
    },
    "mouth": {
        "smiling": ("smile", 6),
        "open": ("default", 2),
        "content": ("twinkle", 4),
        "serious": ("serious", 3),
        "sad": ("sad", 1),
    },
    "beard": {
        "none": (None, 8),
        "short": ("beardLight", 1),
        "full": ("beardMedium", 1),
        "long": ("beardMajestic", 1),
        "moustache": ("moustacheMagnum", 1),
    },
    "glasses": {
        "none": (None, 16),
        "square": ("prescription02", 2),
        "round": ("round", 1),
        "dark": ("wayfarers", 1),
    },
    "clothes": {
        "shirt": ("shirtCrewNeck", 3),
        "v-neck": ("shirtVNeck", 2),
        "hoodie": ("hoodie", 2),
        "blazer": ("blazerAndShirt", 2),
    },
    "clothes_color": {
        "navy": ("25557c", 1),
        "sky": ("65a8e0", 1),
        "red": ("d9534f", 1),
        "white": ("f4f4f4", 1),
        "charcoal": ("3c4f5c", 1),
    },
}

# Part of the drawing -> DiceBear's option -> the attribute that sets it. From back to front.
LAYERS = {
    "path": {"skinColor": "skin"},  # head and neck
    "clothes": {"clothesVariant": "clothes", "clothesColor": "clothes_color"},
    "mouth": {"mouthVariant": "mouth"},
    "nose": {},
    "eyes": {"eyesVariant": "eyes"},
    "eyebrows": {"eyebrowsVariant": "brows"},
    "top": {"topVariant": "hair", "hairColor": "hair_color"},
    "facialHair": {"facialHairVariant": "beard", "facialHairColor": "hair_color"},
    "accessories": {"accessoriesVariant": "glasses"},
}
FIXED = {"accessoriesColor": ["262e33"]}  # dark frames

# The crop, in units of the drawing, which is 280 x 280. A 32nd of the side is 6.5, so that the eyes, which are 12 wide
# and 26 from the middle, fill 2 x 2 pixels each of a 32 x 32 image.
LEFT, TOP, SIDE = 36, 14.5, 208


def sample_attributes(seed: int, index: int) -> dict[str, str]:
    """Samples the attributes of one avatar, attribute -> value; they depend on the seed and the index alone."""
    chosen = {}
    uniform = np.random.default_rng([seed, index]).random(len(ATTRIBUTES))
    for (name, values), u in zip(ATTRIBUTES.items(), uniform, strict=True):
        frequencies = {value: frequency for value, (_, frequency) in values.items() if _is_allowed(name, value, chosen)}
        cumulative = list(accumulate(frequencies.values()))
        chosen[name] = list(frequencies)[bisect(cumulative, u * cumulative[-1])]
    return chosen


def _is_allowed(name: str, value: str, chosen: dict[str, str]) -> bool:
    """Whether a value goes with those chosen before: hair contrasts with skin, and no beard with long hair."""
    if name == "hair_color" and chosen["skin"] in ("brown", "dark"):
        return value in ("black", "grey")
    if name == "beard" and chosen["hair"] in ("mullet", "curly", "bob", "bangs", "long", "parted", "swept"):
        return value == "none"
    return True


def draw(
    count: int, size: int, seed: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Draws avatars.

    Avatar number i of a seed is the same for every count. The hair color of a bald avatar without a beard is not
    visible. `progress(done, total)` is called every hundred avatars and at the end.

    Returns:
        RGB uint8 (count, size, size, 3), and attribute -> the value of each avatar.
    """
    sampled = [sample_attributes(seed, index) for index in range(count)]
    pixels = np.empty((count, size, size, 3), np.uint8)
    factor = max(1, 128 // size)  # composed large, then reduced: else the background shines through at edges
    layer = functools.cache(functools.partial(_render_layer, factor * size))  # a cache for this call alone
    for done, attributes in enumerate(sampled, 1):
        pixels[done - 1] = np.asarray(_compose(attributes, factor * size, layer).reduce(factor))
        if done % 100 == 0 or done == count:
            progress(done, count)
    return pixels, {name: [attributes[name] for attributes in sampled] for name in ATTRIBUTES}


def _compose(attributes: dict[str, str], size: int, layer: Callable) -> Image.Image:
    """Pastes the layers of an avatar on its background; returns RGB."""
    names = {attribute: ATTRIBUTES[attribute][value][0] for attribute, value in attributes.items()}
    canvas = Image.new("RGB", (size, size), f"#{names['background']}")
    for part, options in LAYERS.items():
        values = [names[attribute] for attribute in options.values()]
        if None not in values:
            pixels, box = layer(part, *values)
            canvas.paste(pixels, box, pixels)
    return canvas


def _render_layer(size: int, part: str, *values: str) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Renders a part of the drawing with these values of its options: RGBA without its empty margins, and its box."""
    import resvg_py
    from dicebear import Avatar

    options = {option: [value] for option, value in zip(LAYERS[part], values, strict=True)}
    svg = Avatar(_style(part), FIXED | options).to_string()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    return image.crop(image.getbbox()), image.getbbox()


@functools.cache
def _style(part: str):
    """DiceBear's Avataaars style, cropped, with all parts but one removed."""
    from dicebear import Style

    drawing = json.loads(files("dicebear_styles").joinpath("avataaars.json").read_text("utf-8"))
    elements = [element for element in drawing["canvas"]["elements"] if element["name"] == part]
    moved = {"transform": f"translate({-LEFT} {-TOP})"}
    group = {"type": "element", "name": "g", "attributes": moved, "children": elements}
    components = {name: each for name, each in drawing["components"].items() if name == part}
    for each in components.values():
        each["probability"] = 100
    canvas = {"width": SIDE, "height": SIDE, "elements": [group]}
    return Style({**drawing, "canvas": canvas, "components": components})


def open_avatars(request: Request) -> Source:
    """Opens avatars, `request.limit` or else `COUNT` of them; they are drawn when they are prepared."""
    count, pixels, values = request.limit or COUNT, [], []

    def prepare() -> None:
        if values:
            return
        with track_task("Drawing avatars") as tick:
            pixels[:], attributes = draw(count, request.size, request.seed, progress=tick)
        values[:] = zip(*attributes.values(), strict=True)

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        image = images.from_array(pixels[i])
        return image, images.ImageInfo("RGB", image.size), repr(values[i]).encode()  # one digest for all sizes

    identity = digest("avatars", VERSION, count, request.seed, request.size)

    def labels() -> Labels:
        sampled = [sample_attributes(request.seed, i) for i in range(count)]
        attributes = tuple(Attribute(name, tuple(values)) for name, values in ATTRIBUTES.items())
        columns = [[each.values.index(row[each.name]) for row in sampled] for each in attributes]
        return Labels(attributes, np.array(columns, np.int32).T)

    return Source("avatars", identity, [f"avatar {i}" for i in range(count)], read, [], prepare, labels, avatars=True)
