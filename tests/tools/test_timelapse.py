"""tools.timelapse, as typed at a command line."""

from pathlib import Path

from PIL import Image

from gan.generation.animation import CAPTION_HEIGHT
from gan.generation.timelapse import LAST_FRAMES
from tools import timelapse


def test_all_grids(tiny, capsys):
    """Three grids with all their samples, of which the last stays for long."""
    assert timelapse.main([str(tiny), "--out", "lapse.webp"]) == 0
    with Image.open("lapse.webp") as image:
        assert image.size == (8 * 50 - 2, 8 * 50 - 2 + CAPTION_HEIGHT)
        assert image.n_frames in (3, 2 + LAST_FRAMES)  # equal frames may be merged
    assert capsys.readouterr().out.startswith("3 grids, 8 x 8 faces each, ")


def test_small_file(tiny, capsys):
    """Samples, then frames are left out, and the command says where even that is too large."""
    assert timelapse.main([str(tiny), "--megabytes", "0.01"]) == 0
    with Image.open(tiny / "timelapse.gif") as image:
        assert image.size[0] == 4 * 50 - 2
    printed = capsys.readouterr().out
    assert printed.startswith("2 of 3 grids, 4 x 4 faces each, ")
    assert ("--megabytes 0.01" in printed) == ((tiny / "timelapse.gif").stat().st_size > 10_000)


def test_usage_errors(tiny, capsys):
    """A folder that is no run, and a run without grids, for which the command to continue it is printed."""
    assert timelapse.main(["output/none"]) == 2
    for path in Path(tiny).glob("0*.png"):
        path.unlink()
    assert timelapse.main([str(tiny)]) == 2
    assert "no sample grids" in (printed := capsys.readouterr().err) and "python train.py --" in printed
