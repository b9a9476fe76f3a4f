"""The page as a file: what is on it, what is not, and that names are only ever text; test_browser.py opens it."""

import base64
import hashlib
import json
import re

import pytest
from sample_runs import NASTY, a_run

from gan.gallery.page import Page
from tools.gallery import main


def data(path):
    """What the page holds."""
    return json.loads(
        re.search(r'<script type="application/json" id="runs">(.*?)</script>', path.read_text(), re.DOTALL)[1]
    )


def test_all_runs_and_nothing_else(tmp_path, capsys):
    """The command says where the page is, how many runs it has, and what is left out and why."""
    for name in ("one", "two"):
        a_run(tmp_path, name)
    hurt = a_run(tmp_path, "hurt")
    (hurt.folder / "config.json").write_text("{")
    torn = a_run(tmp_path, "torn")
    (torn.folder / "scores.json").write_text("{")
    (tmp_path / "no run").mkdir()
    (tmp_path / "a file").touch()
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'index.html'}: 3 runs, 1 left out\n"
    left, note = printed.err.splitlines()
    assert left.startswith("gallery: left out 'hurt': config.json does not describe a run: ")
    assert note.startswith("gallery: 'torn': scores.json is damaged: ")
    found = data(tmp_path / "index.html")
    assert {run["name"] for run in found["runs"]} == {"one", "two", "torn"}
    assert [name for name, _ in found["skipped"]] == ["hurt"]


def test_mistakes_are_answered(tmp_path, capsys):
    """Exit code 2 and one line: no folder, one without runs, a run itself, a page that is not a gallery."""
    run = a_run(tmp_path, "one")
    (tmp_path / "photos").mkdir()
    (tmp_path / "index.html").write_text("<h1>My own page</h1>")
    for folder, told in [
        (tmp_path / "none", "is not a folder. Give the one that the runs are in: python -m tools.gallery output"),
        (tmp_path / "photos", "has no run in it. Give the folder that has: python -m tools.gallery output"),
        (run.folder, f"is a run. Give the folder that it is in: python -m tools.gallery {tmp_path}"),
        (tmp_path, "index.html is not a gallery. Move it away, and the gallery takes its place."),
    ]:
        assert main([str(folder)]) == 2
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("gallery: ") and printed.err.endswith(f"{told}\n")
        assert printed.err.count("\n") == 1
    assert (tmp_path / "index.html").read_text() == "<h1>My own page</h1>"


def test_a_folder_without_runs(tmp_path, capsys):
    """Has a page too, where it is called as the one that trainings write to."""
    page = tmp_path / "output" / "index.html"
    page.parent.mkdir()
    assert main([str(page.parent)]) == 0
    assert capsys.readouterr().out.endswith("index.html: 0 runs\n") and data(page)["runs"] == []


def test_names_end_no_element(tmp_path):
    """Whatever a run, a setting or a reason is called, the page has the same elements, and all text comes back."""
    script = "</script><script>alert(1)</script><!--"
    run = a_run(tmp_path, NASTY, data=script, recipe="{{SCRIPT}}")
    Page(tmp_path).write()
    text = (tmp_path / "index.html").read_text()
    assert text.count("<script") == text.count("</script>") == 2 and "<!--" not in text and "<img src" not in text
    (found,) = data(tmp_path / "index.html")["runs"]
    assert (found["name"], found["settings"]["data"]) == (NASTY, script)
    assert found["settings"]["recipe"] == "{{SCRIPT}}"  # not filled in
    assert found["path"] == "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"
    (run.folder / "config.json").write_text('{"width": "</script><script>"}')
    Page(tmp_path).write()
    assert (tmp_path / "index.html").read_text().count("<script") == 2


def test_only_its_own_script_and_style_may_run(tmp_path):
    """The policy names both by their digests, and nothing else; the page asks for nothing."""
    a_run(tmp_path, "one")
    Page(tmp_path).write()
    text = (tmp_path / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', text)[1]
    assert policy.startswith("default-src 'none'; img-src 'self' file:;") and "unsafe" not in policy
    for tag, part in [('<script type="module">', "script"), ("<style>", "style")]:
        content = text.split(tag)[1].split(f"</{part}>")[0]
        known = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{part}-src 'sha256-{known}'" in policy
        assert not re.search(r"</(script|style)|<!--|https?://(?!www\.w3\.org/2000/svg)|innerHTML|\beval\b", content)
    assert not re.search(r"""(src|href)=["'](?!#)""", text.split("<body>")[0])


def test_a_training_goes_on_without_its_page(tmp_path):
    """What keeps the page from being written is told once."""
    (tmp_path / "index.html").mkdir()
    page = Page(tmp_path)
    with pytest.warns(UserWarning, match=r"index\.html is not up to date: ") as told:
        page.refresh()
    page.refresh()
    assert len(told) == 1
