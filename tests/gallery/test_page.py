"""The page as a file: what is on it, what is not, and that data never becomes markup; test_browser.py opens it."""

import base64
import hashlib
import json
import os
import re

import pytest
from sample_runs import HTML_NAME, make_run

from gan.gallery.page import Page
from tools.gallery import main


def read_data(path):
    """The data in a page."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1]
    )


def test_all_runs_are_on_the_page(tmp_path, capsys):
    """The command prints the path and the number of runs, and names what is skipped or damaged and why."""
    for name in ("one", "two"):
        make_run(tmp_path, name)
    (make_run(tmp_path, "bad config").folder / "config.json").write_text("{")
    (make_run(tmp_path, "bad log").folder / "log.csv").write_text(
        "iteration,images,seconds,images_per_second\n1,x,x,x\n"
    )
    (tmp_path / "no run").mkdir()
    (tmp_path / "file").touch()
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'index.html'}: 3 runs, 1 skipped\n"
    skipped, note = printed.err.splitlines()
    assert "'bad config'" in skipped and "config.json" in skipped
    assert "'bad log'" in note and "log.csv is damaged" in note
    data = read_data(tmp_path / "index.html")
    assert {run["name"] for run in data["runs"]} == {"one", "two", "bad log"}
    assert [name for name, _ in data["skipped"]] == ["bad config"]


def test_the_page_follows_the_runs(tmp_path):
    """It is written anew each time: a run that was removed is gone, and one that went on is further."""
    run = make_run(tmp_path, "one")
    page = Page(tmp_path)
    assert [one["iterations"] for one in page.write()[0]] == [4]
    run.tables.append_log([{"iteration": 5, "images": 40, "seconds": 10.0, "d_loss": 1.0, "images_per_second": 4.0}])
    assert [one["iterations"] for one in page.write()[0]] == [5]
    (run.folder / "config.json").unlink()
    assert page.write() == ([], []) and read_data(page.path)["runs"] == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks")
def test_leftovers_of_a_killed_process(tmp_path):
    """Writing the page removes what a killed process left of it, and nothing else."""
    make_run(tmp_path, "one")
    for name in (".index.html.x1y2.part", ".notes.part"):
        (tmp_path / name).touch()
    Page(tmp_path).write()
    assert sorted(os.listdir(tmp_path)) == [".notes.part", "index.html", "one"]


def test_wrong_folders_are_refused(tmp_path, capsys):
    """Exit code 2 and one line: no folder, one without runs, a run itself, an index.html that is not ours."""
    run = make_run(tmp_path, "one")
    (tmp_path / "photos").mkdir()
    (tmp_path / "index.html").write_text("<h1>My own page</h1>")
    for folder, expected in [
        (tmp_path / "none", "python -m tools.gallery output"),
        (tmp_path / "photos", "python -m tools.gallery output"),
        (run.folder, f"python -m tools.gallery {tmp_path}"),
        (tmp_path, f"{tmp_path / 'index.html'} is not a gallery page"),
    ]:
        assert main([str(folder)]) == 2
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("gallery: ") and printed.err.count("\n") == 1
        assert str(folder) in printed.err and expected in printed.err
    assert (tmp_path / "index.html").read_text() == "<h1>My own page</h1>"


def test_output_without_runs(tmp_path, capsys):
    """A folder of the name that training writes to has a page before the first run."""
    page = tmp_path / "output" / "index.html"
    page.parent.mkdir()
    assert main([str(page.parent)]) == 0
    assert capsys.readouterr().out.endswith("index.html: 0 runs\n") and read_data(page)["runs"] == []


def test_data_never_becomes_markup(tmp_path):
    """Whatever a run, a setting or a reason is called, the page has the same elements, and the text is unchanged."""
    script = "</script><script>alert(1)</script><!--"
    run = make_run(tmp_path, HTML_NAME, data=script, recipe="{{SCRIPT}}")
    Page(tmp_path).write()
    text = (tmp_path / "index.html").read_text()
    assert text.count("<script") == text.count("</script>") == 2 and "<!--" not in text and "<img src" not in text
    (found,) = read_data(tmp_path / "index.html")["runs"]
    assert (found["name"], found["settings"]["data"]) == (HTML_NAME, [script])
    assert found["settings"]["recipe"] == "{{SCRIPT}}"  # not a placeholder of the template
    assert found["path"] == "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"
    (run.folder / "config.json").write_text('{"width": "</script><script>"}')
    Page(tmp_path).write()
    assert (tmp_path / "index.html").read_text().count("<script") == 2


def test_only_the_pages_own_script_and_style_may_run(tmp_path):
    """The policy allows both by their hashes, and nothing else; the page requests nothing from a network."""
    make_run(tmp_path, "one")
    Page(tmp_path).write()
    text = (tmp_path / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', text)[1]
    assert policy.startswith("default-src 'none'; img-src 'self' file:;") and "unsafe" not in policy
    assert "frame-src 'self' file:;" in policy  # in which the page loads itself
    for tag, part in [('<script type="module">', "script"), ("<style>", "style")]:
        content = text.split(tag)[1].split(f"</{part}>")[0]
        known = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{part}-src 'sha256-{known}'" in policy
        assert not re.search(r"</(script|style)|<!--|https?://(?!www\.w3\.org/2000/svg)|innerHTML|\beval\b", content)
    assert not re.search(r"""(src|href)=["'](?!#)""", text.split("<body>")[0])


def test_training_continues_without_its_page(tmp_path):
    """What keeps the page from being written is one warning, however often it is written."""
    (tmp_path / "index.html").mkdir()
    page = Page(tmp_path)
    with pytest.warns(UserWarning, match=r"index\.html") as caught:
        page.refresh()
    page.refresh()
    assert len(caught) == 1
