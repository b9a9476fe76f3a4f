import io
import json
import subprocess
import sys
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from gan.datasets import avatars


@pytest.fixture(scope="module")
def drawn():
    """500 faces of seed 0 at 32 x 32, and their attributes."""
    return avatars.draw(500, 32, 0)


def colour(attribute, value):
    """The colour a value stands for, as an RGB triple."""
    return tuple(bytes.fromhex(avatars.ATTRIBUTES[attribute][value][0]))


def test_shapes(drawn):
    """Images are uint8 (count, size, size, 3); every attribute has one known word per face."""
    images, attributes = drawn
    assert images.shape == (500, 32, 32, 3) and images.dtype == np.uint8
    assert list(attributes) == list(avatars.ATTRIBUTES)
    for name, words in attributes.items():
        assert len(words) == 500 and set(words) <= set(avatars.ATTRIBUTES[name])


def test_the_first_faces_do_not_depend_on_how_many_follow(drawn):
    """Face i of a seed is the same whatever the count, and drawn again it is the same."""
    images, attributes = avatars.draw(20, 32, 0)
    np.testing.assert_array_equal(images, drawn[0][:20])
    assert attributes == {name: words[:20] for name, words in drawn[1].items()}


def test_another_seed_gives_other_faces(drawn):
    """Seeds are independent, not shifts of one another."""
    known = {image.tobytes() for image in drawn[0]}
    images, _ = avatars.draw(20, 32, 1)
    assert sum(image.tobytes() in known for image in images) < 2


def test_sampler_is_pinned():
    """The same words on every machine: these came from NumPy's PCG64 for [0, 0] and [2026, 7]."""
    first = "green light bald black raised narrow content short none blazer charcoal"
    other = "lilac pale long brown relaxed open open none none blazer white"
    assert " ".join(avatars.sample_attributes(0, 0).values()) == first
    assert " ".join(avatars.sample_attributes(2026, 7).values()) == other


def test_nearly_all_faces_differ(drawn):
    """500 faces, at least 490 different pictures."""
    assert len({image.tobytes() for image in drawn[0]}) >= 490


def test_a_small_face_is_the_large_one_reduced(drawn):
    """At 32 x 32 a face is the 128 x 128 one, four by four pixels averaged."""
    large, _ = avatars.draw(5, 128, 0)
    averaged = large.reshape(5, 32, 4, 32, 4, 3).mean((2, 4))
    assert np.abs(averaged - drawn[0][:5]).max() <= 0.5


def test_background_is_as_named(drawn):
    """The upper left pixel has exactly the colour of the background attribute."""
    images, attributes = drawn
    for image, value in zip(images, attributes["background"], strict=True):
        assert tuple(image[0, 0]) == colour("background", value)


def test_skin_is_as_named(drawn):
    """Between the eyes, where there are no glasses, a pixel has exactly the colour of the skin attribute."""
    images, attributes = drawn
    for image, value, glasses in zip(images, attributes["skin"], attributes["glasses"], strict=True):
        assert glasses != "none" or tuple(image[16, 15]) == colour("skin", value)


def test_hair_is_as_named(drawn):
    """Bangs cover the forehead: that pixel has the colour of the hair_color attribute."""
    images, attributes = drawn
    for image, hair, value in zip(images, attributes["hair"], attributes["hair_color"], strict=True):
        assert hair != "bangs" or tuple(image[7, 16]) == colour("hair_color", value)


def test_eyes_fill_whole_pixels(drawn):
    """Open eyes are two by two pixels each, symmetric, and nothing of them spills to the sides."""
    images, attributes = drawn
    plain = zip(*(attributes[name] for name in ("hair", "eyes", "glasses")), strict=True)
    face = images[list(plain).index(("bald", "open", "none"))]
    skin = face[16, 15]
    for row in face[14:16]:
        assert [x for x in range(9, 23) if (row[x] != skin).any()] == [11, 12, 19, 20]


def test_layers_add_up_to_the_whole_drawing():
    """Pasted from layers, faces look as DiceBear and resvg draw them in one go."""
    images, attributes = avatars.draw(3, 128, 5)
    for index, image in enumerate(images):
        whole = in_one_go({name: words[index] for name, words in attributes.items()}, 128)
        apart = np.abs(image.astype(int) - whole)
        assert apart.max() <= 6 and apart.mean() < 0.1  # each layer is rounded to 8 bits


def in_one_go(face, size):
    """The face drawn whole from DiceBear's own file, uint8 (size, size, 3)."""
    import resvg_py
    from dicebear import Avatar, Style

    drawing = json.loads(files("dicebear_styles").joinpath("avataaars.json").read_text("utf-8"))
    options = dict(avatars.FIXED, backgroundColor=[avatars.ATTRIBUTES["background"][face["background"]][0]])
    for part, names in avatars.LAYERS.items():
        called = {option: avatars.ATTRIBUTES[name][face[name]][0] for option, name in names.items()}
        visible = None not in called.values()
        options |= {option: [value] for option, value in called.items() if value}
        options |= {f"{part}Probability": 100 * visible} if part != "path" else {}
    svg = Avatar(Style(drawing), options).to_string()
    crop = f'viewBox="{avatars.LEFT} {avatars.TOP} {avatars.SIDE} {avatars.SIDE}"'
    assert 'viewBox="0 0 280 280"' in svg
    png = resvg_py.svg_to_bytes(svg.replace('viewBox="0 0 280 280"', crop), width=size, height=size)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_every_value_occurs_about_as_often_as_meant():
    """In 3,000 faces every value is there; glasses and beards are on one face in five."""
    faces = [avatars.sample_attributes(0, index) for index in range(3000)]
    for name, values in avatars.ATTRIBUTES.items():
        assert set(Counter(face[name] for face in faces)) == set(values)
    for name in ("glasses", "beard"):
        assert 0.17 < np.mean([face[name] != "none" for face in faces]) < 0.23


def test_what_does_not_go_together():
    """No beard under long hair, and no fair hair on the two darkest skins."""
    for face in (avatars.sample_attributes(0, index) for index in range(1000)):
        assert face["hair"] != "long" or face["beard"] == "none"
        assert face["skin"] != "dark" or face["hair_color"] in ("black", "grey")


def test_progress_is_told():
    """progress(done, total) ends at the total."""
    told = []
    avatars.draw(101, 16, 0, lambda done, total: told.append((done, total)))
    assert told == [(100, 101), (101, 101)]


def test_importing_is_cheap():
    """The drawing packages and TensorFlow are not loaded by naming the module."""
    heavy = {"tensorflow", "keras", "dicebear", "resvg_py"}
    code = f"import sys, gan.datasets.avatars; print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"
