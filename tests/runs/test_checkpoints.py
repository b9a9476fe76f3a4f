import io
import os
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.errors import RunError, UsageError
from gan.runs import checkpoints


def contents(number):
    """The arrays of a checkpoint, with all dtypes that the state of a DCGAN has; `number` is the seed."""
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


def zero_variables():
    """Variables of zeros to restore into, of Keras except for one of TensorFlow."""
    shapes = {name: (array.shape, array.dtype.name) for name, array in contents(0).items() if name != "iteration"}
    made = {name: keras.Variable(tf.zeros(shape, dtype), dtype=dtype) for name, (shape, dtype) in shapes.items()}
    return {"iteration": tf.Variable(0, dtype=tf.int64), **made}


def assert_holds(variables, number):
    """Asserts that all variables are bit-identical to `contents(number)`."""
    for name, array in contents(number).items():
        found = np.asarray(variables[name])
        np.testing.assert_array_equal(found, array, err_msg=name)
        assert found.dtype == array.dtype


def assert_unassigned(variables):
    """Asserts that no variable was assigned."""
    assert not any(np.asarray(variable).any() for variable in variables.values())


@pytest.fixture
def two(tmp_path):
    """A folder with the checkpoints of iterations 1 and 2."""
    for number in (1, 2):
        checkpoints.save(tmp_path, number, contents(number))
    return tmp_path


def test_round_trip(tmp_path):
    """Arrays of all dtypes and shapes are restored bit-identically; those of no variable are returned."""
    checkpoints.save(tmp_path / "new" / "folder", 3, {**contents(3), "seconds": np.float64(1.5)})
    variables = zero_variables()
    rest = checkpoints.restore(tmp_path / "new" / "folder", variables)
    assert_holds(variables, 3)
    assert rest == {"seconds": 1.5}


def test_a_third_checkpoint(two):
    """A third checkpoint, of a process that was killed before it removed the oldest, is removed at the next start."""
    oldest = (two / "000000001.npz").read_bytes()
    checkpoints.save(two, 3, contents(3))
    (two / "000000001.npz").write_bytes(oldest)
    checkpoints.restore(two, zero_variables())
    assert [path.name for path in checkpoints.list_paths(two)] == ["000000002.npz", "000000003.npz"]


def test_nothing_to_restore(tmp_path):
    """Without a folder, or without a checkpoint in it, nothing is assigned or returned."""
    (tmp_path / ".000000009.npz.x.part").write_bytes(b"half")
    (tmp_path / "mine.npz").write_bytes(b"mine")
    variables = zero_variables()
    assert checkpoints.restore(tmp_path, variables) == checkpoints.restore(tmp_path / "no", variables) == {}
    assert_unassigned(variables)


@pytest.mark.parametrize("name", ["generator.keras", "best.keras"])
def test_removed_checkpoints(tmp_path, name):
    """A run with a generator but without checkpoints raises a UsageError and does not start again."""
    (tmp_path / name).write_bytes(b"trained for a night")
    variables = zero_variables()
    with pytest.raises(UsageError, match="--run"):
        checkpoints.restore(tmp_path / "checkpoints", variables)
    assert_unassigned(variables)


def test_the_last_two_are_kept(tmp_path):
    """The two checkpoints of the highest iterations are kept, and the last is restored; other files stay."""
    (tmp_path / "mine.npz").write_bytes(b"mine")
    for number in (8, 9, 10, 2_000_000):
        checkpoints.save(tmp_path, number, contents(number))
    assert sorted(os.listdir(tmp_path)) == ["000000010.npz", "002000000.npz", "mine.npz"]
    variables = zero_variables()
    checkpoints.restore(tmp_path, variables)
    assert_holds(variables, 2_000_000)


def damage(path, how):
    """Damages a checkpoint of iteration 2."""
    content = bytearray(path.read_bytes())
    if how == "a flipped bit":
        content[content.index(contents(2)["generator/001"].tobytes()) + 5000] ^= 4
    if how == "truncated":
        del content[len(content) // 2 :]
    if how == "empty":
        content.clear()
    if how == "zeros":
        content = bytes(len(content))
    if how == "a header of a smaller dtype":  # NumPy stops reading before the end, where the checksum is
        at = content.index(b"<f4", content.index(b"generator/001.npy"))
        content[at : at + 3] = b"<f2"
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["a flipped bit", "truncated", "empty", "zeros", "a header of a smaller dtype"])
def test_a_damaged_checkpoint_is_skipped(two, how):
    """If the last checkpoint is damaged, a warning names it, and the one before is restored."""
    damage(two / "000000002.npz", how)
    variables = zero_variables()
    with pytest.warns(UserWarning, match=r"000000002\.npz is damaged, or of another version .*passed over") as caught:
        checkpoints.restore(two, variables)
    assert len(caught) == 1
    assert_holds(variables, 1)


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_changed_bytes_are_detected_or_harmless(two):
    """After a change of any one byte, the last checkpoint or the one before is restored without errors."""
    path, found = two / "000000002.npz", {1: 0, 2: 0}
    content, rng = path.read_bytes(), np.random.default_rng(0)
    offsets = [i for i in range(len(content)) if not 1500 < i < 13_000]  # without most of the one large array
    variables = {name: Stub(array.shape) for name, array in contents(0).items()}
    for offset in rng.choice(offsets, 400):
        changed = bytearray(content)
        changed[offset] ^= rng.integers(1, 256)
        path.write_bytes(changed)
        checkpoints.restore(two, variables)
        number = int(variables["counter"].value)
        found[number] += 1
        assert_holds({name: variable.value for name, variable in variables.items()}, number)
    assert found[1] > 200 and found[2] > 10  # some bytes are not used, as those of a date


class Stub:
    """A variable that is faster to assign than Keras's."""

    def __init__(self, shape):
        self.shape = shape

    def assign(self, value):
        self.value = value


def test_all_damaged(two):
    """If all checkpoints are damaged, a RunError says what to do, and no variable is assigned."""
    damage(two / "000000001.npz", "truncated")
    damage(two / "000000002.npz", "a flipped bit")
    variables = zero_variables()
    with pytest.warns(UserWarning, match="is damaged") as caught, pytest.raises(RunError, match="give --run another"):
        checkpoints.restore(two, variables)
    assert ["000000002" in str(w.message) for w in caught] == [True, False]
    assert_unassigned(variables)


@pytest.mark.parametrize("name", ["generator/000", "flag"])
def test_wrong_shape_or_missing_array(tmp_path, name):
    """A checkpoint with an array of another shape, or without an array, is refused before any variable is assigned."""
    wrong = contents(1)
    if name == "flag":
        del wrong[name]
    else:
        wrong[name] = wrong[name].T
    checkpoints.save(tmp_path, 1, wrong)
    variables = zero_variables()
    with pytest.warns(UserWarning, match=name), pytest.raises(RunError):
        checkpoints.restore(tmp_path, variables)
    assert_unassigned(variables)


def store(**arrays):
    """Writes arrays uncompressed, as checkpoints are."""
    return lambda path: np.savez(path, **arrays)


def declare_more(path):
    """Writes a header that says 2**40 numbers, with a right checksum."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2**40,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("generator/000.npy", file.getvalue())


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (store(**{**contents(1), "flag": np.array("yes")}), "flag.npy is not as it is saved"),
        (store(**{**contents(1), "exact": np.complex64(1)}), "exact.npy is not as it is saved"),
        (store(**contents(1), seconds=np.zeros(2)), r"seconds has shape \(2,\)"),
        (store(**contents(1), validation=np.float64(0)), "validation has shape"),
        (lambda path: np.savez_compressed(path, **contents(1)), "not as it is saved"),
        (declare_more, "shorter than its header says"),
        (lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "text"), "magic"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_was_not_saved_by_a_training(tmp_path, write, reason):
    """A whole file with other types, shapes or compression is refused before any variable is assigned."""
    write(tmp_path / "000000001.npz")
    variables = zero_variables()
    with pytest.warns(UserWarning, match=reason), pytest.raises(RunError):
        checkpoints.restore(tmp_path, variables)
    assert_unassigned(variables)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_save_keeps_earlier_checkpoints(two, monkeypatch, error):
    """If saving fails, the earlier checkpoints are unchanged, and no temporary file is left."""
    before = {path.name: path.read_bytes() for path in two.iterdir()}

    def save_half(file, **arrays):
        file.write(b"half a file")
        raise error

    monkeypatch.setattr(np, "savez", save_half)
    with pytest.raises(type(error)):
        checkpoints.save(two, 3, contents(3))
    assert {path.name: path.read_bytes() for path in two.iterdir()} == before


class Malicious:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_not_loaded(tmp_path):
    """A checkpoint with a pickled object is refused, and the object's code is not run."""
    array = np.empty((), object)
    array[()] = Malicious(tmp_path / "ran")
    checkpoints.save(tmp_path / "checkpoints", 1, {**contents(1), "seconds": array})
    with zipfile.ZipFile(tmp_path / "checkpoints" / "000000001.npz") as file:
        assert b"mkdir" in file.read("seconds.npy")
    with pytest.warns(UserWarning, match="not as it is saved"), pytest.raises(RunError):
        checkpoints.restore(tmp_path / "checkpoints", zero_variables())
    assert not (tmp_path / "ran").exists()


def test_count_weights(tmp_path):
    """The weights of generator and discriminator are counted, without the EMA and other arrays."""
    arrays = {
        "generator/000": np.zeros((3, 4), np.float32), "generator/001": np.zeros(2, np.uint32),
        "discriminator/000": np.zeros((), np.float16), "averaged/000": np.zeros(9), "iteration": np.int64(3),
    }  # fmt: skip
    checkpoints.save(tmp_path, 3, arrays)
    assert checkpoints.count_weights(checkpoints.list_paths(tmp_path)[0]) == {"generator": 12, "discriminator": 1}
