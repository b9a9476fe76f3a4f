"""Drawn faces with attributes, made on the spot: what to train on when no other data is given.

The art is Avataaars by Pablo Stanley (https://avataaars.com, free for personal and commercial use), as
remixed by DiceBear (https://www.dicebear.com). A face is a pile of layers, and there are only some two
hundred different layers: each is drawn once, and the faces are pasted together from them.

    images, attributes = draw(10_000, 32, seed=0)
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

COUNT = 10_000  # how many are drawn where --limit does not tell
VERSION = f"1 (dicebear-styles {version('dicebear-styles')})"  # raise the number when a drawn pixel changes

# Attribute -> value -> (what DiceBear calls it, or None for nothing there; its share among the values).
# Few colours and no rare shapes, so that a small network sees each of them often.
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
    "hair_colour": {
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
    "clothes_colour": {
        "navy": ("25557c", 1),
        "sky": ("65a8e0", 1),
        "red": ("d9534f", 1),
        "white": ("f4f4f4", 1),
        "charcoal": ("3c4f5c", 1),
    },
}

# From back to front: the parts of the drawing, and which attribute sets which of DiceBear's options.
LAYERS = {
    "path": {"skinColor": "skin"},  # head and neck
    "clothes": {"clothesVariant": "clothes", "clothesColor": "clothes_colour"},
    "mouth": {"mouthVariant": "mouth"},
    "nose": {},
    "eyes": {"eyesVariant": "eyes"},
    "eyebrows": {"eyebrowsVariant": "brows"},
    "top": {"topVariant": "hair", "hairColor": "hair_colour"},
    "facialHair": {"facialHairVariant": "beard", "facialHairColor": "hair_colour"},
    "accessories": {"accessoriesVariant": "glasses"},
}
FIXED = {"accessoriesColor": ["262e33"]}  # dark frames

# The crop, in units of the drawing, which is 280 wide and high. A 32nd of the side is 6.5, so that the eyes,
# 12 across and 26 to each side of the middle, fill two by two pixels each of a 32 x 32 image.
LEFT, TOP, SIDE = 36, 14.5, 208


def sample(seed: int, index: int) -> dict[str, str]:
    """The attributes of one face: attribute -> value, from nothing but the two numbers."""
    face = {}
    spots = np.random.default_rng([seed, index]).random(len(ATTRIBUTES))
    for (name, values), spot in zip(ATTRIBUTES.items(), spots, strict=True):
        shares = {value: share for value, (_, share) in values.items() if _fits(name, value, face)}
        bounds = list(accumulate(shares.values()))
        face[name] = list(shares)[bisect(bounds, spot * bounds[-1])]
    return face


def _fits(name: str, value: str, face: dict[str, str]) -> bool:
    """Whether a value goes with the face so far: hair shows against skin, beards are for short hair."""
    if name == "hair_colour" and face["skin"] in ("brown", "dark"):
        return value in ("black", "grey")
    if name == "beard" and face["hair"] in ("mullet", "curly", "bob", "bangs", "long", "parted", "swept"):
        return value == "none"
    return True


def draw(
    count: int, size: int, seed: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Faces, RGB uint8 (count, size, size, 3), and their attributes, each a list of `count` words.

    Face i of a seed is the same whatever the count. Of a bald face without a beard, the hair colour is not
    seen. `progress(done, total)` is called every hundred faces and at the end.
    """
    faces = [sample(seed, index) for index in range(count)]
    images = np.empty((count, size, size, 3), np.uint8)
    finer = max(1, 128 // size)  # pasted large, then reduced: pasted small, edges let the background through
    layer = functools.cache(functools.partial(_layer, finer * size))  # kept no longer than this call
    for done, face in enumerate(faces, 1):
        images[done - 1] = np.asarray(_paste(face, finer * size, layer).reduce(finer))
        if done % 100 == 0 or done == count:
            progress(done, count)
    return images, {name: [face[name] for face in faces] for name in ATTRIBUTES}


def _paste(face: dict[str, str], size: int, layer: Callable) -> Image.Image:
    """The face on its background, RGB."""
    called = {name: ATTRIBUTES[name][value][0] for name, value in face.items()}
    canvas = Image.new("RGB", (size, size), f"#{called['background']}")
    for part, options in LAYERS.items():
        look = [called[name] for name in options.values()]
        if None not in look:
            pixels, box = layer(part, *look)
            canvas.paste(pixels, box, pixels)
    return canvas


def _layer(size: int, part: str, *look: str) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """One part of the drawing in one look, RGBA cut to what there is to see, and its place in the face."""
    import resvg_py
    from dicebear import Avatar

    options = {option: [value] for option, value in zip(LAYERS[part], look, strict=True)}
    svg = Avatar(_style(part), FIXED | options).to_string()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    return image.crop(image.getbbox()), image.getbbox()


@functools.cache
def _style(part: str):
    """The Avataaars drawing, cropped, with only one of its parts left in."""
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
    """Drawn faces, as many as `limit` or `COUNT`; no real person has rights in them."""
    count, pixels, values = request.limit or COUNT, [], []

    def prepare() -> dict[str, list[str]]:
        with request.progress("Drawing faces") as tick:
            drawn, attributes = draw(count, request.size, request.seed, progress=tick)
        pixels[:], values[:] = drawn, zip(*attributes.values(), strict=True)
        return attributes

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        image = images.from_array(pixels[i])
        return image, images.ImageInfo("RGB", image.size), repr(values[i]).encode()  # the same at every size

    identity = digest("avatars", VERSION, count, request.seed, request.size)
    return Source("avatars", identity, [f"avatar {i}" for i in range(count)], read, [], prepare)
