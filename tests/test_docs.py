"""The documents: commands, flags, links and figures that they name exist, and their code runs."""

import dataclasses
import importlib
import json
import re
import shlex
import tomllib
import urllib.parse
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gan.cli import parse_arguments
from gan.comparison.variants import parse_variant
from gan.config import Config, build_config
from gan.errors import UsageError
from gan.recipes import RECIPES

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "output" / "README.md"]
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which names what there was, too
COMMANDS = {"train.py": "train"} | {
    f"-m {folder}.{path.stem}": f"{folder}.{path.stem}"
    for folder in ("tools", "benchmarks")
    for path in sorted((ROOT / folder).glob("[a-z]*.py"))
    if "__main__" in path.read_text("utf-8")
}
OTHER_FLAGS = {
    "--group",
    "--logdir",
    "--no-deps",
    "--dist",
    "--no-loadscope-reorder",
    "--check",
    "--signal",
    "--ntasks-per-node",
    "--gpus-per-node",
}  # of pip, pytest, ruff and srun
NEW_FILE = "models/linear.py"  # an example


def relative(page):
    """A page's name, for the name of a test."""
    return page.relative_to(ROOT).as_posix()


def read(page):
    """A page's text, commands that go on in a second line put on one."""
    return page.read_text("utf-8").replace("\\\n", " ")


def code(page):
    """The lines of a page's blocks of code, and its inline code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", read(page), re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", read(page), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", prose)


def commands(page):
    """The words of each command of this project that a page names, from the second: train.py --noise image."""
    found = re.compile(r"python ((?:-m (?:tools|benchmarks)\.\w+|train\.py)\b.*)")
    return [match[1] for line in code(page) if (match := found.search(line))]


def examples(page):
    """The headings of a page, each with the Python that stands under it."""
    sections = re.split(r"^#+ (.+)\n", page.read_text("utf-8"), flags=re.MULTILINE)
    pairs = zip(sections[1::2], sections[2::2], strict=True)
    return {title: block[1] for title, text in pairs if (block := re.search(r"```python\n(.*?)```", text, re.DOTALL))}


def heading_ids(page):
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def flags():
    """The flags of each command, as its --help shows them."""
    found = {}
    for name, module in COMMANDS.items():
        with pytest.MonkeyPatch.context() as patch:
            written = []
            patch.setattr("argparse.ArgumentParser._print_message", lambda self, text, file=None: written.append(text))  # noqa: B023
            with pytest.raises(SystemExit):
                importlib.import_module(module).main(["--help"])
        found[name] = set(re.findall(r"--[a-z][a-z0-9-]*", "".join(written)))
    for name in ("benchmarks.speed", "benchmarks.memory", "benchmarks.soak", "benchmarks.scaling", "tools.launch"):
        found[f"-m {name}"] |= found["train.py"]  # which they take too
    found["-m tools.launch"].add("--")  # before these
    return found


def test_readme_is_short():
    """A newcomer reads it to the end."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200


def test_every_command_is_named():
    """README names every tool, and some page every benchmark."""
    readme = (ROOT / "README.md").read_text("utf-8")
    pages = "".join(page.read_text("utf-8") for page in CURRENT)
    assert [name for name in COMMANDS if f"python {name}" not in (pages if "benchmarks" in name else readme)] == []


@pytest.mark.parametrize("page", CURRENT, ids=relative)
def test_commands_exist(page, flags):
    """Each command is one of the project's, with flags that it has; train.py's have values that it takes, too."""
    for command in commands(page):
        name = re.match(r"train\.py|-m [\w.]+", command)[0]
        assert name in COMMANDS, f"python {command}"
        words = shlex.split(command.removeprefix(name), comments=True)
        unknown = {word.split("=")[0] for word in words if word.startswith("--")} - flags[name] - {"--help"}
        assert not unknown, f"python {command}"
        if name == "train.py" and "--help" not in words:
            parse_arguments(words)


@pytest.mark.parametrize("page", CURRENT, ids=relative)
def test_flags_exist(page, flags):
    """A flag that prose names is a flag of some command."""
    known = set().union(*flags.values()) | OTHER_FLAGS
    named = {flag for text in code(page) for flag in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", text)}
    assert named - known == set()


@pytest.mark.parametrize("page", CURRENT, ids=relative)
def test_files_groups_and_targets_exist(page):
    """So do source files, groups of packages and targets of make."""
    text, project = "\n".join(code(page)), tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    files = re.findall(r"^(?:gan|models|tools|tests|benchmarks)/[\w/]+\.py$", text, re.MULTILINE)
    assert [name for name in files if name != NEW_FILE and not (ROOT / name).exists()] == []
    assert set(re.findall(r"--group (\w+)", text)) <= project["dependency-groups"].keys()
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE)) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page):
    """Files, pictures and headings that a page links to exist."""
    text = read(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for target in targets:
        if re.match(r"https?://", target):
            continue
        path, _, heading = urllib.parse.unquote(target).partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not heading or heading in heading_ids(there), target


def test_architecture_says_where_things_are():
    """A function that docs/architecture.md places in a file is defined in that file."""
    text = read(ROOT / "docs" / "architecture.md")
    places = re.findall(r"`(?:\w+\.)*(\w+)` in \[([\w/.]+\.py)\]", text)
    assert len(places) >= 3
    for name, path in places:
        assert re.search(rf"^ *(def|class) {name}\b", (ROOT / path).read_text("utf-8"), re.MULTILINE), name


def table(text, title):
    """The rows of the first table whose header begins with a title, as lists of cells."""
    lines = iter(text.splitlines())
    next(line for line in lines if line.startswith(f"| {title} |"))
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_recipes_are_described():
    """README and docs/recipes.md name every recipe."""
    for page in ("README.md", "docs/recipes.md"):
        text = (ROOT / page).read_text("utf-8")
        assert [name for name in RECIPES if f"`{name}`" not in text] == []


def test_scores_are_those_of_the_comparison():
    """The first two scores of each recipe are as tools.compare wrote them."""
    measured = {row[0]: row[3:5] for row in table((ROOT / "results" / "celeba.md").read_text("utf-8"), "recipe")}
    rows = table((ROOT / "docs" / "recipes.md").read_text("utf-8"), "recipe")
    assert {row[0].split()[0]: row[2:4] for row in rows} == measured


@pytest.mark.parametrize("page", ["README.md", "docs/peers.md"])
def test_peers_are_as_measured(page):
    """The table of other systems has the numbers of results/peers.json, the nearest to real faces first."""
    rows = json.loads((ROOT / "results" / "peers.json").read_text("utf-8"))["rows"]
    far = [row["scores"]["fd-vgg"] - row["scores"]["floor_fd-vgg"] for row in rows]
    (ours,) = (distance for row, distance in zip(rows, far, strict=True) if row["system"] == "default")
    expected = [
        [
            f"**{row['system']}**", f"{row['scores']['fd-vgg']:,.0f}", f"{distance / ours:,.1f}",
            f"{row['scores']['face_rate']:.0%}", f"{row['images']:,}",
        ]
        for row, distance in zip(rows, far, strict=True)
    ]  # fmt: skip
    found = [[row[0], *row[2:6]] for row in table((ROOT / page).read_text("utf-8"), "system")]
    assert found == expected and far == sorted(far)


@pytest.mark.parametrize("part", ["networks", "training"])
def test_what_pays_is_as_measured(part):
    """docs/what-pays.md has the numbers of its comparisons, the nearest to real faces first."""
    expected = []
    for path in sorted((ROOT / "results").glob(f"what-pays-{part}*-report.json")):
        document = json.loads(path.read_text("utf-8"))
        far = {row["label"]: row["scores"]["fd-vgg"] - row["scores"]["floor_fd-vgg"] for row in document["rows"]}
        for row in document["rows"]:
            scores, flags = row["scores"], " ".join(parse_variant(row["label"]).flags[2:])
            times = far[row["label"]] / far["default"]
            cells = [
                f"`{flags}`" if flags else "**default**", f"{document['minutes']:g}", f"{scores['fd-vgg']:,.0f}",
                f"{times:.2f}", f"{scores['kid-vgg']:,.0f}", f"{scores['recall-vgg']:.2f}",
                f"{scores['face_rate']:.0%}", f"{row['images']:,}",
            ]  # fmt: skip
            expected.append((times, cells))
    text = (ROOT / "docs" / "what-pays.md").read_text("utf-8").split(f"## {part.capitalize()}\n")[1]
    assert table(text, "change") == [cells for _, cells in sorted(expected)]


def test_choices_are_listed():
    """docs/recipes.md lists the choices of a flag as --help does."""
    listed = {
        flag: re.findall(r"`([^`]+)`", choices) for flag, choices, _ in table(read(ROOT / "docs/recipes.md"), "flag")
    }
    fields = {f"--{field.name.replace('_', '-')}": field.metadata["choices"] for field in dataclasses.fields(Config)}
    for flags, choices in listed.items():
        for flag in re.findall(r"`([^`]+)`", flags):
            assert choices == list(fields[flag]), flag


def test_citation_is_whole():
    """CITATION.cff has what version 1.2.0 of the format requires."""
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    keys = dict(re.findall(r"^([a-z-]+): *(.*)$", text, re.MULTILINE))
    assert keys["cff-version"] == "1.2.0"
    assert keys["license"] == "MIT"
    assert {"message", "title", "authors", "type"} <= keys.keys()


# Code of the documents


def run(source):
    """Runs a block of code, and returns its names."""
    names = {}
    exec(compile(source, "example", "exec"), names)
    return names


@pytest.fixture
def seams(monkeypatch):
    """All tables, with the rows that CONTRIBUTING.md adds, until the test is over; the names of those by table."""
    import models
    from gan import datasets
    from gan.export import formats
    from gan.training import augmentation, loggers, losses, optimizers, regularizers, schedule
    from gan.training.discriminator_augmentation import DISCRIMINATOR_AUGMENTATIONS

    tables = {
        "loss": losses.LOSSES, "optimizer": optimizers.OPTIMIZERS, "regularizer": regularizers.REGULARIZERS,
        "augmentation": augmentation.AUGMENTATIONS,
        "augment": DISCRIMINATOR_AUGMENTATIONS, "logger": loggers.LOGGERS, "generator": models.GENERATORS,
        "discriminator": models.DISCRIMINATORS, "source": datasets.SOURCES, "format": formats.FORMATS,
        "schedule": schedule.SCHEDULES,
    }  # fmt: skip
    before = {title: dict(rows) for title, rows in tables.items()}
    try:
        for source in examples(ROOT / "CONTRIBUTING.md").values():
            run(source)
        yield {title: next(iter(rows.keys() - before[title].keys())) for title, rows in tables.items()}
    finally:
        for title, rows in tables.items():
            rows.clear()
            rows.update(before[title])


def test_contributing_examples_work(seams, tmp_path, monkeypatch):
    """One run uses every example: it trains with them on their data, logs, and exports."""
    from gan import experiment
    from gan.export import exporter
    from gan.generation.generator import Generator
    from gan.runs.run_directory import Run
    from gan.training.memory_estimate import require_memory
    from gan.training.schedule import RunLength

    config = Config(
        data=(seams["source"],), image_size=16, noise_size=4, cache_dir=str(tmp_path), precision="float32",
        batch_size=8,
        generator=seams["generator"], discriminator=seams["discriminator"], loss=seams["loss"],
        generator_optimizer=seams["optimizer"], discriminator_optimizer=seams["optimizer"],
        penalty=seams["regularizer"], penalty_every=1, augmentation=seams["augmentation"], augment=seams["augment"],
        log=seams["logger"],
        learning_rate_schedule=seams["schedule"],
        epochs=2, holdout=0.0, ema_half_life=0.0, run="run",
    )  # fmt: skip
    faces = experiment.load_data(config)
    assert (faces.images == faces.images[:, :1, :1, :1]).all()  # grays
    gan, folder = experiment.build_gan(config, check=require_memory), Run(tmp_path / "run")
    folder.folder.mkdir()
    length = RunLength(2)
    monkeypatch.setattr("gan.training.loss_chart.draw_chart", lambda *given: None)  # which takes longer than all else
    assert experiment.build_trainer(config, gan, folder, faces, faces.split(config.holdout), length).train() == 0
    log = folder.tables.read_log()
    assert np.isfinite([log["d_loss"], log["g_loss"], log["penalty"]]).all()
    assert (log["g_loss"] < 0).all()  # minimax
    lines = (folder.folder / "log.jsonl").read_text().splitlines()
    np.testing.assert_allclose([json.loads(line)["d_loss"] for line in lines], log["d_loss"], rtol=1e-6)
    generator = Generator(gan.generator, config, tmp_path / "generator.keras", 2)
    path, difference = exporter.export_format(generator, seams["format"], tmp_path, [np.ones((2, 4), "f")])
    assert path.is_dir()
    assert difference < 1e-6


def test_contributing_networks_with_the_recipe_of_the_avatars(seams):
    """Networks without depth train with the avatars, whose recipe has one; a depth that is given is refused."""
    from gan.networks import build_uninitialized_networks

    pair = {"generator": seams["generator"], "discriminator": seams["discriminator"], "precision": "float32"}
    assert build_config(pair).depth == 1
    with build_uninitialized_networks(build_config(pair)) as (generator, _):
        assert sum(hasattr(layer, "kernel") for layer in generator.layers) == 1
    with pytest.raises(UsageError, match="depth"), build_uninitialized_networks(build_config({**pair, "depth": 2})):
        pass


def test_generator_of_readme_generates(tmp_path, monkeypatch):
    """README's lines load a generator with Keras alone, and generate faces."""
    import keras

    monkeypatch.chdir(tmp_path)
    [source] = examples(ROOT / "README.md").values()
    path = tmp_path / "output" / build_config({}).name / "generator.keras"
    path.parent.mkdir(parents=True)
    layers = [keras.Input((8,)), keras.layers.Dense(12, "tanh"), keras.layers.Reshape((2, 2, 3))]
    keras.Sequential(layers).save(path)
    faces = run(source)["faces"]
    assert faces.shape == (16, 2, 2, 3)
    assert 0 <= faces.min() < 127 < faces.max() <= 255


def test_correlations_of_the_docs(tmp_path, monkeypatch, capsys):
    """docs/evaluation.md prints the rank correlations of scores and losses as SciPy has them."""
    from scipy.stats import spearmanr

    from gan.runs.run_directory import Run
    from gan.runs.tables import SCORE_COLUMNS

    monkeypatch.chdir(tmp_path)
    folder, random = Run(Path("output") / build_config({}).name), np.random.default_rng(1)
    folder.folder.mkdir(parents=True)
    folder.tables.truncate(0)
    losses, kid = random.random((60, 2)), random.random(6)
    rows = [
        {"iteration": i + 1, "images": i, "seconds": i, "d_loss": d, "g_loss": g, "images_per_second": 1}
        for i, (d, g) in enumerate(losses)
    ]
    folder.tables.append_log(rows)
    for i, value in enumerate(kid):
        folder.tables.append_score(
            dict.fromkeys(SCORE_COLUMNS, 0) | {"iteration": 10 * i + 10, "network": "onet", "kid": value}
        )
    run(examples(ROOT / "docs" / "evaluation.md")["What the loss tells"])
    d_loss, g_loss = losses.reshape(6, 10, 2).mean(axis=1).T
    pairs = [(kid, g_loss), (kid, d_loss), (kid, np.arange(6)), (np.diff(kid), np.diff(g_loss))]
    printed = re.findall(r"[+-]\d\.\d\d$", capsys.readouterr().out, re.MULTILINE)
    assert printed == [f"{spearmanr(*pair).statistic:+.2f}" for pair in pairs]


def test_python_of_the_gallery(tiny):
    """docs/gallery.md writes a picture of every grid of a run."""
    tiny.rename("output/hour")
    run(examples(ROOT / "docs" / "gallery.md")["64x64"])
    with np.load("output/hour/samples.npz") as samples:
        assert {path.stem for path in Path().glob("*.png")} == {str(i) for i in samples["iterations"]}


def test_python_of_the_data(tmp_path, monkeypatch):
    """docs/findings.md takes those of CelebA's photographs that its runs were trained on."""
    monkeypatch.chdir(tmp_path)
    names = (
        "x/000001.jpg",
        "__MACOSX/x/._000001.jpg",
        "x/New/020000.jpg",
        "x/020001.jpg",
        "x/161979.jpg",
        "x/172000.jpg",
    )
    with zipfile.ZipFile("DOWNLOADED.zip", "w") as archive:
        for name in names:
            archive.writestr(name, name)
    run(examples(ROOT / "docs" / "findings.md")["The data"])
    with zipfile.ZipFile("processed-celeba-small.zip") as archive:
        assert archive.namelist() == [names[0], names[2], names[4]]
        assert archive.read(names[2]) == names[2].encode()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_settings_of_commands_go_together(precision):
    """train.py refuses no settings of a command that a page names, in either precision."""
    from tools.compare import find_refusal

    configs = {}
    for page in CURRENT:
        for command in commands(page):
            words = shlex.split(command.removeprefix("train.py"), comments=True)
            if command.startswith("train.py") and "--help" not in words:
                config = parse_arguments(words)[0]
                configs[dataclasses.replace(config, start_from="", freeze_discriminator=0, run="", data=("x",))] = (
                    command
                )
    assert len(configs) > 30
    assert find_refusal({command: config for config, command in configs.items()}, precision) == ""
