"""Web demo: a page that generates faces in the browser, with ONNX Runtime Web and an exported generator.

write_demo(generator, Path("output/RUN/export/web"))  # index.html and what it needs; generator.onnx is there already
"""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
import warnings
from pathlib import Path

from gan.errors import RunError, summarize
from gan.generation.generator import Generator

MODEL = "generator.onnx"
ASSETS = Path(__file__).parent / "assets"
FILES = {"demo.html": "index.html", "demo.css": "demo.css", "demo.js": "demo.js", "noise.js": "noise.js"}

# The files of ONNX Runtime Web (MIT) that compute on the CPU, and their SHA-384: the page accepts no others.
RUNTIME = "onnxruntime-web@1.30.0"
CDN = f"https://cdn.jsdelivr.net/npm/{RUNTIME}/dist/"
HASHES = {
    "ort.wasm.bundle.min.mjs": "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    "ort-wasm-simd-threaded.wasm": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
}
NPM_TIMEOUT = 120  # seconds; npm retries by itself


def write_demo(generator: Generator, folder: Path) -> None:
    """Writes the page into a folder with the model, and the runtime where npm can get it; else the page links to it.

    Raises RunError where npm brings another runtime than the known one.
    """
    for source, target in FILES.items():
        shutil.copyfile(ASSETS / source, folder / target)
    about = {
        "model": MODEL,
        "runtime": "runtime/" if fetch_runtime(folder / "runtime") else CDN,
        "hashes": HASHES,
        "noise": {"shape": generator.noise_shape, "distribution": generator.noise_distribution},
        "size": generator.size,
        "iteration": generator.iteration,
        "recipe": generator.config.recipe,
    }
    if generator.labels:
        start = generator.labels.count_combinations().codes[:1]  # the most frequent one
        about["labels"] = {
            "attributes": [{"name": each.name, "values": each.values} for each in generator.labels.attributes],
            "start": generator.labels.encode(start)[0].tolist(),
        }
    (folder / "demo.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")


def fetch_runtime(folder: Path) -> bool:
    """Puts the runtime's files into a new folder by npm; returns False, with a warning, where npm is missing or fails.

    Raises RunError where a file has another hash than in `HASHES`.
    """
    npm = shutil.which("npm")
    if not npm:
        warnings.warn(f"npm is not installed, so the page will load {RUNTIME} from {CDN}", stacklevel=2)
        return False
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", RUNTIME, "--loglevel", "error", "--ignore-scripts", "--pack-destination", temporary]
        try:
            done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=NPM_TIMEOUT)
            failed, reason = done.returncode, summarize(done.stderr or "it gave no reason")
        except subprocess.TimeoutExpired:
            failed, reason = True, f"no answer in {NPM_TIMEOUT} seconds"
        packages = [*Path(temporary).glob("*.tgz")]
        if failed or not packages:
            warnings.warn(f"npm could not get {RUNTIME} ({reason}), so the page will load it from {CDN}", stacklevel=2)
            return False
        folder.mkdir()
        with tarfile.open(packages[0]) as archive:
            for name, expected in HASHES.items():
                content = archive.extractfile(f"package/dist/{name}").read()
                if (actual := compute_integrity(content)) != expected:
                    raise RunError(f"{name} of {RUNTIME} has an unexpected hash: {actual}, not {expected}")
                (folder / name).write_bytes(content)
    return True


def compute_integrity(content: bytes) -> str:
    """Computes a hash in the form that browsers check: "sha384-" and the SHA-384 in base 64."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()
