"""The web demo in a real browser, served locally: it generates the same faces as Python."""

import functools
import http.server
import importlib.util
import json
import shutil
import subprocess
import tarfile
import threading
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import CHROMIUM, FLAGS, until
from PIL import Image

from gan.config import Config
from gan.errors import RunError
from gan.export import web_demo
from gan.export.exporter import export_format
from gan.export.formats import ONNX
from gan.generation.generator import Generator
from gan.labels import Attribute, Labels
from models import GENERATORS

MISSING = [
    *(name for name in ("playwright", *ONNX) if not importlib.util.find_spec(name)),
    *([] if CHROMIUM else ["chromium"]),
]


@pytest.fixture(scope="module")
def generator():
    """The default generator, narrow and untrained, with batch-norm statistics as after training and more contrast."""
    import keras

    from gan.training.ema import Calibrator
    from models.portable import to_stock_keras

    config = Config(precision="float32", width=8)
    keras.utils.set_random_seed(0)
    network = to_stock_keras(GENERATORS[config.generator]((config.noise_size,), (32, 32, 3), config.width))
    generator = Generator(network, config, Path("generator.keras"), 2000)
    calibrator = Calibrator(network, 0.0)
    calibrator.reestimate_batch_norm(lambda i: generator.sample_noise(range(100 * i, 100 * i + 100)))
    for layer in network.layers:
        if layer.weights and layer.output.shape[-1] == 3:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * 20, bias])
    return generator


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """The folder of ONNX Runtime Web, which npm fetches once for all tests."""
    folder = tmp_path_factory.mktemp("npm") / "runtime"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not web_demo.fetch_runtime(folder):
            pytest.skip("npm, which gets ONNX Runtime Web, is missing or failed")
    return folder


def export_demo(generator, folder, inputs, runtime):
    """Exports a generator with the page and a copy of the runtime to a folder `web` in `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web_demo, "fetch_runtime", lambda target: bool(shutil.copytree(runtime, target)))
        export_format(generator, "web", folder, inputs)


@pytest.fixture(scope="module")
def page(generator, runtime, tmp_path_factory):
    """An open page of the exported generator; `errors` collects its errors and its requests to other servers."""
    if MISSING:
        pytest.skip(f"needs {', '.join(MISSING)}")
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("export")
    export_demo(generator, folder, [generator.sample_noise(range(2))], runtime)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder / "web"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1000, "height": 760})
        opened.errors, opened.folder = [], folder / "web"
        opened.on("console", lambda message: message.type == "error" and opened.errors.append(message.text))
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.on("request", lambda r: r.url.startswith((here, "blob:", "data:")) or opened.errors.append(r.url))
        opened.goto(here)
        opened.evaluate("demo.ready")
        yield opened
        browser.close()
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and logs nothing."""

    def log_message(self, *given):
        pass


def read_canvas(page):
    """The width of the large canvas, and some values of its pixels, once nothing is being generated."""
    return np.array(page.evaluate("""async () => {
        await demo.waitUntilIdle();
        const canvas = document.getElementById("face");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [canvas.width, ...data.filter((_, i) => i % 101 === 0)];
    }"""))  # fmt: skip


def test_faces_equal_python(page, generator):
    """The face of a seed in the browser and in tools.generate differ by at most 2 of 255."""
    for seed in (0, 7, 2**32 - 1):
        pixels = np.array(page.evaluate("async (n) => Array.from(await demo.generate(demo.noiseOf(n)))", seed))
        [expected] = generator.generate_seeds([seed])
        assert expected.std() > 20  # the face has contrast
        assert np.abs(pixels.reshape(32, 32, 4)[..., :3] - expected.astype(int)).max() <= 2


def save_png(page):
    """Clicks the button, and returns the name and the pixels of the file that it saves."""
    read_canvas(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    with Image.open(download.value.path(), formats=["PNG"]) as picture:
        return download.value.suggested_filename, np.array(picture)


def test_controls(page):
    """Seed, button, pad, sliders and corners each change the face, which can be saved, without errors."""
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Seed").press("Enter")
    first = read_canvas(page)
    assert first[0] == 512 and first[1:].std() > 20
    faces = [first]

    def changed():
        faces.append(read_canvas(page))
        return (faces[-1] != faces[-2]).any()

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
    assert changed() and page.get_by_label("Seed").input_value() == str(page.evaluate("demo.state.seeds[1]"))
    page.get_by_role("button", name="New face").click()
    assert changed()
    page.get_by_role("button", name="Play").click()
    until(page, "demo.state.x > 0.05")
    corner = "document.querySelectorAll('.corner canvas')[2].toDataURL()"
    before = page.evaluate(corner)
    page.locator(".corner").nth(2).click()
    until(page, f"{corner} !== {before!r}")
    page.get_by_role("button", name="Stop").click()
    assert changed()
    name, picture = save_png(page)
    assert name == "face-mix-{}-{}-{}-{}.png".format(*page.evaluate("demo.state.seeds"))
    page.get_by_label("Smooth").uncheck()
    assert changed()
    squares = save_png(page)[1].reshape(32, 16, 32, 16, -1)
    assert picture.shape[:2] == (512, 512) and (squares == squares[:, :1, :, :1]).all()
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Seed").press("Enter")
    assert save_png(page)[0] == "face-7.png"
    assert page.errors == []


def test_controls_are_disabled_while_loading(page):
    """Until the generator is loaded, clicks do nothing, and the status says so."""
    held, early = [], page.context.browser.new_page(viewport={"width": 1000, "height": 1200})
    early.route("**/generator.onnx", lambda route: held.append(route))
    early.goto(page.url)
    for _ in range(100):
        early.wait_for_timeout(0 if held else 50)
    box = early.locator("#play").bounding_box()
    early.mouse.click(box["x"] + 5, box["y"] + 5)
    assert early.locator("#status").inner_text() == "Loading …" and not early.evaluate("demo.state.playing")
    held[0].continue_()
    early.evaluate("demo.ready")
    early.mouse.click(box["x"] + 5, box["y"] + 5)
    assert early.locator("#status").inner_text() == "" and early.evaluate("demo.state.playing")
    early.close()


def test_opened_from_disk(page):
    """Where its script may not run, the page says how to serve it."""
    local = page.context.browser.new_page()
    local.goto((page.folder / "index.html").as_uri())
    assert "python -m http.server" in local.locator("#status").inner_text()
    local.close()


def test_concurrent_calls_are_queued(page):
    """The runtime cannot run twice at once: calls wait for each other, and each gets its own face."""
    equal = page.evaluate("""async () => {
        const noise = [1, 2, 3].map(demo.noiseOf);
        const together = await Promise.all(noise.map(demo.generate));
        const single = [];
        for (const z of noise) single.push(await demo.generate(z));
        return [0, 1, 2].map((i) => [0, 1, 2].map((j) => together[i].every((v, k) => v === single[j][k])));
    }""")
    np.testing.assert_array_equal(equal, np.eye(3))


def test_fits_a_phone(page):
    """Nothing is wider than the screen."""
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.skipif(not shutil.which("node") or not all(map(importlib.util.find_spec, ONNX)), reason="needs Node, ONNX")
def test_labels(runtime, tmp_path):
    """The same noise and labels are the same face as in Python; the page has a control for each; Node.js runs it."""
    from models.portable import to_stock_keras

    keras.utils.set_random_seed(0)
    attributes = (Attribute("Smiling"), Attribute("hair", ("bob", "long: wavy")))
    labels = Labels(attributes, np.array([[0, 0], [0, 1], [1, 1]], np.int32), np.array([1, 3, 2]))
    network = to_stock_keras(GENERATORS["conv"]((8,), (16, 16, 3), 4, labels=3))
    generator = Generator(network, Config(precision="float32"), Path("generator.keras"), 5, labels)
    noise = generator.sample_noise([7])
    inputs = generator.list_inputs(noise, generator.draw_codes([7]))
    last = next(layer for layer in reversed(network.layers) if layer.weights)
    kernel, *bias = last.get_weights()
    last.set_weights([kernel * 0.5 / generator.generate(*inputs).numpy().std(), *bias])
    export_demo(generator, tmp_path, inputs, runtime)
    (tmp_path / "web" / "package.json").write_text('{"type": "module"}')
    steps = [{"Smiling": 40}, {"hair": 0, "Smiling": 100}]
    command = ["node", str(Path(__file__).with_name("page.mjs")), str(tmp_path / "web"), json.dumps(steps), "7"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    files = [
        "face-7-Smiling=0,hair=long__wavy.png",
        "face-7-Smiling=0.4,hair=long__wavy.png",
        "face-7-Smiling=1,hair=bob.png",
    ]
    vectors = [[0, 0, 1], [0.4, 0, 1], [1, 1, 0]]  # the first is the most frequent combination
    assert [each["file"] for each in found] == files
    for each, vector in zip(found, vectors, strict=True):
        assert each["names"] == ["Smiling", "hair"]
        assert each["labels"] == pytest.approx(vector)
        [expected] = generator(noise, np.array([vector], np.float32))
        assert expected.std() > 20  # the face has contrast
        assert np.abs(np.reshape(each["pixels"], (16, 16, 4))[..., :3] - expected.astype(int)).max() <= 2
    assert len({str(each["pixels"]) for each in found}) == len(found)


@pytest.mark.parametrize("changed", ["", *(pytest.param(name, marks=pytest.mark.slow) for name in web_demo.HASHES)])
def test_runtime_from_the_cdn(page, changed):
    """The page starts with the files of a CDN, simulated here, unless one has changed by a byte."""

    def answer(route):
        name = route.request.url.rpartition("/")[2]
        content = bytearray((page.folder / "runtime" / name).read_bytes())
        content[-1] ^= name == changed
        kind = "text/javascript" if name.endswith("mjs") else "application/wasm"
        route.fulfill(body=bytes(content), content_type=kind, headers={"Access-Control-Allow-Origin": "*"})

    about = json.loads((page.folder / "demo.json").read_text()) | {"runtime": web_demo.CDN}
    other = page.context.browser.new_page()
    other.route("**/demo.json", lambda route: route.fulfill(json=about))
    other.route(f"{web_demo.CDN}*", answer)
    other.goto(page.url)
    failure = other.evaluate("demo.ready.then(() => '', (error) => error.message)")
    assert bool(failure) == bool(changed)
    status = other.locator("#status").text_content() or ""
    assert status == (failure and f"The demo could not start: {failure}")
    other.close()


def test_runtime_is_verified(tmp_path, monkeypatch):
    """A package with files of other hashes is refused; where npm is missing or fails, the page links to the runtime."""
    expected = "sha384-ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn"
    assert web_demo.compute_integrity(b"abc") == expected

    def pack(command, **options):
        with tarfile.open(Path(command[-1]) / "runtime.tgz", "w:gz") as archive:
            for name in web_demo.HASHES:
                archive.addfile(tarfile.TarInfo(f"package/dist/{name}"))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(web_demo.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(web_demo.subprocess, "run", pack)
    with pytest.raises(RunError, match=r"ort\.wasm\.bundle\.min\.mjs of onnxruntime-web@.* unexpected hash"):
        web_demo.fetch_runtime(tmp_path / "runtime")

    def fail(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "" if "--silent" in command else "no net")

    def hang(command, timeout=None, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    for run, reason in [(fail, "no net"), (hang, "no answer in 120 seconds")]:
        monkeypatch.setattr(web_demo.subprocess, "run", run)
        with pytest.warns(UserWarning, match=rf"npm.* onnxruntime-web@.* \({reason}\)"):
            assert not web_demo.fetch_runtime(tmp_path / "other")
    monkeypatch.setattr(web_demo.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match=r"npm is not installed"):
        assert not web_demo.fetch_runtime(tmp_path / "runtime")


def test_demo_json(tmp_path, generator, monkeypatch):
    """It describes the generator, and has the hash of each file that may come from elsewhere."""
    monkeypatch.setattr(web_demo, "fetch_runtime", lambda folder: False)
    web_demo.write_demo(generator, tmp_path)
    about = json.loads((tmp_path / "demo.json").read_text())
    assert about["noise"] == {"shape": [128], "distribution": "normal"} and about["size"] == 32
    assert "labels" not in about
    assert about["runtime"].startswith("https://cdn.jsdelivr.net/npm/onnxruntime-web@")
    assert all(integrity.startswith("sha384-") for integrity in about["hashes"].values())
    names = {"index.html", "demo.css", "demo.js", "noise.js", "demo.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
