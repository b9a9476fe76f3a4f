"""The run directory: settings, tables, generators, grids; what a training leaves behind, and needs to be resumed.

output/<run>/000150.png       samples at iteration 150, always from the same noise
             faces.png        some of the training images
             loss.png         losses, other scalars and scores
             log.csv          a row an iteration: losses and other scalars by name
             metrics.csv      a row a score
             diagnostics.csv  failure modes: when each started and ended, and what to try
             config.json      the settings
             labels.json      of a run with labels: their names, and how often an epoch has each combination
             data.json        what was trained on; skipped.csv names what was not, and why
             checkpoints/     the newest two
             generator.keras  the generator, which Keras loads without this project
             best.keras       the generator with the best score; best.json says which that is and how it was measured
             samples.npz      the samples of all grids: iterations (t,), images (t, n, h, w, 3) uint8
             scores.json      what tools.evaluate measured; nearest.png shows the samples nearest to training images
             audit.md         what tools.audit measured; audit.csv has the numbers, audit.png the chart
             sessions.json    when and on what machine tools.compare trained it
             tensorboard/     event files, with --log tensorboard
             earlier-1/       scores and best generator on the data before --accept-new-data, the first time
             unscored-1/      best.keras whose score is no longer in metrics.csv, as after that was moved away
"""

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from gan import config as configs
from gan import labels
from gan.errors import UsageError, summarize
from gan.files import (
    atomic_write,
    damage_as_value_error,
    read_json,
    write_csv,
    write_json,
)
from gan.labels import Labels
from gan.recipes import KEPT_ON_RESUME, OWN
from gan.runs import checkpoints, legacy
from gan.runs.grids import Grids
from gan.runs.tables import Tables, choose_columns

BEST = ("best.json", "best.keras")  # the first refers to the second


def read_iteration(path: Path) -> int | None:
    """The iteration at which a .keras file was saved; None of an older version's file, and of a damaged one."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), damage_as_value_error():
        with zipfile.ZipFile(path) as archive:
            iteration = json.loads(archive.comment)["iteration"]
        if isinstance(iteration, int) and iteration >= 0:
            return iteration
    return None


class Run:
    """The directory of one run, which one configuration owns."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.tables = Tables(folder)
        self.grids = Grids(folder)

    # Configuration

    def claim(self, config: dict, current: Labels | None = None) -> str:
        """Makes the directory and writes its config.json, and the labels that it is to be trained with.

        Raises UsageError as `require_same`.

        Returns:
            What the run was trained on before, if these are other images and `accept_new_data` is set; else "".
        """
        path, before = self.folder / "config.json", ""
        if path.exists():
            self.require_same(config, current)
            titles = {"faces": self.trained_on()}, {"faces": config.get("faces", "")}
            before = titles[0]["faces"] if configs.differences(*titles) else ""
        for part in [*self.folder.glob(".*.part*"), *self.checkpoints.glob(".*.part")]:
            part.unlink(missing_ok=True)  # what a killed process was writing
        if before:
            self.set_scores_aside()
        if current:
            current.save(self.folder / labels.FILE)
        write_json(path, config)
        return before

    def require_same(self, config: dict, current: Labels | None = None) -> None:
        """Raises UsageError where the directory belongs to a run of another configuration, or with other labels."""
        try:
            saved = self.read_config()
        except (UsageError, TypeError):
            saved = {}  # it is written whole or not at all, so somebody else wrote this one

        def compare(accept_new_data: bool) -> list[str]:
            here = json.loads(json.dumps({**config, "accept_new_data": accept_new_data}))
            different = configs.differences(saved, here, legacy.DEFAULTS)
            digests = saved.get("label_digest"), here.get("label_digest")
            return different + self.compare_labels(current, accept_new_data, digests)

        if different := compare(config.get("accept_new_data", False)):
            accept = "" if compare(True) else " To continue it with these images, add --accept-new-data."
            raise UsageError(
                f"{self.folder} holds a run of another configuration:\n  "
                + "\n  ".join(different)
                + f"\nGive --run another name, or remove that folder.{accept}"
            )

    def read_config(self) -> dict:
        """The content of config.json, by the present names. Raises UsageError where it is damaged."""
        path = self.folder / "config.json"
        try:
            return legacy.translate_config(read_json(path))
        except TypeError as error:  # of a list where a name should be
            raise UsageError(f"{path} is damaged: {summarize(error)}") from None

    def load_config(self) -> configs.Config:
        """The configuration of the run. Raises UsageError where there is none, or config.json is damaged."""
        path = self.folder / "config.json"
        if not os.path.exists(path):
            around = self.folder if self.folder.is_dir() else self.folder.parent
            there = {p.parent for at in (around, self.folder.parent, Path("output")) for p in at.glob("*/config.json")}
            found = f"There are: {', '.join(sorted(map(str, there)))}"
            found = found if there else f"There is none in {around}; python train.py makes one."
            raise UsageError(f"{self.folder} is not the folder of a run. {found}")
        try:
            return configs.Config.from_dict(self.read_config(), legacy.DEFAULTS)
        except (OSError, UsageError, ValueError, TypeError) as error:
            reason = "it is damaged" if isinstance(error, UsageError) else getattr(error, "strerror", None) or error
            raise UsageError(f"{path} does not describe a run: {reason}") from None

    def read_decided(self, given: dict) -> dict:
        """Reads the settings that the run keeps unless flags override them: `start_from`.

        With the recipe `default` or `avatars`, also the recipe and what it chooses by the images (`KEPT_ON_RESUME`),
        although a newer version would choose otherwise. Returns {} if there is no run yet, or another recipe is given.
        """
        with contextlib.suppress(OSError, UsageError):  # `claim` tells what is wrong with the file
            saved = self.load_config()  # with the defaults, which older versions had at all sizes
            if given.get("recipe", saved.recipe) != saved.recipe:
                return {}
            decided = {"start_from": saved.start_from}
            if saved.recipe in OWN:
                decided["recipe"] = saved.recipe
                choices = {field.name: field.metadata["choices"] for field in dataclasses.fields(saved)}
                kept = {name: getattr(saved, name) for name in KEPT_ON_RESUME}
                decided |= {name: value for name, value in kept.items() if not choices[name] or value in choices[name]}
            return decided
        return {}

    def has_sources(self, count: int) -> bool:
        """Whether the run was trained on so many data sources; True where there is no run yet."""
        with contextlib.suppress(OSError, UsageError):  # `claim` tells what is wrong with the file
            return len(self.read_config().get("data", range(count))) == count
        return True

    def resume_command(self, **changes) -> str:
        """The command that continues the run; `data=` is where its data are now."""
        where = {"output": str(self.folder.parent), "run": self.folder.name}
        return configs.format_command(dataclasses.replace(self.load_config(), **where, **changes))

    def read_choice(self, name: str, choices: Sequence[str]) -> str:
        """What a setting that is `auto` by default has been in the run; empty where that is not recorded."""
        with contextlib.suppress(OSError, UsageError):  # `claim` tells what is wrong with the file
            if (choice := {**legacy.DEFAULTS, **self.read_config()}.get(name)) in choices:
                return choice
        return ""

    def trained_on(self) -> str:
        """The title and digest of the data set that the run was trained on; empty where that is not recorded."""
        return str(self.read_config().get("faces", ""))

    def compare_labels(self, current: Labels | None, accept_new_data: bool, digests: tuple = (None, None)) -> list[str]:
        """Says in a line how labels differ from those that the run was trained with; no line where they do not.

        With `accept_new_data` only the attributes and their values have to be the same. `digests` are of the labels of
        every image, there and here; None: not recorded.
        """
        saved = self.load_labels()
        if saved is None and current is None:
            return []
        same_images = accept_new_data or None in digests or digests[0] == digests[1]
        if saved and current and saved.is_like(current, same_counts=not accept_new_data) and same_images:
            return []
        names = [", ".join(one.name for one in each.attributes) if each else "none" for each in (saved, current)]
        if names[0] == names[1]:
            return [f"labels: {names[0]} of other images, or with other values"]
        return [f"labels: {names[0]} there, {names[1]} here"]

    def load_labels(self) -> Labels | None:
        """The combinations of labels that the run was trained with; None for a run without labels."""
        return labels.load_labels(self.folder / labels.FILE)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes out of the directory. Raises UsageError where one is in it.

        The system releases the lock however the process ends. Windows has no such lock, and none is kept there. Warns
        where the file system has none.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w", encoding="utf-8") as file:
            try:
                if fcntl:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES):  # which depends on the file system
                    raise UsageError(
                        f"Another process is training in {self.folder}. Give --run another name."
                    ) from None
                reason = f"its file system has no locks ({error.strerror})"
                warnings.warn(f"{self.folder} is not locked: {reason}. Train one process at a time in it", stacklevel=3)
            yield

    def write_data_report(self, report: dict, skipped: list[tuple[str, str]]) -> None:
        """Writes what is trained on, and what is not."""
        write_json(self.folder / "data.json", report)
        self.write_skipped(skipped)

    def write_skipped(self, skipped: list[tuple[str, str]]) -> None:
        """Writes the name and reason of each file, or face, that is not trained on."""
        write_csv(self.folder / "skipped.csv", [("file", "reason"), *skipped])
        legacy.remove(self.folder, "skipped.csv")

    def read_data_report(self) -> dict | None:
        """The content of data.json; None where there is none. Raises UsageError where it is damaged."""
        path = self.folder / "data.json"
        kinds = {"used": int, "source": str, "crop": str}
        return legacy.translate_report(read_json(path, kinds=kinds)) if path.exists() else None

    def read_evaluations(self) -> list[dict]:
        """The evaluations of scores.json, the last one last. Raises UsageError where it is damaged."""
        path = self.folder / "scores.json"
        found = read_json(path, list, dict.fromkeys(("protocol", "generator", "scores"), dict)) if path.exists() else []
        return [legacy.translate_result(result) for result in found]

    # Generators

    def find_generator(self, best: bool = True) -> tuple[Path, int | None]:
        """The file of the generator with the best score, or of the last one, and its iteration.

        Without scores the last one is returned; the iteration is None of an older version's file where neither
        checkpoints nor a log are left. Raises UsageError where there is no generator yet.
        """
        if best and (scored := self.best_iteration()) is not None:
            path = self.folder / "best.keras"  # after a kill between the two writes it is newer than best.json
            return path, scored if (saved := read_iteration(path)) is None else saved
        if not (self.folder / "generator.keras").exists():
            raise UsageError(f"{self.folder} has no generator yet. Its training goes on with: {self.resume_command()}")
        path = self.folder / "generator.keras"
        if (iteration := read_iteration(path)) is None:  # written by an older version
            saved = [int(each.stem) for each in checkpoints.list_paths(self.checkpoints)]
            saved = saved or [int(row[0]) for row in self.tables.read(self.tables.log)[1]]  # which may be ahead of it
            iteration = max(saved, default=None)
        return path, iteration

    def best_iteration(self) -> int | None:
        """The iteration that best.json names; None without both files. Raises UsageError where it is damaged."""
        path = self.folder / "best.json"  # the later of the two
        whole = path.exists() and (self.folder / "best.keras").exists()
        return read_json(path, kinds={"iteration": int})["iteration"] if whole else None

    def save_generator(self, generator, iteration: int, name: str = "generator.keras") -> None:
        """Writes generator.keras, or another file of that kind, in which `read_iteration` finds its iteration."""
        temporary = self.folder / ".generator.part.keras"  # Keras writes to a path that ends so, not to a file
        generator.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = json.dumps({"iteration": iteration}).encode()
        with atomic_write(self.folder / name) as file:
            file.write(temporary.read_bytes())
        temporary.unlink()

    def save_best(self, generator, score: dict, protocol: dict) -> None:
        """Writes best.keras, and best.json with its score and how that was measured."""
        self.save_generator(generator, score["iteration"], "best.keras")
        columns = {name: score[name] for name in choose_columns(score)}
        write_json(self.folder / "best.json", {**columns, "protocol": protocol})

    def keep_best_of(self, iterations: Sequence[int], reached: int) -> Path | None:
        """Keeps best.json and best.keras where both are of the given iterations, which have scores.

        Both are removed where best.keras is of an iteration above `reached`: the run has gone back. Where its score, or
        best.json, is gone, as when a damaged file was moved away, both are moved to a folder, which is returned.
        """
        path, named = self.folder / "best.keras", self.best_iteration()
        saved = read_iteration(path)  # None of an older version's
        iteration = named if saved is None else saved
        whole = named in iterations and saved in (None, *iterations)
        # A training that was killed before it wrote best.json does so first of all.
        if whole or not path.exists() or (iteration == reached and iteration in iterations):
            return None
        if iteration is not None and iteration > reached:
            for name in BEST:
                (self.folder / name).unlink(missing_ok=True)
            return None
        folder = next(one for one in self._numbered("unscored") if not one.exists())
        self._move(BEST, folder)
        return folder

    def describe_earlier_scores(self) -> str:
        """Says where the scores on earlier data are, where there are any."""
        folders = sorted(self.folder.glob("earlier-*"))
        return f" Its scores on earlier data are in {' and '.join(map(str, folders))}." if folders else ""

    def set_scores_aside(self) -> Path | None:
        """Moves scores and the best generator to a folder: they do not compare with scores against other images.

        Returns the folder, or None where there are no scores.
        """
        if not self.tables.read_scores():
            return None
        folder = next(one for one in self._numbered("earlier") if not (one / "metrics.csv").exists())
        self._move((*BEST, "metrics.csv"), folder)  # the last one last: after a kill, the rest follows
        return folder

    def _numbered(self, name: str) -> Iterator[Path]:
        return (self.folder / f"{name}-{number}" for number in itertools.count(1))

    def _move(self, names: Sequence[str], folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.folder / name, folder / name)


def format_iteration(iteration: int | None) -> str:
    """An iteration for a person; "unknown" for None."""
    return "unknown" if iteration is None else f"{iteration:,}"
