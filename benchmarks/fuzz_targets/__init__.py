"""Targets of the fuzzer: for each kind of file, valid samples of it, and the product's own entry with its promises.

target = TARGETS["zip"]
content = target.make(random.Random(123))  # {"faces.zip": b"..."}
target.enter(folder)                       # after these were written to `folder`, damaged
"""

from importlib.util import find_spec

from benchmarks.fuzz_targets import data_sources, generators, image_files, run_folders
from benchmarks.fuzz_targets.target import Target
from gan import images

TARGETS = {
    "image": Target(image_files.make_image, image_files.read_image, (images.UnreadableImage,)),
    "grid": Target(image_files.make_grids, image_files.collect_grids, ()),
    "folder": Target(data_sources.make_folder, data_sources.load_data),
    "truncated": Target(data_sources.make_folder, data_sources.load_truncated),
    "zip": Target(data_sources.make_zip, data_sources.load_data),
    "tar": Target(data_sources.make_tar, data_sources.load_data),
    "table": Target(data_sources.make_table, data_sources.load_data),
    "tfrecord": Target(data_sources.make_tfrecord, data_sources.load_data),
    "containers": Target(data_sources.make_containers, data_sources.load_data),
    "npy": Target(data_sources.make_npy, data_sources.load_data),
    "npz": Target(data_sources.make_npz, data_sources.load_data),
    "labels": Target(data_sources.make_labels, data_sources.load_labelled, victims=("labels.txt",)),
    "cache": Target(
        lambda random: dict(data_sources.cached_faces()), data_sources.load_cached, victims=(".npy", ".json")
    ),
    "cache-read": Target(
        lambda random: dict(data_sources.cached_faces()), data_sources.read_cache, (ValueError,), (".npy", ".json")
    ),
    "features": Target(lambda random: dict(data_sources.stored_features()), data_sources.load_features, ()),
    "config": Target(run_folders.make_run, run_folders.read_config, victims=("config.json",)),
    "claim": Target(run_folders.make_run, run_folders.claim_run, victims=("config.json",)),
    "tables": Target(run_folders.make_run, run_folders.read_tables, victims=run_folders.TABLES),
    "reports": Target(
        run_folders.make_run, run_folders.read_reports, victims=("data.json", "best.json", "scores.json")
    ),
    "row": Target(
        run_folders.make_run,
        run_folders.read_row,
        victims=("scores.json", "sessions.json", "sittings.json", *run_folders.TABLES),
    ),
    "run-labels": Target(run_folders.make_labelled_run, run_folders.read_labels, victims=("labels.json",)),
    "page": Target(run_folders.make_run, run_folders.write_page, (), (".json", ".csv", ".npz")),
    "results": Target(run_folders.make_comparison, run_folders.read_results),
    "checkpoint": Target(run_folders.make_run, run_folders.restore_checkpoint, victims=(".npz",)),
    "keras": Target(generators.make_generator, generators.load_generator, victims=(".keras",)),
}
# Those of packages that may be missing.
OPTIONAL = {"pyarrow": ("parquet", data_sources.make_parquet), "av": ("video", data_sources.make_video)}
TARGETS |= {
    name: Target(make, data_sources.load_data) for package, (name, make) in OPTIONAL.items() if find_spec(package)
}
