"""Results of a comparison that are damaged, or say another name."""

import copy
import json
from pathlib import Path

import pytest

from gan.comparison import results
from gan.errors import UsageError

NOISE = json.loads((Path(__file__).parents[2] / "results" / "noise.json").read_text("utf-8"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of results, in a temporary one."""
    monkeypatch.chdir(tmp_path)
    results.FOLDER.mkdir()
    return tmp_path / results.FOLDER


def test_the_name_is_that_of_the_file(folder):
    """What the document says does not decide where its page is written."""
    (folder / "mine.json").write_text(json.dumps({**NOISE, "name": "../../elsewhere"}))
    page = results.write(results.read("mine"))
    assert page.startswith("# mine: ") and sorted(path.name for path in folder.iterdir()) == ["mine.json", "mine.md"]
    assert not list(folder.parent.parent.glob("elsewhere*"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["minutes"], "10"),
        (["rows"], {}),
        (["rows", 0], None),
        (["rows", 0, "sessions"], [3]),
        (["rows", 0, "sessions", 0, "machine"], "fast"),
        (["rows", 0, "scores", "kid-vgg"], {}),
        (["rows", 0, "weights"], "many"),
        (["rows", 0, "run"], None),
        (["rows", 0, "label"], 7),
        (["rows", 0, "protocol"], [1]),
        (["recipes", "default,noise=image"], None),
        (["recipes", "default,noise=image"], 10**12),
    ],
)
def test_damage_is_named(folder, path, value):
    """A value of another type anywhere in the document is an error that names the file."""
    document = copy.deepcopy(NOISE)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    (folder / "noise.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"noise\.json is damaged"):
        results.read("noise")
