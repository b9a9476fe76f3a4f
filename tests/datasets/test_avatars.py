import io
import json
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from data_files import open_data
from PIL import Image

from gan.datasets import Request, avatars, open_source


@pytest.fixture(scope="module")
def drawn():
    """500 avatars of seed 0 at 32x32, and their attributes."""
    return avatars.draw(500, 32, 0)


def color_of(attribute, value):
    """The color of a value, RGB."""
    return tuple(bytes.fromhex(avatars.ATTRIBUTES[attribute][value][0]))


def test_shapes(drawn):
    """Images are uint8 (count, size, size, 3); every attribute has one known value for each avatar."""
    images, attributes = drawn
    assert images.shape == (500, 32, 32, 3) and images.dtype == np.uint8
    assert list(attributes) == list(avatars.ATTRIBUTES)
    for name, values in attributes.items():
        assert len(values) == 500 and set(values) <= set(avatars.ATTRIBUTES[name])


def test_avatars_do_not_depend_on_the_count(drawn):
    """Avatar number i of a seed is the same for every count, and in every call."""
    images, attributes = avatars.draw(20, 32, 0)
    np.testing.assert_array_equal(images, drawn[0][:20])
    assert attributes == {name: values[:20] for name, values in drawn[1].items()}


def test_seeds_are_independent(drawn):
    """Another seed gives other avatars, not the same ones at other numbers."""
    known = {image.tobytes() for image in drawn[0]}
    images, _ = avatars.draw(20, 32, 1)
    assert sum(image.tobytes() in known for image in images) < 2


def test_attributes_are_the_same_on_every_machine():
    """The values for [0, 0] and [2026, 7] are those that NumPy's PCG64 gave when this test was written."""
    first = "green light bald black raised narrow content short none blazer charcoal"
    other = "lilac pale long brown relaxed open open none none blazer white"
    assert " ".join(avatars.sample_attributes(0, 0).values()) == first
    assert " ".join(avatars.sample_attributes(2026, 7).values()) == other


def test_nearly_all_avatars_differ(drawn):
    """At least 490 of 500 avatars are different images."""
    assert len({image.tobytes() for image in drawn[0]}) >= 490


def test_a_small_avatar_is_the_large_one_reduced(drawn):
    """An avatar at 32x32 is that at 128x128, with the mean of 4x4 pixels in each."""
    large, _ = avatars.draw(5, 128, 0)
    reduced = large.reshape(5, 32, 4, 32, 4, 3).mean((2, 4))
    assert np.abs(reduced - drawn[0][:5]).max() <= 0.5


def test_background(drawn):
    """The upper left pixel has exactly the color of the background attribute."""
    images, attributes = drawn
    for image, value in zip(images, attributes["background"], strict=True):
        assert tuple(image[0, 0]) == color_of("background", value)


def test_skin(drawn):
    """Where there are no glasses, a pixel between the eyes has exactly the color of the skin attribute."""
    images, attributes = drawn
    for image, value, glasses in zip(images, attributes["skin"], attributes["glasses"], strict=True):
        assert glasses != "none" or tuple(image[16, 15]) == color_of("skin", value)


def test_hair(drawn):
    """Where bangs cover the forehead, a pixel of it has the color of the hair_color attribute."""
    images, attributes = drawn
    for image, hair, value in zip(images, attributes["hair"], attributes["hair_color"], strict=True):
        assert hair != "bangs" or tuple(image[7, 16]) == color_of("hair_color", value)


def test_eyes_fill_whole_pixels(drawn):
    """Open eyes are 2x2 pixels each, symmetric, and leave the pixels beside them unchanged."""
    images, attributes = drawn
    looks = zip(*(attributes[name] for name in ("hair", "eyes", "glasses")), strict=True)
    face = images[list(looks).index(("bald", "open", "none"))]
    skin = face[16, 15]
    for row in face[14:16]:
        assert [x for x in range(9, 23) if (row[x] != skin).any()] == [11, 12, 19, 20]


def test_layers_compose_the_whole_drawing():
    """Avatars composed of layers equal those that DiceBear and resvg draw at once."""
    images, attributes = avatars.draw(3, 128, 5)
    for index, image in enumerate(images):
        whole = draw_at_once({name: values[index] for name, values in attributes.items()}, 128)
        difference = np.abs(image.astype(int) - whole)
        assert difference.max() <= 6 and difference.mean() < 0.1  # each layer is rounded to 8 bits


def draw_at_once(attributes, size):
    """Draws an avatar from DiceBear's own file, uint8 (size, size, 3)."""
    import resvg_py
    from dicebear import Avatar, Style

    drawing = json.loads(files("dicebear_styles").joinpath("avataaars.json").read_text("utf-8"))
    options = dict(avatars.FIXED, backgroundColor=[avatars.ATTRIBUTES["background"][attributes["background"]][0]])
    for part, names in avatars.LAYERS.items():
        values = {option: avatars.ATTRIBUTES[name][attributes[name]][0] for option, name in names.items()}
        visible = None not in values.values()
        options |= {option: [value] for option, value in values.items() if value}
        options |= {f"{part}Probability": 100 * visible} if part != "path" else {}
    svg = Avatar(Style(drawing), options).to_string()
    crop = f'viewBox="{avatars.LEFT} {avatars.TOP} {avatars.SIDE} {avatars.SIDE}"'
    assert 'viewBox="0 0 280 280"' in svg
    png = resvg_py.svg_to_bytes(svg.replace('viewBox="0 0 280 280"', crop), width=size, height=size)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_frequencies():
    """3,000 avatars have every value; about one in five has glasses, and one in five a beard."""
    sampled = [avatars.sample_attributes(0, index) for index in range(3000)]
    for name, values in avatars.ATTRIBUTES.items():
        assert set(Counter(attributes[name] for attributes in sampled)) == set(values)
    for name in ("glasses", "beard"):
        assert 0.17 < np.mean([attributes[name] != "none" for attributes in sampled]) < 0.23


def test_excluded_combinations():
    """There are no beards with long hair, and no light hair on the two darkest skins."""
    for attributes in (avatars.sample_attributes(0, index) for index in range(1000)):
        assert attributes["hair"] != "long" or attributes["beard"] == "none"
        assert attributes["skin"] != "dark" or attributes["hair_color"] in ("black", "grey")


def test_progress():
    """progress(done, total) is called every hundred avatars and at the end."""
    calls = []
    avatars.draw(101, 16, 0, lambda done, total: calls.append((done, total)))
    assert calls == [(100, 101), (101, 101)]


def test_source_draws_when_prepared(monkeypatch, eight):
    """The source draws once, when it is prepared, with the size, number and seed of the request."""
    calls = []

    def draw(count, size, seed, progress):
        calls.append((count, size, seed))
        return eight[:count], {"hair": ["red"] * count}

    monkeypatch.setattr(avatars, "draw", draw)
    source = open_data("avatars", limit=5, seed=7)
    assert len(source.names) == 5
    assert calls == []
    source.prepare()
    np.testing.assert_array_equal([np.asarray(source.read(i)[0]) for i in range(5)], eight[:5])
    assert calls == [(5, 32, 7)]


def test_content_is_pinned():
    """The bytes that identify an avatar are the same at every size and in every version: they decide the split."""
    for size in (16, 32):
        source = open_source(Request("avatars", size, limit=1))
        source.prepare()
        assert source.read(0)[2] == (
            b"('green', 'light', 'bald', 'black', 'raised', 'narrow', 'content', 'short', 'none', 'blazer', 'charcoal')"
        )
    hair_colors = ["black", "brown", "auburn", "blond", "red", "grey"]  # a new spelling would be new content
    assert list(avatars.ATTRIBUTES["hair_color"]) == hair_colors


def test_identity(monkeypatch):
    """Number, seed, size and the version of the drawing each change the identity."""

    def identity(size=32, **options):
        return open_source(Request("avatars", size, **options)).identity

    identities = {identity(), identity(limit=5), identity(seed=1), identity(size=64)}
    assert identity(limit=avatars.COUNT) in identities  # the number without a limit
    monkeypatch.setattr(avatars, "VERSION", "another")
    assert len(identities | {identity()}) == 5
