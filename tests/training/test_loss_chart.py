import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from gan.images import read_png
from gan.training import loss_chart

BLUE, ORANGE = (31, 119, 180), (255, 127, 14)


def write_log(path, d_losses, g_losses):
    """A run's log with these losses."""
    rows = [f"{i},{i},0,{d},{g},100" for i, (d, g) in enumerate(zip(d_losses, g_losses, strict=True), 1)]
    path.write_text("\n".join(["iteration,images,seconds,d_loss,g_loss,images_per_second", *rows]) + "\n")
    return path


def line_of(picture, color):
    """The rows of a picture in which a color runs nearly from side to side."""
    return np.flatnonzero((np.abs(picture.astype(int) - color) < 30).all(axis=-1).sum(axis=1) > 500)


def test_chart(tmp_path):
    """800 x 400 pixels; the discriminator's line at 1 lies below the generator's at 3, each straight and thin."""
    log = write_log(tmp_path / "log.csv", [1.0] * 300, [3.0] * 300)
    loss_chart.draw_chart(log, [], tmp_path / "loss.png")
    picture = read_png(tmp_path / "loss.png")
    assert picture.shape == (400, 800, 3)
    discriminator, generator = line_of(picture, BLUE), line_of(picture, ORANGE)
    assert 1 <= len(generator) <= 3 and 1 <= len(discriminator) <= 3
    assert generator.max() < discriminator.min() - 100  # rows count downwards
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "loss.png"]


def test_chart_bears_one_wild_step(tmp_path):
    """A single loss of 1000 among 300 of about 1 does not press all others to the floor."""
    wild = [1.0] * 150 + [1000.0] + [1.0] * 149
    loss_chart.draw_chart(write_log(tmp_path / "log.csv", wild, [2.0] * 300), [], tmp_path / "loss.png")
    line = line_of(read_png(tmp_path / "loss.png"), ORANGE)
    assert line.size and 20 < line.mean() < 120  # 2 of an axis that ends at 2.2, in a picture of 400 rows


GREEN, RED = (44, 160, 44), (214, 39, 40)


def score(iteration, kid, **more):
    """A row of metrics.csv."""
    row = {"iteration": iteration, "network": "onet", "kid": kid, "kid_stderr": 1.0, "face_rate": 0.5}
    return {**row, "diversity": 0.9, "memorization": 1.0, **more}


def places(picture, color):
    """The columns and rows, each (n,), in which a color is."""
    rows, columns = np.nonzero((np.abs(picture.astype(int) - color) < 12).all(axis=-1))
    return columns, rows


def test_chart_with_scores(tmp_path):
    """800 x 1000 pixels: below the losses the scores, over the same iterations, the lowest with a red dot."""
    log = write_log(tmp_path / "log.csv", [1.0] * 300, [3.0] * 300)
    loss_chart.draw_chart(log, [score(100, 900.0), score(200, 300.0), score(300, 600.0)], tmp_path / "loss.png")
    picture = read_png(tmp_path / "loss.png")
    assert picture.shape == (1000, 800, 3)
    middle = picture[330:670, :600]  # the second panel, but for its legend
    columns, rows = places(middle, RED)
    line_columns, line_rows = places(middle, GREEN)
    assert columns.size > 10 and np.ptp(columns) < 12 and np.ptp(rows) < 12  # one dot
    assert rows.mean() > line_rows.mean()  # low is good, and low is below
    losses = places(picture[150:330], BLUE)[0]
    assert abs((columns.mean() - losses.min()) / np.ptp(losses) - 2 / 3) < 0.05  # 200 of 300
    assert line_columns.min() > 200  # the first score is at 100 of 300


def test_chart_of_drawn_faces(tmp_path):
    """Without a face rate, with one score, and with a score at or below 0, which no logarithm shows: no complaint."""
    log = write_log(tmp_path / "log.csv", [1.0] * 300, [3.0] * 300)
    for rows in ([score(100, 900.0, face_rate=None)], [score(100, 5.0), score(200, -0.5), score(300, 0.0)]):
        loss_chart.draw_chart(log, rows, tmp_path / "loss.png")
        assert read_png(tmp_path / "loss.png").shape == (1000, 800, 3)


def test_what_varies():
    """The third panel has a line each for face rate, diversity and memorization, less the scores that lack one."""
    axes = Figure().subplots()
    loss_chart.draw_variety(axes, [score(100, 9.0, diversity=0.7), score(200, 5.0, face_rate=None, memorization=1.1)])
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines == {
        "faces found": [[100, 0.5]],
        "diversity": [[100, 0.7], [200, 0.9]],
        "memorization": [[100, 1.0], [200, 1.1]],
    }


def test_chart_of_losses_at_nought(tmp_path):
    """Losses that are all 0 have an axis all the same."""
    loss_chart.draw_chart(write_log(tmp_path / "log.csv", [0.0] * 9, [0.0] * 9), [], tmp_path / "loss.png")
    assert (tmp_path / "loss.png").exists()


@pytest.mark.parametrize("count", [0, 1])
def test_no_chart_of_fewer_than_two_steps(tmp_path, count):
    """Nothing to draw yet, and nothing to warn of."""
    loss_chart.draw_chart(write_log(tmp_path / "log.csv", [1.0] * count, [1.0] * count), [], tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()


def test_running_mean_by_hand():
    """Two windows of five values: means of neighbouring pairs, each at the mean of its places."""
    x, y = loss_chart.running_mean(np.arange(1.0, 6), np.array([1.0, 3, 5, 5, 0]), windows=2)
    np.testing.assert_allclose(x, [1.5, 2.5, 3.5, 4.5])
    np.testing.assert_allclose(y, [2, 4, 5, 2.5])


def test_running_mean_of_few_values():
    """With fewer values than windows it is the values."""
    x, y = loss_chart.running_mean(np.arange(3.0), np.array([4.0, 5, 9]))
    np.testing.assert_array_equal([x, y], [[0, 1, 2], [4, 5, 9]])


def test_plots_need_no_tensorflow():
    """Importing the module leaves TensorFlow and Keras unimported, so a chart is instant."""
    code = "import sys, gan.training.loss_chart; print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_new_scalar_appears_by_itself(tmp_path):
    """Scalars of one quantity share a panel under the losses; one that most iterations lack is drawn where it is."""
    names = (
        "iteration,images,seconds,d_loss,real_score,fake_score,grad_norm_d,penalty,g_loss,grad_norm_g,images_per_second"
    )
    assert loss_chart.group_scalars(names.split(",")) == [
        ("d_loss", "g_loss"), ("real_score", "fake_score"), ("grad_norm_d", "grad_norm_g"), ("penalty",)
    ]  # fmt: skip
    rows = [f"{i},{i},0,1,0.6,0.4,2,{'' if i % 16 else 0.1},3,2,9" for i in range(1, 301)]
    (tmp_path / "log.csv").write_text("\n".join([names, *rows]) + "\n")
    loss_chart.draw_chart(tmp_path / "log.csv", [], tmp_path / "loss.png")
    assert read_png(tmp_path / "loss.png").shape == (1300, 800, 3)
    axes, content = Figure().subplots(), np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    loss_chart.draw_scalars(axes, content, "penalty")
    assert [len(line.get_xdata()) for line in axes.lines] == [18, 18]
