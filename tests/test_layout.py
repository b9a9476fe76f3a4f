import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".", "models", "gan", "tools")
    for path in (ROOT / folder).glob("*.py")
)
LONGEST = 250

# Who may import whom. A file that is not named here imports no other of the project's; everybody may import
# gan.errors and gan.files, which are about nothing in particular.
EVERYBODY = {"gan.errors", "gan.files"}
ALLOWED = {
    "data": {"gan.datasets.cache", "gan.images", "gan.progress", "gan.datasets.sources"},
    "models": {"models.self_modulated", "models.conv", "models.conv_dense", "models.dense", "models.upsample"},
    "models.self_modulated": {"models.layers"},
    "models.conv": {"models.layers"},
    "models.conv_dense": {"models.dense", "models.layers"},
    "models.dense": {"models.layers"},
    "models.upsample": {"models.layers"},
    "gan.comparison.comparability": {"gan.metrics.evaluation"},
    "gan.datasets.arrays": {"gan.images"},
    "gan.metrics.avatar_classifier": {"gan.datasets.avatars", "gan.runs.checkpoints", "gan.images"},
    "gan.datasets.cache": {"gan.images"},
    "gan.export.model_card": {"gan.generation.generator", "gan.runs.run_directory", "gan.metrics.evaluation"},
    "gan.config": {"gan.recipes"},
    "gan.gallery.page": {"gan.config", "gan.metrics.report", "gan.gallery.run_summary"},
    "gan.metrics.inception": {"gan.download"},
    "gan.export.formats": {"gan.generation.generator", "gan.export.web_demo"},
    "gan.metrics.feature_extractors": {"gan.images", "gan.metrics.inception"},
    "gan.generation.generator": {
        *(
            "gan.runs.checkpoints",
            "gan.config",
            "gan.devices",
            "gan.images",
            "gan.generation.noise",
            "gan.runs.run_directory",
        ),
        *("gan.training.ema", "models.layers"),
    },
    "gan.training.validation": {
        "gan.metrics.feature_extractors",
        "gan.training.diagnostics",
        "gan.metrics.memorization",
        "gan.metrics.distances",
        "gan.metrics.evaluation",
    },
    "gan.metrics.memorization": {"gan.metrics.distances"},
    "gan.metrics.evaluation": {
        "gan.metrics.avatar_classifier",
        "gan.metrics.feature_extractors",
        "gan.metrics.memorization",
        "gan.metrics.distances",
    },
    "gan.training.ema": {"gan.images", "models.layers"},
    "gan.metrics.report": {"gan.runs.run_directory", "gan.metrics.evaluation"},
    "gan.training.loss_chart": {"gan.metrics.distances"},
    "gan.generation.projection": {
        "gan.metrics.feature_extractors",
        "gan.generation.generator",
        "gan.images",
        "gan.generation.noise",
    },
    "gan.comparison.results": {
        "gan.comparison.comparability",
        "gan.runs.run_directory",
        "gan.metrics.evaluation",
        "gan.comparison.runner",
        "gan.comparison.markdown",
    },
    "gan.runs.run_directory": {"gan.config", "gan.images"},
    "gan.comparison.runner": {
        "gan.runs.checkpoints",
        "gan.comparison.hardware",
        "gan.runs.run_directory",
        "gan.metrics.evaluation",
    },
    "gan.gallery.run_summary": {
        "gan.runs.checkpoints",
        "gan.config",
        "gan.metrics.distances",
        "gan.runs.run_directory",
        "gan.metrics.evaluation",
        "gan.metrics.report",
    },
    "gan.comparison.markdown": {"gan.comparison.comparability", "gan.runs.run_directory", "gan.metrics.evaluation"},
    "gan.export.web_demo": {"gan.generation.generator"},
    "gan.comparison.variants": {"gan.config", "gan.recipes"},
    "gan.training.trainer": {
        *(
            "gan.runs.checkpoints",
            "gan.config",
            "gan.gallery.page",
            "gan.training.diagnostics",
            "gan.images",
            "gan.training.loss_chart",
        ),
        *("gan.progress", "gan.runs.run_directory", "gan.training.ema", "models.layers"),
    },
    "gan.datasets.sources": {"gan.datasets.arrays", "gan.datasets.avatars", "gan.download", "gan.images"},
}
DOORS = ("train", "tools.")  # what a person runs


def module(path):
    """models/layers.py -> models.layers, models/__init__.py -> models."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module(path) for path in SOURCES}


def imports(path, everywhere=True):
    """The modules that a file imports, inside functions too unless told otherwise."""
    tree = ast.parse((ROOT / path).read_text())
    found = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES
            found |= inner or {node.module}
    return found


@pytest.mark.parametrize("path", SOURCES)
def test_imports_follow_the_arrows(path):
    """Leaves import no project file but those allowed, so no door; a door may import any leaf, a tool train.py too."""
    name, project = module(path), imports(path) & MODULES
    if name == "train":
        assert not any(other.startswith("tools.") for other in project)
    if not name.startswith(DOORS):
        assert project <= ALLOWED.get(name, set()) | EVERYBODY


def test_every_arrow_is_used():
    """The drawing above has no arrow that nobody needs."""
    for name, targets in ALLOWED.items():
        path = f"{name.replace('.', '/')}.py" if name != "models" else "models/__init__.py"
        assert targets <= imports(path), name


@pytest.mark.parametrize("path", ["train.py", "gan/config.py", "gan/cli.py", "gan/errors.py"])
def test_help_is_instant(path):
    """What --help needs imports nothing large at its top: the standard library, NumPy, and its like."""
    ours = {"gan.config", "gan.cli", "gan.recipes", "gan.errors"}
    quick = {*ours, "numpy", "collections.abc", *sys.stdlib_module_names}
    assert imports(path, everywhere=False) <= quick


@pytest.mark.parametrize("path", SOURCES)
def test_files_are_short_and_say_what_they_are(path):
    """One idea a file, in its first line."""
    text = (ROOT / path).read_text()
    assert len(text.splitlines()) <= LONGEST
    assert ast.get_docstring(ast.parse(text))


def test_the_page_is_in_short_files_too():
    """HTML, style and script of the gallery, which no other test here reads."""
    paths = sorted((ROOT / "gan" / "page").iterdir())
    assert {path.suffix for path in paths} == {".html", ".css", ".js"}
    assert all(len(path.read_text().splitlines()) <= LONGEST for path in paths)


def test_readme_maps_every_file():
    """The map in README.md has a line for each source file, and no line for a file that is gone."""
    block = re.search(r"## Map\n+```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    folder, mapped = "", set()
    for line in block.splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()
        if name.endswith("/"):
            folder = name
        elif name.endswith(".py"):
            mapped.add(folder + name if indent else name)
    nothing_to_say = {"gan/__init__.py", "tools/__init__.py"}
    assert mapped - nothing_to_say == set(SOURCES) - nothing_to_say
