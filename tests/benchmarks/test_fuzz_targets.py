"""Valid samples of the fuzzer's targets go through the product's entries."""

from random import Random

import pytest

from benchmarks.fuzz_targets import TARGETS
from benchmarks.fuzz_targets.target import write_files


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "keras"])
@pytest.mark.parametrize("seed", range(2))
def test_valid_samples(tmp_path, monkeypatch, name, seed):
    """What is not damaged is read, and everything that is asserted of it holds."""
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, TARGETS[name].make(Random(seed)))
    TARGETS[name].enter(tmp_path)


def test_a_valid_generator(tmp_path):
    """The first of the generators is one that runs save, the last one is hostile."""
    from benchmarks.fuzz_targets.generators import generators, load_generator
    from benchmarks.fuzz_targets.run_folders import run_files
    from gan.errors import UsageError

    for content in generators():
        files = {"run/config.json": run_files()["run/config.json"], "run/generator.keras": content}
        write_files(tmp_path, files)
        if content is not generators()[-1]:
            load_generator(tmp_path)
    with pytest.raises(UsageError, match="Lambda"):
        load_generator(tmp_path)
