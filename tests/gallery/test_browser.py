"""The gallery page in a real browser, which is started once for all tests."""

import contextlib
import itertools
import json
import os
import shutil
import time

import numpy as np
import pytest
from helpers import CHROMIUM, FLAGS, until
from sample_runs import HTML_NAME, make_evaluation, make_run

from gan.gallery.page import Page

# The elements that reach beyond the right edge of the screen.
TOO_WIDE = """[...document.querySelectorAll("main *")]
    .filter((one) => one.getBoundingClientRect().right > innerWidth && !one.closest("svg, .scrollable"))
    .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install --group dev")
    if not CHROMIUM:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four runs: a long one, one with larger batches, one whose name is markup, one without grids.

    The third is evaluated. A fifth is damaged.
    """
    folder = tmp_path_factory.mktemp("out put#1%")
    make_run(folder, "long", grids=(0, 10, 20, 30, 40), rows=40, epochs=40, width=7)
    make_run(folder, "short", grids=(0, 5, 10), rows=10, batch_size=16, epochs=20, scores=(50.0,))
    markup = make_run(folder, HTML_NAME, recipe="udacity-64", data="<b>faces</b>")
    (markup.folder / "scores.json").write_text(json.dumps([make_evaluation()]))
    shutil.copy(markup.grids.path(0), markup.folder / "nearest.png")
    make_run(folder, "blank", grids=(), scores=())
    (make_run(folder, "damaged").folder / "config.json").write_text("{")
    Page(folder).write()
    return folder


@contextlib.contextmanager
def opened_page(browser, folder):
    """The page opened from disk. At the end: no error was logged, and nothing outside its folder was requested."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="no-preference")
    opened, errors, requests = context.new_page(), [], []
    opened.set_default_timeout(20_000)
    opened.on("console", lambda message: errors.append(message.text))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("dialog", lambda dialog: errors.append(dialog.message) or dialog.dismiss())
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto((folder / "index.html").as_uri())
    yield opened
    assert errors == [] and requests and all(url.startswith(folder.as_uri() + "/") for url in requests)
    context.close()


@pytest.fixture
def page(browser, folder):
    """The page of the four runs."""
    with opened_page(browser, folder) as opened:
        yield opened


def card_names(page):
    """The names on the cards, in their order."""
    return page.locator(".card h2").all_inner_texts()


def chart_titles(page):
    """The titles of the charts, in their order."""
    return page.locator(".chart strong").all_inner_texts()


def wait_for_grids(page, *iterations):
    """Waits for these grids to be on the page."""
    names = json.dumps([f"{iteration:06d}.png" for iteration in iterations], separators=(",", ":"))
    sources = "[...document.querySelectorAll('.grid-view img')].map((image) => image.src.split(/[/?]/).at(-2))"
    until(page, f"JSON.stringify({sources}) === '{names}'")


def marker(page):
    """Where the marker of the first chart is, in pixels."""
    return float(page.locator(".marker").first.get_attribute("x1"))


def test_cards(page):
    """All runs with their facts; a folder that is skipped is named; a name that is markup stays text."""
    assert sorted(card_names(page)) == sorted(["long", "short", HTML_NAME, "blank"])
    assert page.locator(".count").inner_text().startswith("4 (1 skipped")
    skipped = page.locator(".skipped").inner_text()
    assert "damaged config.json" in skipped
    pairs = dict(itertools.pairwise(page.locator(".card", has_text="udacity-64").inner_text().split("\n")))
    assert (pairs["iterations"], pairs["images seen"], pairs["time"]) == ("4", "32", "0:08")
    assert (pairs["kid-onet"], pairs["parameters"]) == ("3.25", "15 + 7")
    assert "50% done" in page.locator(".card", has_text="short").inner_text()
    assert page.locator("img[src='x'], b:has-text('faces')").count() == 0


def test_sorting_and_filtering(page):
    """By any column; scores measured in different ways are in lists of their own; words and recipes filter."""
    order = page.get_by_label("sort by")
    order.select_option("images seen")
    assert card_names(page)[:2] == ["long", "short"]  # 320 and 160
    order.select_option("name")
    assert card_names(page) == [HTML_NAME, "blank", "long", "short"]
    order.select_option("best score")
    assert card_names(page) == ["long", "short", HTML_NAME, "blank"]  # 30, 50; evaluated; not scored
    assert page.locator(".protocol").all_inner_texts()[-1] == "Not scored" and page.locator(".protocol").count() == 3
    page.keyboard.press("/")
    page.keyboard.type("short")
    assert card_names(page) == ["short"] and page.locator(".count").inner_text().startswith("1 of 4")
    page.get_by_role("searchbox").fill("")
    page.get_by_label("recipe").select_option("udacity-64")
    assert card_names(page) == [HTML_NAME]


def test_the_slider_moves_grid_and_marker(page):
    """By the slider, the keys, a press on a chart, and playback; Escape goes back."""
    page.get_by_role("link", name="long", exact=True).click()
    slider = page.get_by_role("slider")
    wait_for_grids(page, 40)
    assert "iteration 40" in page.locator(".grid-view").inner_text()
    end = marker(page)
    slider.fill("1")
    wait_for_grids(page, 10)
    assert slider.get_attribute("aria-valuetext") == "iteration 10"
    assert 0 < marker(page) < end and "80 images" in page.locator(".grid-view").inner_text()
    assert page.locator(".chart b").nth(1).inner_text() == "10.0"  # the generator's loss there
    slider.press("ArrowRight")
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    wait_for_grids(page, 30)
    page.keyboard.press("Home")
    wait_for_grids(page, 0)
    box = page.locator(".chart svg").first.bounding_box()
    page.mouse.click(box["x"] + 44 + (box["width"] - 52) / 2, box["y"] + 50)
    wait_for_grids(page, 20)
    page.keyboard.press(" ")
    wait_for_grids(page, 40)
    page.get_by_role("button", name="Play").wait_for()  # it has stopped at the end
    assert marker(page) == end
    page.get_by_label("x axis").select_option("time")
    assert page.locator(".controls output").inner_text() == "1:20"
    wait_for_grids(page, 40)
    page.keyboard.press("Escape")
    page.locator(".card").first.wait_for()


def test_scalars_are_chosen_by_name(page):
    """Losses and scores have charts at first; a chosen scalar has one too, in every run and in a comparison."""

    def checkbox(name):
        return page.get_by_role("checkbox", name=name)

    page.get_by_role("link", name="long", exact=True).click()
    defaults = ["Losses", "kid-onet, centered (lower is better)", "Variety (1 = real images)"]
    assert chart_titles(page) == defaults
    checkbox("penalty").check()
    checkbox("real score").check()
    assert chart_titles(page) == [*defaults, "Score", "Penalty"]
    legend = page.locator(".chart", has_text="Score").last.locator("li").all_inner_texts()
    assert [line.strip() for line in legend] == ["real score 0.750"]
    checkbox("fake score").check()  # the two share a chart
    assert chart_titles(page) == [*defaults, "Score", "Penalty"]
    until(page, "document.querySelectorAll('.chart path').length === 2 + 1 + 2 + 2 + 1")  # no run has a face rate
    page.evaluate("location.hash = '#run=long&with=short'")
    page.locator("h1", has_text="Two runs").wait_for()
    assert chart_titles(page)[-3:] == ["Real score", "Fake score", "Penalty"]
    checkbox("real score").uncheck()
    assert chart_titles(page)[-2:] == ["Fake score", "Penalty"]
    assert checkbox("real score").evaluate("box => box === document.activeElement")  # it keeps the focus


def test_a_run_is_described(page):
    """Command, scores with their protocol, nearest images, settings; a run without grids says so."""
    page.get_by_role("link", name=HTML_NAME).click()
    text = page.locator(".run").inner_text()
    assert page.locator("h1").inner_text() == HTML_NAME
    assert "--data '<b>faces</b>'" in text and "2,000 samples (averaged weights)" in text and "12.5" in text
    assert page.locator(".nearest").get_attribute("src").split("?")[0].endswith("/nearest.png")
    page.get_by_role("button", name="Copy").click()
    page.locator("#status:not(:empty)").wait_for()
    page.get_by_text("All other settings").click()
    assert "sample-every" in page.locator("details").inner_text()
    page.evaluate("location.hash = '#run=blank'")
    page.get_by_text("no grid yet").wait_for()


def test_two_runs_on_one_slider(page):
    """Selected on their cards; at the same iteration, images or time; the shorter one stays at its last grid."""
    for name in ("long", "short"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("link", name="Compare", exact=True).click()
    wait_for_grids(page, 40, 10)
    assert "last grid" in page.locator(".grid-view").nth(1).inner_text()
    slider, align = page.get_by_role("slider"), page.get_by_label("align by")
    slider.fill("1")
    wait_for_grids(page, 0, 5)  # of 0, 5, 10, 20, 30, 40
    slider.fill("2")
    wait_for_grids(page, 10, 10)
    align.select_option("images seen")  # 80 of the first; the second has 16 an iteration
    wait_for_grids(page, 10, 5)
    align.select_option("time")  # both take two seconds an iteration
    wait_for_grids(page, 10, 10)
    assert page.locator("tr", has_text="batch-size").locator("td").all_inner_texts() == ["8", "16"]
    page.go_back()
    page.locator(".card").first.wait_for()
    assert page.get_by_label("Compare short").is_checked()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(page, scheme):
    """Nothing is wider than the screen; the page has the color scheme that the system asks for."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=scheme)
    for address, title in (("", "Runs"), ("#run=long", "long"), ("#run=long&with=short", "Two runs")):
        page.evaluate("address => (location.hash = address)", address)
        page.locator("h1", has_text=title).wait_for()
        assert page.evaluate(TOO_WIDE) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 20, 22)"
    assert dark == (scheme == "dark")


def train_on(run, iteration):
    """Adds what a training writes at an iteration, and writes the page as it does."""
    row = {"images": 8 * iteration, "seconds": 2.0 * iteration, "d_loss": 1.0, "g_loss": 7.0, "images_per_second": 4.0}
    run.tables.append_log([{"iteration": iteration, **row}])
    run.grids.save(iteration, np.full((4, 8, 8, 3), iteration, np.uint8))
    Page(run.folder.parent).refresh()


def points(page):
    """How many points the first line of the first chart has."""
    return page.locator(".chart path").first.get_attribute("d").count("L") + 1


def test_a_run_is_followed(browser, tmp_path):
    """Picture, curve and facts of a run that trains appear in the page as it is: what a person did stays."""
    run = make_run(tmp_path, "one", rows=4, epochs=10)
    Page(tmp_path).write()
    with opened_page(browser, tmp_path) as page:
        page.get_by_role("link", name="one", exact=True).click()
        wait_for_grids(page, 4)
        page.clock.install()
        page.reload()
        wait_for_grids(page, 4)
        iterations, slider = page.locator(".facts dd").first, page.get_by_role("slider")
        assert points(page) == 4 and iterations.inner_text() == "4"
        page.get_by_text("All other settings").click()
        page.evaluate("window.details = document.querySelector('.details')")
        length = page.evaluate("history.length")
        train_on(run, 5)
        page.clock.fast_forward(3_000)
        wait_for_grids(page, 5)  # the slider was at the end, and still is
        until(page, "document.querySelector('.grid-view img').naturalWidth > 10")  # which all earlier ones have
        assert points(page) == 5 and iterations.inner_text() == "5"
        assert page.locator(".chart b").nth(1).inner_text() == "7.00"  # the generator's loss there
        slider.fill("1")
        wait_for_grids(page, 2)
        train_on(run, 6)
        page.clock.fast_forward(3_000)
        page.locator(".facts dd:text-is('6')").wait_for()
        wait_for_grids(page, 2)
        assert points(page) == 6 and slider.get_attribute("max") == "4"
        assert slider.evaluate("one => one === document.activeElement")
        assert page.evaluate("window.details.isConnected && window.details.querySelector('details').open")
        assert page.evaluate("history.length") == length


@pytest.mark.slow
def test_all_runs_are_followed(browser, tmp_path):
    """Cards come, change and go; filter, selection and focus stay. A run that was begun anew shows its own grids."""
    run = make_run(tmp_path, "one", rows=4, epochs=10)
    other = make_run(tmp_path, "two")
    Page(tmp_path).write()
    with opened_page(browser, tmp_path) as page:
        page.get_by_label("sort by").select_option("name")
        page.get_by_label("Compare one").check()
        shutil.rmtree(other.folder)
        make_run(tmp_path, HTML_NAME)
        train_on(run, 5)
        page.locator("h2", has_text=HTML_NAME).wait_for()
        box = page.get_by_label("Compare one")
        assert card_names(page) == [HTML_NAME, "one"] and page.locator("img[src='x']").count() == 0
        assert page.locator(".card img").nth(1).get_attribute("src").split("?")[0] == "one/000005.png"
        assert box.is_checked() and box.evaluate("one => one === document.activeElement")
        page.evaluate("location.hash = '#run=one'")
        wait_for_grids(page, 5)
        make_run(tmp_path, "three")
        Page(tmp_path).write()
        page.get_by_label("compare with").locator("option", has_text="three").wait_for(state="attached")
        shutil.rmtree(run.folder)
        run = make_run(tmp_path, "one", grids=(0,), rows=1)
        os.utime(run.grids.path(0), (1, 1))
        train_on(run, 5)
        until(page, "document.querySelector('.grid-view img').src.endsWith('000005.png?1')")
        shutil.rmtree(run.folder)
        Page(tmp_path).write()
        page.locator(".card").first.wait_for()
        assert card_names(page) == [HTML_NAME, "three"]


def test_following_is_switched_off(browser, tmp_path):
    """By the keyboard; then the page reads nothing, and stays what it is. A reload does not switch it on."""
    run = make_run(tmp_path, "one", rows=4, epochs=10)
    Page(tmp_path).write()
    with opened_page(browser, tmp_path) as page:
        page.clock.install()
        page.get_by_role("switch", name="Follow").press("Space")
        train_on(run, 5)
        page.reload()
        page.get_by_role("link", name="one", exact=True).click()
        wait_for_grids(page, 5)
        written, requests = page.locator("#follow span").inner_text(), []
        page.on("request", lambda request: requests.append(request.url))
        train_on(run, 6)
        page.clock.fast_forward(60_000)
        wait_for_grids(page, 5)
        assert requests == [] and points(page) == 5 and page.locator("#follow span").inner_text() == written
        page.get_by_role("switch", name="Follow").press("Space")
        wait_for_grids(page, 6)
        assert points(page) == 6


@pytest.fixture(scope="module")
def hundred(tmp_path_factory):
    """100 runs of 200 grids and 5,000 rows; their files are links to those of one run."""
    folder = tmp_path_factory.mktemp("hundred")
    steps = range(0, 5000, 25)
    scores = [1000 / i for i in range(1, 21)]
    first = make_run(folder, "run 0", grids=steps, rows=5000, scores=scores, recipe="udacity-64")
    faces = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    first.grids.save(0, faces)
    for step in steps[1:]:
        first.grids.path(step).unlink()
        first.grids.path(step).hardlink_to(first.grids.path(0))
    for i in range(1, 100):
        shutil.copytree(first.folder, folder / f"run {i}", copy_function=os.link)
    return folder


@pytest.mark.slow
def test_a_hundred_runs(browser, hundred):
    """The page has less than 1 MB, and loads the grids of those cards alone that are near the screen."""
    start = time.perf_counter()
    Page(hundred).write()
    seconds, size, requests = time.perf_counter() - start, (hundred / "index.html").stat().st_size, []
    page = browser.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.goto((hundred / "index.html").as_uri())
    assert page.locator(".card").count() == 100
    page.wait_for_load_state("networkidle")
    page.close()
    print(f"\n100 runs of 200 grids and 5,000 rows: written in {seconds:.2f} s, {size / 1e6:.2f} MB")
    assert size < 1e6 and 1 < len(requests) < 100
