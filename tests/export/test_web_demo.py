"""The face machine in a real browser, served from this machine: draws what Python draws."""

import functools
import http.server
import importlib.util
import json
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import CHROMIUM, FLAGS, until
from PIL import Image

from gan.errors import RunError
from gan.export import formats, web_demo
from gan.generation import noise
from gan.generation.generator import Generator

LACKING = [
    *(name for name in ("playwright", *formats.ONNX) if not importlib.util.find_spec(name)),
    *([] if CHROMIUM else ["chromium"]),
]


@pytest.fixture(scope="module")
def generator():
    """The default recipe's network, untrained: statistics as a training leaves them, pictures that have contrast."""
    from gan import experiment
    from gan.config import Config
    from gan.training.ema import reestimate_batch_norm
    from models.portable import to_stock_keras

    config = Config(precision="float32")
    network = to_stock_keras(experiment.build_gan(config).ema_generator)
    reestimate_batch_norm(network, lambda i: noise.sample_noise(range(100 * i, 100 * i + 100), (128,), "normal"))
    for layer in network.layers:
        if layer.weights and layer.output.shape[-1] == 3:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * 20, bias])
    return Generator(network, config, Path("generator.keras"), 2000)


@pytest.fixture(scope="module")
def page(generator, tmp_path_factory):
    """An open page of the exported generator, and what it complained of or asked of others."""
    if LACKING:
        pytest.skip(f"needs {', '.join(LACKING)}")
    if not shutil.which("npm"):
        pytest.skip("needs npm, to have ONNX Runtime Web on this machine")
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("export")
    given = noise.sample_noise(range(2), generator.noise_shape, generator.noise_distribution)
    formats.export(generator, "web", folder, given)
    if not (folder / "web" / "runtime").exists():
        pytest.skip("npm could not get ONNX Runtime Web")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder / "web"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1000, "height": 760})
        opened.troubles, opened.folder = [], folder / "web"
        opened.on("console", lambda message: message.type == "error" and opened.troubles.append(message.text))
        opened.on("pageerror", lambda error: opened.troubles.append(str(error)))
        opened.on("request", lambda r: r.url.startswith((here, "blob:", "data:")) or opened.troubles.append(r.url))
        opened.goto(here)
        opened.evaluate("machine.ready")
        yield opened
        browser.close()
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *given):
        pass


def shown(page):
    """The large canvas's side, and some of its pixels' values."""
    return np.array(page.evaluate("""async () => {
        await machine.settled();
        const canvas = document.getElementById("face");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [canvas.width, ...data.filter((_, i) => i % 101 === 0)];
    }"""))  # fmt: skip


def test_faces_are_those_of_python(page, generator):
    """Face number N in the browser and in tools/generate.py, within 2 of 255."""
    for seed in (0, 7, 2**32 - 1):
        pixels = np.array(page.evaluate("async (n) => Array.from(await machine.draw(machine.noise(n)))", seed))
        [expected] = generator(noise.sample_noise([seed], generator.noise_shape, generator.noise_distribution))
        assert expected.std() > 20  # there is something to be seen
        assert np.abs(pixels.reshape(32, 32, 4)[..., :3] - expected.astype(int)).max() <= 2


def saved(page):
    """The name of the picture that the button saves, and its pixels."""
    shown(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    with Image.open(download.value.path(), formats=["PNG"]) as picture:
        return download.value.suggested_filename, np.array(picture)


def test_a_person_uses_it(page):
    """A face appears; number, button, pad, sliders and corners each change it; it is saved; nobody complains."""
    page.get_by_label("Number").fill("7")
    page.get_by_label("Number").press("Enter")
    first = shown(page)
    assert first[0] == 512 and first[1:].std() > 20
    seen = [first]

    def changed():
        seen.append(shown(page))
        return (seen[-1] != seen[-2]).any()

    page.locator("#pad").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert changed() and page.locator("#morph").input_value() == "25"
    box = page.locator("#pad").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert changed() and page.locator("#pad").get_attribute("aria-valuetext") == "50% to the right, 50% down"
    page.locator("#morph").fill("80")
    assert changed()
    page.locator("#truncation").fill("40")
    assert changed()
    page.locator(".corner").nth(1).click()
    assert changed() and page.get_by_label("Number").input_value() == str(page.evaluate("machine.state.seeds[1]"))
    page.get_by_role("button", name="New face").click()
    assert changed()
    page.get_by_role("button", name="Play").click()
    until(page, "machine.state.x > 0.05")
    corner = "document.querySelectorAll('.corner canvas')[2].toDataURL()"
    before = page.evaluate(corner)
    page.locator(".corner").nth(2).click()
    until(page, f"{corner} !== {before!r}")
    page.get_by_role("button", name="Stop").click()
    assert changed()
    name, picture = saved(page)
    assert name == "face-mix-{}-{}-{}-{}.png".format(*page.evaluate("machine.state.seeds"))
    page.get_by_label("Smooth").uncheck()
    assert changed()
    squares = saved(page)[1].reshape(32, 16, 32, 16, -1)
    assert picture.shape[:2] == (512, 512) and (squares == squares[:, :1, :, :1]).all()
    page.get_by_label("Number").fill("7")
    page.get_by_label("Number").press("Enter")
    assert saved(page)[0] == "face-7.png"
    assert page.troubles == []


def test_nothing_can_be_pressed_before_it_can_draw(page):
    """While the generator is on its way, the page says so and lets nobody press."""
    held, early = [], page.context.browser.new_page(viewport={"width": 1000, "height": 1200})
    early.route("**/generator.onnx", lambda route: held.append(route))
    early.goto(page.url)
    for _ in range(100):
        early.wait_for_timeout(0 if held else 50)
    box = early.locator("#play").bounding_box()
    early.mouse.click(box["x"] + 5, box["y"] + 5)
    assert early.locator("#status").inner_text() == "Loading …" and not early.evaluate("machine.state.playing")
    held[0].continue_()
    early.evaluate("machine.ready")
    early.mouse.click(box["x"] + 5, box["y"] + 5)
    assert early.locator("#status").inner_text() == "" and early.evaluate("machine.state.playing")
    early.close()


def test_from_disk_it_says_what_to_do(page):
    """Where no script may run, the page itself tells how to open it."""
    stray = page.context.browser.new_page()
    stray.goto((page.folder / "index.html").as_uri())
    assert "type python -m http.server, and open http://localhost:8000" in stray.locator("#status").inner_text()
    stray.close()


def test_fast_enough(page):
    """Well over 20 faces a second; the bound is low, as other tests may be running beside this one."""
    rate = page.evaluate("""async () => {
        const z = machine.noise(1), start = performance.now();
        for (let i = 0; i < 60; i++) await machine.draw(z);
        return 60000 / (performance.now() - start);
    }""")
    print(f"\n{rate:.0f} faces a second in Chromium")
    assert rate > 20


def test_readable_on_a_phone(page):
    """Nothing is wider than the screen."""
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("changed", ["", *web_demo.HASHES])
def test_a_runtime_from_elsewhere(page, changed):
    """It starts with the files of the CDN, which is played here; with one in which a byte is another it does not."""

    def answer(route):
        name = route.request.url.rpartition("/")[2]
        content = bytearray((page.folder / "runtime" / name).read_bytes())
        content[-1] ^= name == changed
        kind = "text/javascript" if name.endswith("mjs") else "application/wasm"
        route.fulfill(body=bytes(content), content_type=kind, headers={"Access-Control-Allow-Origin": "*"})

    about = json.loads((page.folder / "machine.json").read_text()) | {"runtime": web_demo.CDN}
    other = page.context.browser.new_page()
    other.route("**/machine.json", lambda route: route.fulfill(json=about))
    other.route(f"{web_demo.CDN}*", answer)
    other.goto(page.url)
    failure = other.evaluate("machine.ready.then(() => '', (error) => error.message)")
    assert bool(failure) == bool(changed)
    told = other.locator("#status").text_content() or ""
    assert told == (failure and f"The face machine could not start: {failure}")
    other.close()


def test_runtime_is_the_one_that_is_known(tmp_path, monkeypatch):
    """A package whose files have other hashes is refused; without npm the page takes the runtime from its address."""
    assert web_demo.integrity(b"abc") == "sha384-ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn"

    def pack(command, **options):
        with tarfile.open(Path(command[-1]) / "runtime.tgz", "w:gz") as archive:
            for name in web_demo.HASHES:
                archive.addfile(tarfile.TarInfo(f"package/dist/{name}"))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(web_demo.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(web_demo.subprocess, "run", pack)
    with pytest.raises(RunError, match=r"ort.wasm.bundle.min.mjs of onnxruntime-web@.* is not the file that it was"):
        web_demo.vendor_runtime(tmp_path / "runtime")

    def fail(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "" if "--silent" in command else "no net")

    def hang(command, timeout=None, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    for run, reason in [(fail, "no net"), (hang, "no answer in 120 seconds")]:
        monkeypatch.setattr(web_demo.subprocess, "run", run)
        with pytest.warns(UserWarning, match=rf"npm could not get onnxruntime-web@.* \({reason}\)"):
            assert not web_demo.vendor_runtime(tmp_path / "other")
    monkeypatch.setattr(web_demo.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match="there is no npm, so the page will load onnxruntime-web"):
        assert not web_demo.vendor_runtime(tmp_path / "runtime")


def test_about(tmp_path, generator, monkeypatch):
    """machine.json tells the page all that it must know, with the hash of each file that it takes from elsewhere."""
    monkeypatch.setattr(web_demo, "vendor_runtime", lambda folder: False)
    web_demo.write_demo(generator, tmp_path)
    about = json.loads((tmp_path / "machine.json").read_text())
    assert about["noise"] == {"shape": [128], "law": "normal"} and about["size"] == 32
    assert about["runtime"].startswith("https://cdn.jsdelivr.net/npm/onnxruntime-web@")
    assert all(known.startswith("sha384-") for known in about["hashes"].values())
    names = {"index.html", "machine.css", "machine.js", "noise.js", "machine.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
