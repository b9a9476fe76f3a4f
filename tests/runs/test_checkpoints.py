import os
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.errors import RunError, UsageError
from gan.runs import checkpoints


def contents(number):
    """What a checkpoint holds: an array of every type that a game's state has, another for each number."""
    rng = np.random.default_rng(number)
    return {
        "iteration": np.int64(2**40 + number),
        "generator/000": rng.normal(size=(3, 2)).astype(np.float32),
        "generator/001": rng.normal(size=3000).astype(np.float32),
        "counter": np.int32(number),
        "dropout": rng.integers(2**32, size=2, dtype=np.uint32),
        "exact": np.float64(number + 1 / 3),
        "flag": np.bool_(number % 2),
    }


def blank():
    """Variables to restore into, all zero: Keras's own, as networks have, and one of TensorFlow's."""
    shapes = {name: (array.shape, array.dtype.name) for name, array in contents(0).items() if name != "iteration"}
    made = {name: keras.Variable(tf.zeros(shape, dtype), dtype=dtype) for name, (shape, dtype) in shapes.items()}
    return {"iteration": tf.Variable(0, dtype=tf.int64), **made}


def assert_holds(variables, number):
    """All variables are bit for bit those of the number's checkpoint."""
    for name, array in contents(number).items():
        found = np.asarray(variables[name])
        np.testing.assert_array_equal(found, array, err_msg=name)
        assert found.dtype == array.dtype


def assert_untouched(variables):
    """No variable has been assigned to."""
    assert not any(np.asarray(variable).any() for variable in variables.values())


@pytest.fixture
def two(tmp_path):
    """A folder with the checkpoints of iterations 1 and 2."""
    for number in (1, 2):
        checkpoints.save(tmp_path, number, contents(number))
    return tmp_path


def test_round_trip(tmp_path):
    """Every type and shape comes back bit for bit; what is not a variable's is returned."""
    checkpoints.save(tmp_path / "new" / "folder", 3, {**contents(3), "seconds": np.float64(1.5)})
    variables = blank()
    rest = checkpoints.restore(tmp_path / "new" / "folder", variables)
    assert_holds(variables, 3)
    assert rest == {"seconds": 1.5}


def test_nothing_to_restore(tmp_path):
    """No folder, or none of its files a checkpoint: nothing is assigned, nothing returned."""
    (tmp_path / ".000000009.npz.x.part").write_bytes(b"half")
    (tmp_path / "mine.npz").write_bytes(b"mine")
    variables = blank()
    assert checkpoints.restore(tmp_path, variables) == checkpoints.restore(tmp_path / "no", variables) == {}
    assert_untouched(variables)


def test_checkpoints_that_were_removed(tmp_path):
    """A run whose checkpoints are gone does not start anew over what is left of it."""
    (tmp_path / "generator.keras").write_bytes(b"trained for a night")
    variables = blank()
    with pytest.raises(UsageError, match="--run"):
        checkpoints.restore(tmp_path / "checkpoints", variables)
    assert_untouched(variables)


def test_two_are_kept_and_the_newest_restored(tmp_path):
    """After four saves, two files; order is of number, over any count of digits; other files stay."""
    (tmp_path / "mine.npz").write_bytes(b"mine")
    for number in (8, 9, 10, 2_000_000):
        checkpoints.save(tmp_path, number, contents(number))
    assert sorted(os.listdir(tmp_path)) == ["000000010.npz", "002000000.npz", "mine.npz"]
    variables = blank()
    checkpoints.restore(tmp_path, variables)
    assert_holds(variables, 2_000_000)


def damage(path, how):
    """Spoils a file in one of the ways that disks and people do."""
    content = bytearray(path.read_bytes())
    if how == "a flipped bit":
        content[content.index(contents(2)["generator/001"].tobytes()) + 5000] ^= 4
    if how == "truncated":
        del content[len(content) // 2 :]
    if how == "empty":
        content.clear()
    if how == "zeros":
        content = bytes(len(content))
    if how == "a header that asks for less":  # so that NumPy stops before the end, where the checksum is
        at = content.index(b"<f4", content.index(b"generator/001.npy"))
        content[at : at + 3] = b"<f2"
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["a flipped bit", "truncated", "empty", "zeros", "a header that asks for less"])
def test_a_damaged_one_falls_back(two, how):
    """The older checkpoint is restored, with a warning that names the damaged file."""
    damage(two / "000000002.npz", how)
    variables = blank()
    with pytest.warns(UserWarning, match=r"000000002\.npz is damaged, or of another version .*passed over") as caught:
        checkpoints.restore(two, variables)
    assert len(caught) == 1
    assert_holds(variables, 1)


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_any_changed_byte_is_noticed_or_harmless(two):
    """400 files of which one byte is another: each restores whole, the newest or the one before it."""
    path, found = two / "000000002.npz", {1: 0, 2: 0}
    content, rng = path.read_bytes(), np.random.default_rng(0)
    places = [i for i in range(len(content)) if not 1500 < i < 13_000]  # little of the one large array
    variables = {name: Stub(array.shape) for name, array in contents(0).items()}
    for place in rng.choice(places, 400):
        changed = bytearray(content)
        changed[place] ^= rng.integers(1, 256)
        path.write_bytes(changed)
        checkpoints.restore(two, variables)
        number = int(variables["counter"].value)
        found[number] += 1
        assert_holds({name: variable.value for name, variable in variables.items()}, number)
    assert found[1] > 200 and found[2] > 10  # some bytes, as a file's date, matter to nobody


class Stub:
    """A variable that costs nothing to assign to."""

    def __init__(self, shape):
        self.shape = shape

    def assign(self, value):
        self.value = value


def test_all_damaged(two):
    """RunError, which says where and what to do, and no variable has been touched."""
    damage(two / "000000001.npz", "truncated")
    damage(two / "000000002.npz", "a flipped bit")
    variables = blank()
    with pytest.warns(UserWarning, match="is damaged") as caught, pytest.raises(RunError, match="give --run another"):
        checkpoints.restore(two, variables)
    assert ["000000002" in str(w.message) for w in caught] == [True, False]
    assert_untouched(variables)


@pytest.mark.parametrize("name", ["generator/000", "flag"])
def test_another_shape_or_a_missing_array(tmp_path, name):
    """Arrays of another network are refused before the first variable is assigned."""
    wrong = contents(1)
    if name == "flag":
        del wrong[name]
    else:
        wrong[name] = wrong[name].T
    checkpoints.save(tmp_path, 1, wrong)
    variables = blank()
    with pytest.warns(UserWarning, match=name), pytest.raises(RunError):
        checkpoints.restore(tmp_path, variables)
    assert_untouched(variables)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_old_ones(two, monkeypatch, error):
    """When writing fails half-way, both older checkpoints are as they were and no temporary is left."""
    before = {path.name: path.read_bytes() for path in two.iterdir()}

    def half(file, **arrays):
        file.write(b"half a file")
        raise error

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(type(error)):
        checkpoints.save(two, 3, contents(3))
    assert {path.name: path.read_bytes() for path in two.iterdir()} == before


class Evil:
    """Pickled, it asks to be unpickled by making a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_pickle_is_opened(tmp_path):
    """A checkpoint with an array of objects is refused, and the code in it has not run."""
    trap = np.empty((), object)
    trap[()] = Evil(tmp_path / "ran")
    checkpoints.save(tmp_path / "checkpoints", 1, {**contents(1), "seconds": trap})
    with zipfile.ZipFile(tmp_path / "checkpoints" / "000000001.npz") as file:
        assert b"mkdir" in file.read("seconds.npy")
    with pytest.warns(UserWarning, match="pickle"), pytest.raises(RunError):
        checkpoints.restore(tmp_path / "checkpoints", blank())
    assert not (tmp_path / "ran").exists()


def test_weights_are_told_from_headers(tmp_path):
    """Of the two networks only, and only what is a weight."""
    arrays = {
        "generator/000": np.zeros((3, 4), np.float32), "generator/001": np.zeros(2, np.uint32),
        "discriminator/000": np.zeros((), np.float16), "averaged/000": np.zeros(9), "iteration": np.int64(3),
    }  # fmt: skip
    checkpoints.save(tmp_path, 3, arrays)
    assert checkpoints.count_weights(checkpoints.list_paths(tmp_path)[0]) == {"generator": 12, "discriminator": 1}
