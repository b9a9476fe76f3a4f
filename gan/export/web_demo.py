"""The face machine: a page that draws faces in the browser, with ONNX Runtime Web, beside an exported generator.

write(generator, Path("output/RUN/export/web"))  # index.html and what it needs; generator.onnx is there already
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

from gan.errors import RunError
from gan.generation.generator import Generator

MODEL = "generator.onnx"
PAGE = Path(__file__).parent / "assets"
FILES = ("machine.html", "machine.css", "machine.js", "noise.js")

# The part of ONNX Runtime Web (MIT) that computes on the CPU, and what SHA-384 its files have: the page takes no other.
RUNTIME = "onnxruntime-web@1.30.0"
CDN = f"https://cdn.jsdelivr.net/npm/{RUNTIME}/dist/"
HASHES = {
    "ort.wasm.bundle.min.mjs": "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    "ort-wasm-simd-threaded.wasm": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
}
PATIENCE = 120  # seconds that npm is given; it tries again by itself


def write_demo(generator: Generator, folder: Path) -> None:
    """Writes the page into a folder that has the model; the runtime too where npm can get it, else a link to it."""
    for name in FILES:
        shutil.copyfile(PAGE / name, folder / ("index.html" if name == "machine.html" else name))
    shape = generator.noise_shape
    about = {
        "model": MODEL,
        "runtime": "runtime/" if vendor_runtime(folder / "runtime") else CDN,
        "hashes": HASHES,
        "noise": {"shape": shape, "law": generator.noise_distribution},
        "size": generator.size,
        "iteration": generator.iteration,
        "recipe": generator.config.recipe,
    }
    (folder / "machine.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")


def vendor_runtime(folder: Path) -> bool:
    """Puts the runtime's files into a folder by npm; False, and a warning, where there is no npm or it fails."""
    npm = shutil.which("npm")
    if not npm:
        warnings.warn(f"there is no npm, so the page will load {RUNTIME} from {CDN}", stacklevel=2)
        return False
    with tempfile.TemporaryDirectory() as part:
        command = [npm, "pack", RUNTIME, "--loglevel", "error", "--ignore-scripts", "--pack-destination", part]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
            failed, reason = done.returncode, " ".join(done.stderr.split())[:200]
        except subprocess.TimeoutExpired:
            failed, reason = True, f"no answer in {PATIENCE} seconds"
        packed = [*Path(part).glob("*.tgz")]
        if failed or not packed:
            warnings.warn(f"npm could not get {RUNTIME} ({reason}), so the page will load it from {CDN}", stacklevel=2)
            return False
        folder.mkdir()
        with tarfile.open(packed[0]) as archive:
            for name, known in HASHES.items():
                content = archive.extractfile(f"package/dist/{name}").read()
                if (found := integrity(content)) != known:
                    raise RunError(f"{name} of {RUNTIME} is not the file that it was: {found}, not {known}")
                (folder / name).write_bytes(content)
    return True


def integrity(content: bytes) -> str:
    """As browsers check it: sha384- and the hash in base 64."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()
