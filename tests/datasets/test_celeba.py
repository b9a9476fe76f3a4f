import os

import numpy as np
import pytest
from data_files import encode_png, open_data, read_pixels, save_zip
from helpers import serving

from gan.datasets import celeba as celeba_source
from gan.errors import RunError


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Requests to the loopback address use no proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_downloads_once(tmp_path, monkeypatch, eight):
    """CelebA is downloaded to the cache folder once, and then read from there."""
    body = save_zip(tmp_path / "a.zip", {"celeba/1.png": encode_png(eight[0])}).read_bytes()
    with serving(body) as (url, requests):
        monkeypatch.setattr(celeba_source, "URL", url)
        for _ in range(2):
            source = open_data("celeba", cache_dir=tmp_path / "c")
            np.testing.assert_array_equal(read_pixels(source), eight[:1])
    assert len(requests) == 1
    assert os.listdir(tmp_path / "c") == ["faces.zip"]


@pytest.mark.parametrize(("files", "words"), [(None, "not a zip file"), ({"a.txt": b"x"}, "no images")])
def test_wrong_file(tmp_path, monkeypatch, files, words):
    """An error page or a zip without images is deleted; the error says where to save the right file."""
    body = save_zip(tmp_path / "a.zip", files).read_bytes() if files else b"<html>Sorry</html>"
    with serving(body) as (url, _), pytest.raises(RunError, match=words) as caught:
        monkeypatch.setattr(celeba_source, "URL", url)
        open_data("celeba", cache_dir=tmp_path / "c")
    assert str(tmp_path / "c" / "faces.zip") in str(caught.value)
    assert os.listdir(tmp_path / "c") == []


def test_real_zip(celeba):
    """A part of the real zip has 30,021 images of 64x64, and four files of macOS, which are passed over."""
    source = open_data(celeba)
    assert len(source.names) == 30_021
    assert {reason for _, reason in source.passed_over} == {"left behind by macOS"}
    assert len(source.passed_over) == 4
    assert source.read(30_020)[1] == ("RGB", (64, 64))
