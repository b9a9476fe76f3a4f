import numpy as np
import pytest

from gan.datasets.sides import choose_sides

NONE = np.zeros((0, 2), np.int64)


def test_images_that_are_alone():
    """Each has its own digest, whatever the order of its bytes; so have copies with equal digests."""
    digests = np.array([5, 2**64 - 1, 0, 5], ">u8")
    for copies, groups in ((NONE, None), (NONE, [None] * 4), (np.array([[3, 0]]), None)):
        sides = choose_sides(digests, copies, groups)
        assert sides.tolist() == [5, 2**64 - 1, 0, 5] and sides.dtype == np.uint64


@pytest.mark.parametrize(
    ("copies", "groups", "alike"),
    [
        ([[2, 0], [3, 0]], None, [{0, 2, 3}]),
        ([], ["a", "a", None, "b", "b", None], [{0, 1}, {3, 4}]),
        ([[4, 1]], ["a", "a", None, None, None, None], [{0, 1, 4}]),  # alike through a copy
        ([[4, 1]], ["a", "a", "b", "b", "c", "c"], [{0, 1}, {2, 3}, {4, 5}]),
    ],
)
def test_images_that_are_alike(copies, groups, alike):
    """They have one number, also where they are alike through others, and no other image has it."""
    digests = np.array([9, 8, 17, 7, 6, 5], np.uint64)
    sides = choose_sides(digests, np.array(copies, np.int64).reshape(-1, 2), groups)
    for some in alike:
        assert len({sides[i] for i in some}) == 1
        assert not {sides[i] for i in some} & {sides[i] for i in range(6) if i not in some}
    alone = [i for i in range(6) if not any(i in some for some in alike)]
    assert sides[alone].tolist() == digests[alone].tolist()


def test_large_groups_are_held_out_as_often():
    """Of 2,000 groups of 50 images about a tenth have a number in the lowest tenth: 4 standard deviations are 54."""
    digests = np.random.default_rng(0).integers(0, 2**64, 100_000, np.uint64)
    sides = choose_sides(digests, NONE, [f"{i // 50}" for i in range(100_000)])
    assert 146 <= (sides[::50] < 2**64 // 10).sum() <= 254
