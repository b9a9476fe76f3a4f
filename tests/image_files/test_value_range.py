import re

import numpy as np
import pytest

from gan.image_files.value_range import count_values, describe_range, find_range, scale_to_uint8


@pytest.mark.parametrize(
    ("values", "black", "white"),
    [
        ([0, 1], 0, 1),
        ([0, 2], 0, 255),
        ([0, 255], 0, 255),
        ([0, 272], 0, 1023),
        ([3, 4095], 0, 4095),
        ([0, 65535], 0, 65535),
        ([0, 65536], 0, 2**20 - 1),
        ([0, 2**32 - 1], 0, 2**32 - 1),
        ([-4095, 0], -8192, 8191),
        ([-16, *range(0, 256, 8)], 0, 255),  # overshoots
        ([*range(0, 256, 8), 262], 0, 255),
        ([-128, 127], -128, 127),
        ([-129, 127], -512, 511),
        ([-32768, 32767], -32768, 32767),
        ([0.0, 1.0], 0, 1),
        ([-0.2, *[0.5] * 18, 1.2], 0, 1),
        ([-0.2, 0.2], -0.5, 0.5),
        ([-0.5, 0.5], -0.5, 0.5),
        ([-1.0, 0.0], -1, 1),
        ([-1.0, 1.0], -1, 1),
        ([0.0, 255.0], 0, 255),
        ([0.0, 4095.0], 0, 4095),
        ([0.0, 65535.0], 0, 65535),
    ],
)
def test_ranges(values, black, white):
    """Values that reach to both ends give the range; both ends become 0 and 255."""
    array = np.repeat(np.array(values), 1000)
    found = find_range(count_values(array))
    assert (found.black, found.white) == (black, white)
    ends = scale_to_uint8(np.array([black, white]), found)
    assert ends.dtype == np.uint8 and ends.tolist() == [0, 255]


@pytest.mark.parametrize(
    ("values", "black"), [([-4095, 0], -4095), ([-200, -3], -255), ([-0.9, -0.1], -1), ([3, 9], None)]
)
def test_ranges_of_negatives(values, black):
    """The negatives of images in which zero is white have ranges of their own."""
    found = find_range(count_values(np.repeat(np.array(values), 1000)), inverted=True)
    assert (found and (found.black, found.white)) == (black if black is None else (black, 0))


@pytest.mark.parametrize("values", [[-2.1, 2.6], [0, 5.0], [-50.0, 200.0], [0, 1e9], [-(2**33), 0], [0, 2**33]])
def test_no_range(values):
    """Normalized values, and others that no usual range explains, have none."""
    assert find_range(count_values(np.repeat(np.array(values), 1000))) is None


@pytest.mark.parametrize(("extreme", "white"), [(1, 4095), (2, 4095), (3, 65535)])
def test_a_thousandth_of_the_values_may_lie_outside(extreme, white):
    """Of 2,000 values two may be outside a range; a third one is evidence of another range."""
    values = np.full(2000, 4000)
    values[:extreme] = 65535
    found = find_range(count_values(values))
    assert found.white == white
    assert scale_to_uint8(values[:1], found) == 255


def test_counts_of_parts_are_those_of_the_whole():
    """Counts of parts add up to the counts of all values, for integers and floats."""
    draw = np.random.default_rng(0)
    for values in (draw.integers(-5000, 5000, 999), draw.normal(size=999), draw.normal(size=999).astype(np.float16)):
        parts = count_values(values[:10]) + count_values(values[10:600]) + count_values(values[600:])
        assert parts == count_values(values)


def test_description():
    """The description has the values that occur, and the range that they are read as."""
    counts = count_values(np.array([3, 4080, 4000], np.uint16))
    assert describe_range(counts, find_range(counts)) == "3 to 4,080, read as 12-bit"


@pytest.mark.parametrize(
    ("values", "share"),
    [
        (np.linspace(-0.1, 1, 1001), "7%"),
        (np.linspace(-0.05, 1, 1001), "3%"),
        (np.linspace(-0.02, 1, 1001), None),
        (np.linspace(-1, 1, 1001), None),
    ],
)
def test_what_is_cut_off_is_described(values, share):
    """The share of the values outside the range, from 1% on."""
    counts = count_values(values)
    assert re.findall(r"\d+%", describe_range(counts, find_range(counts))) == ([share] if share else [])
