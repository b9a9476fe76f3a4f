"""Which recipe draws better faces in the same time: trains each, scores each, and writes one table.

    python -m tools.compare --recipes all --data celeba --minutes 30
    python -m tools.compare --recipes default:3 udacity-64:3 --data celeba --minutes 30     # seeds 0, 1, 2
    python -m tools.compare --recipes default default,noise_size=16 --data celeba --minutes 5 --name noise
    python -m tools.compare --name noise --table       # the table again, from results/noise.json

Each run is output/compare-NAME-RECIPE-SEED, trained and scored in a process of its own. Ctrl-C saves and stops; the
same command goes on, and does nothing twice; with other --samples, --network or --weights it scores the same runs
again. A comparison belongs to one machine, and wants it for itself.
"""

import argparse
import dataclasses
import json
import multiprocessing
import signal
import sys
from pathlib import Path

from data import FEWEST_HELD
from gan import cli, experiment
from gan import config as configuration
from gan.cli import parse_arguments
from gan.comparison import hardware, markdown, results, runner, variants
from gan.comparison.variants import Variant
from gan.errors import RunError, UsageError
from gan.metrics.evaluation import protocol_differences
from gan.runs.run_directory import Run


def main(argv: list[str] | None = None) -> int:
    """Compares, and turns errors into one message and an exit code."""
    cli.allow_undecodable_names()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a half-written cache is cleared away
    try:
        return compare(parse(argv))
    except (UsageError, RunError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"compare: {error}. What was done is kept; the same command goes on from there.", file=sys.stderr)
        return 1
    except (runner.Stopped, KeyboardInterrupt) as stopped:
        print("compare: stopped. The same command goes on from here.", file=sys.stderr)
        return stopped.args[0] if isinstance(stopped, runner.Stopped) else 128 + signal.SIGINT


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare", description=__doc__.splitlines()[0])
    recipes = "'all', or names of recipes; NAME:3 for three seeds, NAME,setting=value to depart from it"
    parser.add_argument("--recipes", nargs="+", metavar="NAME", help=recipes)
    parser.add_argument("--data", help="faces, as for train.py")
    parser.add_argument("--minutes", type=float, metavar="M", help="how long each trains")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each: seeds 0 to N - 1 (1)")
    parser.add_argument("--name", default="", help="of the comparison (data and minutes)")
    parser.add_argument("--samples", type=int, default=2000, metavar="N", help="faces scored of each (2000)")
    parser.add_argument(
        "--network", nargs="+", choices=tuple(markdown.NETWORKS), help="what looks at them (all that is installed)"
    )
    parser.add_argument("--weights", choices=("best", "last"), default="best", help="which generator is scored (best)")
    parser.add_argument("--cache-dir", default="", metavar="NAME", help="where faces and features are kept")
    parser.add_argument("--grids", action="store_true", help="keep each run's picture in results/ too")
    parser.add_argument("--mixed", action="store_true", help="even across machines, or ways to measure")
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    flags = parser.parse_args(argv)
    if flags.table:
        return flags if flags.name else parser.error("--table needs --name")
    if not flags.recipes or not flags.data or not flags.minutes:
        parser.error("--recipes, --data and --minutes are needed")
    if flags.minutes < 0 or flags.samples < 64 or flags.seeds < 1:
        parser.error("--minutes must be above 0, --samples at least 64, --seeds at least 1")
    flags.name = flags.name or f"{Path(flags.data).stem}-{flags.minutes:g}-minutes"
    return flags


def compare(flags: argparse.Namespace) -> int:
    """Trains and scores whatever is not done yet. Returns 1 where something failed."""
    if flags.table:
        results.write(results.read(flags.name), flags.mixed)
        print((results.FOLDER / f"{flags.name}.md").read_text("utf-8"))
        return 0
    seeds = variants.parse_variants(flags.recipes, flags.seeds)
    plan = [(variant, seed) for seed in range(max(seeds.values())) for variant in seeds if seed < seeds[variant]]
    configs = {item: checked(flags, *item) for item in plan}
    here, installed = probe()
    needed = {*(flags.network or []), "onet"}  # with which comes what looks for faces
    if missing := sorted(needed - {*installed, "inception"}):  # which is downloaded
        from gan.metrics.feature_extractors import PACKAGES

        what = " ".join(PACKAGES[name][1] for name in missing)
        raise UsageError(f"--network {' '.join(missing)} is not installed. To install it: pip install {what}")
    flags.network = sorted(set(flags.network or installed))
    asked = {"name": flags.name, "data": flags.data, "minutes": flags.minutes}
    how = {"samples": flags.samples, "networks": flags.network, "weights": flags.weights}
    known = results.known_rows(flags.name)
    document = results.open_document(asked, how, experiment.OUTPUT)
    document["mixed"] = document["mixed"] or flags.mixed
    require_same(document, configs, here, flags)
    for variant, count in seeds.items():
        document["recipes"][variant.label] = max(count, document["recipes"].get(variant.label, 0))
    for number, item in enumerate(plan, 1):
        if any(same(row, *item) and not row["failed"] for row in document["rows"]):
            continue
        print(f"compare: {number} of {len(plan)}: {item[0].label}, seed {item[1]}", flush=True)
        require_faces(document, configs[item])
        row = attempt(flags, *item, here, known)
        document["rows"] = [*(other for other in document["rows"] if not same(other, *item)), row]
        results.write(document)
        if row["failed"]:
            print(f"compare: {row['run']}: {row['failed']}", file=sys.stderr)
    results.write(document)
    rows = [row for row in document["rows"] if any(same(row, *item) for item in plan)]
    for row in rows if flags.grids else []:
        if not row["failed"]:
            results.keep_grid(row, flags.name, experiment.OUTPUT)
    print((results.FOLDER / f"{flags.name}.md").read_text("utf-8"))
    if failed := [row["run"] for row in rows if row["failed"]]:
        raise RunError(f"failed: {', '.join(failed)}. The same command tries again.")
    return 0


def checked(flags: argparse.Namespace, variant: Variant, seed: int) -> configuration.Config:
    """The configuration of a run; exits with 2, as train.py would, where one of its flags is a mistake."""
    try:
        return parse_arguments(training(flags, variant, seed)[3:])[0]
    except SystemExit:
        print(f"compare: that was about --recipes {variant.label}", file=sys.stderr)
        raise


def training(flags: argparse.Namespace, variant: Variant, seed: int) -> list[str]:
    """The command that trains a run."""
    return [
        *(sys.executable, "-m", "train", "--minutes", f"{flags.minutes:g}", *variant.flags),
        *("--seed", f"{seed}", "--data", flags.data, "--holdout", "0.1", "--run", run_name(flags, variant, seed)),
        *(["--cache-dir", flags.cache_dir] if flags.cache_dir else []),
    ]


def evaluation(flags: argparse.Namespace, run: Run) -> list[str]:
    """The command that scores a run."""
    return [
        *(sys.executable, "-m", "tools.evaluate", str(run.folder)),
        *("--samples", f"{flags.samples}", "--weights", flags.weights),
        *("--network", *flags.network, *(["--cache-dir", flags.cache_dir] if flags.cache_dir else [])),
    ]


def run_name(flags: argparse.Namespace, variant: Variant, seed: int) -> str:
    """The folder of a run in output/."""
    return f"compare-{flags.name}-{variant.label.replace(' ', '+')}-{seed}"


def same(row: dict, variant: Variant, seed: int) -> bool:
    """Whether a row is of that run."""
    return (row["label"], row["seed"]) == (variant.label, seed)


def probe() -> tuple[dict, list[str]]:
    """The machine, and the networks that can score here; asked of another process, so that this one stays small."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(describe)


def describe() -> tuple[dict, list[str]]:
    """What `probe` asks for."""
    from benchmarks.speed import describe_machine
    from gan import devices

    found = describe_machine(*devices.setup_devices("auto"), None)
    del found["load"]
    from gan.metrics.feature_extractors import installed_extractors

    return {**found, "flags": hardware.flags(), "memory_gb": hardware.memory()}, installed_extractors()


def require_same(document: dict, configs: dict, here: dict, flags: argparse.Namespace) -> None:
    """Raises UsageError where what is there came from another recipe, another machine, or a longer training."""
    wrong, elsewhere = [], []
    for row in document["rows"]:
        elsewhere += [line for sitting in row["sittings"] for line in protocol_differences(sitting["machine"], here)]
    for item, config in configs.items():
        run = Run(experiment.OUTPUT / config.name)
        there = [row["config"] for row in document["rows"] if same(row, *item) and not row["failed"]]
        there += [run.read_config()] if run.log.exists() else []
        for saved in there:
            wanted = json.loads(json.dumps(dataclasses.asdict(config))) | {"faces": saved.get("faces")}
            if config.precision == "auto":
                wanted["precision"] = saved["precision"]
            wrong += [f"{run.folder}: {line}" for line in configuration.differences(saved, wanted)]
        for sitting in runner.read_sessions(run):
            elsewhere += protocol_differences(sitting["machine"], here)
            if sitting["minutes"] > flags.minutes:
                wrong.append(f"{run.folder}: {sitting['minutes']:g} minutes there, {flags.minutes:g} here")
    if wrong:
        raise UsageError("\n  ".join(["These runs are there, but not as asked for:", *dict.fromkeys(wrong)]))
    if elsewhere and not flags.mixed:
        raise UsageError(
            "\n  ".join(["Some runs were trained on another machine (there and here):", *dict.fromkeys(elsewhere)])
            + "\nEqual times are not equal work then. --mixed goes on all the same, and the table says which is which."
        )


def require_faces(document: dict, config: configuration.Config) -> None:
    """Raises UsageError where the faces are too few to score, or not those that this run or others were trained on."""
    faces, run = experiment.load_data(config), Run(experiment.OUTPUT / config.name)
    there = run.trained_on() if run.log.exists() else ""
    if there and faces.digest not in there:
        raise UsageError(
            f"{run.folder} was trained on {there}; --data {config.data} is {faces.title}. Give another --name."
        )
    held = len(faces.split(config.holdout)[1])
    if held < FEWEST_HELD:
        raise UsageError(
            f"--data {config.data} has {len(faces.images):,} faces, of which {held} would be held out; a score needs"
            f" {FEWEST_HELD} or more. Give more: 300 are enough."
        )
    results.require_faces(document, config.seed, faces.title)


def attempt(flags: argparse.Namespace, variant: Variant, seed: int, here: dict, known: dict) -> dict:
    """Trains and scores one run, as far as that is still to be done. Returns its row.

    `known` are earlier rows by run: what they tell of a training stands where its log or checkpoints were removed.
    Raises UsageError where the training or the scoring was refused, as all others would be.
    """
    run = Run(experiment.OUTPUT / run_name(flags, variant, seed))
    row = {"label": variant.label, "recipe": variant.recipe, "overrides": dict(variant.overrides), "seed": seed}
    row |= {"run": run.folder.name, "minutes": flags.minutes}
    if not runner.is_trained(run, flags.minutes):
        code = runner.train_session(training(flags, variant, seed), run, here, flags.minutes)
        runner.require_accepted(code, "training", run)
        if code:
            return {
                **row,
                "failed": f"the training {runner.describe_exit(code)}",
                "sittings": runner.read_sessions(run),
            }
    asked = run, flags.samples, flags.network, flags.weights
    score = runner.find_scores(*asked)
    if not score:
        code = runner.run_process(evaluation(flags, run))
        runner.require_accepted(code, "evaluation", run)
        score = runner.find_scores(*asked)
        if code or not score:
            return {
                **row,
                "failed": f"the evaluation {runner.describe_exit(code)}",
                "sittings": runner.read_sessions(run),
            }
    facts = (
        known[run.folder.name] if runner.missing_files(run) and run.folder.name in known else runner.collect_facts(run)
    )
    return {**row, "failed": "", **facts, **score}


if __name__ == "__main__":
    sys.exit(main())
