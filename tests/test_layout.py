"""The layers of the code: lower ones never import upper ones, and --help imports nothing large."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = sorted(path for folder in ("gan", "models", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
FILES += [ROOT / name for name in ("data.py", "dcgan.py", "train.py")]
# From bottom to top. A module belongs to the longest name that it starts with; it imports its layer and lower ones.
LAYERS = [
    {
        *("gan.errors", "gan.files", "gan.images", "gan.image_files", "gan.progress", "gan.download"),
        *("gan.devices", "gan.labels", "gan.console", "gan.signals", "gan.thumbnails", "gan"),
    },
    {"gan.recipes", "gan.config", "gan.networks", "models"},
    {"gan.cli", "gan.runs", "gan.datasets", "gan.faces", "data"},
    {"gan.metrics"},
    {"gan.generation", "gan.gallery", "gan.comparison", "gan.export"},
    {"gan.training", "dcgan"},
    {"gan.experiment", "gan.settings", "gan.combinations", "gan.start_from"},
    {"tools", "benchmarks", "train"},
]
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}


def depth(module):
    """The layer of a module of the project, None for others."""
    parts = module.split(".")
    names = [".".join(parts[:i]) for i in range(len(parts), 0, -1)]
    return next((DEPTH[name] for name in names if name in DEPTH), None)


def find_wrong_imports(path):
    """What a file of the project imports from above its layer, a line each, and whether it lacks a docstring."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    if not name.endswith("assets") and text.strip() and not ast.get_docstring(tree):
        yield f"{name} has no docstring"
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            is_above = depth(module) is not None and depth(module) > depth(name)
            if is_above or module.split(".")[0] in ("train", "tools"):
                yield f"{name} imports {module}"


def test_imports_go_down():
    """No file imports a layer above its own, inside functions either; nobody imports train.py or a tool."""
    assert len(FILES) > 100
    assert [line for path in FILES for line in find_wrong_imports(path)] == []


def test_tools_run_as_files():
    """Before a tool imports anything of the project, it puts the project's folder in place of its own in the path."""
    lines = """
if not __package__:  # run as a file: python tools/{}
    sys.path[0] = str(Path(__file__).resolve().parents[1])
"""
    for path in (ROOT / "tools").glob("[a-z]*.py"):
        before, _, after = path.read_text("utf-8").partition(lines.format(path.name))
        assert after and not re.search(r"^(from|import) (gan|tools|train|dcgan|data)\b", before, re.MULTILINE), (
            path.name
        )


def test_imports_are_light():
    """What a command imports before it knows its arguments brings neither TensorFlow nor Keras nor Matplotlib.

    The data sources do not bring the packages that draw avatars, and the chart of the losses brings Matplotlib alone.
    """
    commands = ["train", *(f"tools.{path.stem}" for path in sorted((ROOT / "tools").glob("[a-z]*.py")))]
    code = """
import importlib, sys
tensorflow = {"tensorflow", "keras"}
def load(module, heavy):
    importlib.import_module(module)
    if found := sorted(heavy & set(sys.modules)):
        sys.exit(f"{module} imports {found}")
load("gan.datasets", {*tensorflow, "dicebear", "resvg_py"})
for module in sys.argv[1:]:
    load(module, {*tensorflow, "matplotlib"})
load("gan.training.loss_chart", tensorflow)
"""
    done = subprocess.run([sys.executable, "-c", code, *commands], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
