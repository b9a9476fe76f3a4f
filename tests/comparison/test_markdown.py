import pytest

from gan.comparison.markdown import floor_name, format_page


def row(label, seed, fd, kid, floor=2.0, **more):
    """A finished row; its floors are 2.0 and 0.5."""
    scores = {"fd-onet": fd, "kid-onet": kid, "floor_fd-onet": floor, "floor_kid-onet": 0.5, "face_rate": 0.5}
    scores |= {"precision-onet": 0.5, "recall-onet": 0.25, "diversity-onet": 1.0, "face_rate_real": 0.75}
    return {
        "label": label, "recipe": label, "overrides": {}, "seed": seed, "run": f"{label}-{seed}",
        "scores": scores | {"memorization": {"ratio": 1.0 + seed, "low": 0.9, "high": 1.1 + seed}},
        "protocol": {"size": 32, "weights": "averaged"}, "generator": {"file": "best.keras", "iteration": 1200},
        "weights": {"generator": 10, "discriminator": 5}, "images_per_second": 100.0, "images": 6000,
        "iterations": 60, "scoring_share": 0.05, "wall_seconds": 120.0, "config": {"precision": "float32"},
        "sessions": [{"machine": {"cpu": "Xeon"}, "other_cores": 0.1, "shared": seed == 1}], **more,
    }  # fmt: skip


DOCUMENT = {
    "name": "it", "data": "faces", "minutes": 2.0, "samples": 64, "networks": ["onet"],
    "recipes": {"udacity-64": 1, "default": 3},
    "rows": [row("udacity-64", 0, 12.0, 10.5), row("default", 0, 4.0, 1.5), row("default", 1, 8.0, 3.5)],
}  # fmt: skip


def test_page():
    """The lowest distance first, means and ranges over seeds, floors, what is left to do, and the command."""
    lines = format_page(DOCUMENT).splitlines()
    assert lines[0].startswith("# it") and "2 minutes" in lines[0]
    assert lines[4].startswith("| default | 32 | 2 | 6.00 (4.00 to 8.00) | 2.50 (1.50 to 3.50) | 0.500 (")
    assert "1.50 [0.90, 2.10]" in lines[4] and lines[5].startswith("| udacity-64 | 32 | 1 | 12.0 | 10.5 |")
    text = "\n".join(lines)
    assert "- 32 x 32: fd-onet 2.00, kid-onet 0.500, face rate 0.750" in text
    assert "cpu Xeon" in text
    [busy] = [line for line in lines if "busy" in line and "(seed " in line]
    assert "default (seed 1)" in busy and "default (seed 2)" not in busy and "default (seed 2)" in text
    assert lines[-1] == (
        "    python -m tools.compare --recipes udacity-64 default:3 --data faces --minutes 2 --samples 64"
        " --network onet --name it"
    )
    elsewhere = {**DOCUMENT, "output": "my runs", "recipes": {"default,devices=cpu:2": 1}}
    assert format_page(elsewhere).splitlines()[-1] == (
        "    python -m tools.compare --recipes default,devices=cpu:2:1 --data faces --minutes 2 --samples 64"
        " --network onet --name it --output 'my runs'"
    )


def test_sizes_and_unknown_values():
    """Floors of each size and a warning; what the system does not say is a dash; a missing run is named."""
    unknown = {"file": "generator.keras", "iteration": None}
    session = {"machine": {"cpu": "Xeon"}, "other_cores": None, "shared": False}
    small = row("udacity-32", 0, 20.0, 8.5, generator=unknown, protocol={"size": 28, "weights": "raw"})
    small["sessions"] = [session]
    recipes = {"udacity-64": 1, "udacity-32": 1, "conv-dense": 1}
    rows = [row("udacity-64", 0, 12.0, 10.5), small]
    lines = format_page({**DOCUMENT, "recipes": recipes, "rows": rows}).splitlines()
    assert sum(line.startswith(("- 28 x 28: fd-onet 2.00", "- 32 x 32: fd-onet 2.00")) for line in lines) == 2
    assert sum("different sizes" in line for line in lines) == 1
    assert sum(line.endswith("| - | float32 | generator.keras of unknown, raw |") for line in lines) == 1
    assert any("conv-dense (seed 0)" in line for line in lines)


@pytest.mark.parametrize(("name", "floor"), [("fid", "floor_fd"), ("kid", "floor_kid"), ("fd-vgg", "floor_fd-vgg")])
def test_floor_names(name, floor):
    """FID is kept as a Frechet distance."""
    assert floor_name(name) == floor
