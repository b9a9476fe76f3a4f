import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from gan.images import read_png
from gan.training import loss_chart

BLUE, ORANGE, GREEN, RED = (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)


def make_log(**scalars):
    """The columns of a log with these scalars."""
    columns = {name: np.array(values, float) for name, values in scalars.items()}
    count = len(next(iter(columns.values())))
    return {"iteration": np.arange(1.0, count + 1), "seconds": np.zeros(count), **columns}


def make_score(iteration, kid, **more):
    """A row of metrics.csv."""
    row = {"iteration": iteration, "network": "onet", "kid": kid, "kid_stderr": 1.0, "face_rate": 0.5}
    return {**row, "diversity": 0.9, "memorization": 1.0, **more}


def rows_of_line(image, color):
    """The rows of an image with a horizontal line of a color over most of its width."""
    return np.flatnonzero((np.abs(image.astype(int) - color) < 30).all(axis=-1).sum(axis=1) > 500)


def positions(image, color):
    """The columns and rows, each (n,), of an image's pixels of a color."""
    rows, columns = np.nonzero((np.abs(image.astype(int) - color) < 12).all(axis=-1))
    return columns, rows


def test_losses(tmp_path):
    """A chart of losses has 800 x 400 pixels and a thin line for each network, here at 1 and 3."""
    loss_chart.draw_chart(make_log(d_loss=[1] * 300, g_loss=[3] * 300), [], tmp_path / "loss.png")
    image = read_png(tmp_path / "loss.png")
    assert image.shape == (400, 800, 3)
    discriminator, generator = rows_of_line(image, BLUE), rows_of_line(image, ORANGE)
    assert 1 <= len(generator) <= 3 and 1 <= len(discriminator) <= 3
    assert generator.max() < discriminator.min() - 100  # rows count downwards
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


def test_one_outlier_does_not_flatten_the_rest(tmp_path):
    """A single loss of 1000 among 300 of about 1 does not change the axis."""
    outlier = [1] * 150 + [1000] + [1] * 149
    loss_chart.draw_chart(make_log(d_loss=outlier, g_loss=[2] * 300), [], tmp_path / "loss.png")
    line = rows_of_line(read_png(tmp_path / "loss.png"), ORANGE)
    assert line.size and 20 < line.mean() < 120  # 2 on an axis that ends at 2.2, in an image of 400 rows


def test_scores(tmp_path):
    """A chart with scores has 800 x 1000 pixels, the same horizontal axis for all panels, and a red dot at the best."""
    log = make_log(d_loss=[1] * 300, g_loss=[3] * 300)
    scores = [make_score(100, 900.0), make_score(200, 300.0), make_score(300, 600.0)]
    loss_chart.draw_chart(log, scores, tmp_path / "loss.png")
    image = read_png(tmp_path / "loss.png")
    assert image.shape == (1000, 800, 3)
    quality = image[330:670, :600]  # the second panel without its legend
    columns, rows = positions(quality, RED)
    line_columns, line_rows = positions(quality, GREEN)
    assert columns.size > 10 and np.ptp(columns) < 12 and np.ptp(rows) < 12  # one dot
    assert rows.mean() > line_rows.mean()  # the lowest score is the best
    losses = positions(image[150:330], BLUE)[0]
    assert abs((columns.mean() - losses.min()) / np.ptp(losses) - 2 / 3) < 0.05  # 200 of 300
    assert line_columns.min() > 200  # the first score is at 100 of 300


def test_scores_of_several_averages(tmp_path):
    """Of those of an iteration the last is drawn, which is the lowest."""
    lowest = [make_score(100, 5.0), make_score(200, 7.0)]
    for name, scores in (("one", lowest), ("two", [make_score(100, 9.0), lowest[0], make_score(200, 8.0), lowest[1]])):
        loss_chart.draw_chart(make_log(d_loss=[1] * 300), scores, tmp_path / f"{name}.png")
    np.testing.assert_array_equal(*(read_png(tmp_path / f"{name}.png") for name in ("one", "two")))


@pytest.mark.parametrize("scores", [
    [make_score(100, 900.0, face_rate=None)], [make_score(100, 5.0), make_score(200, -0.5), make_score(300, 0.0)]
])  # fmt: skip
def test_scores_without_a_face_rate_or_below_zero(tmp_path, scores):
    """A score without a face rate, as of avatars, or of 0 or less can be drawn."""
    loss_chart.draw_chart(make_log(d_loss=[1] * 300, g_loss=[3] * 300), scores, tmp_path / "loss.png")
    assert read_png(tmp_path / "loss.png").shape == (1000, 800, 3)


def test_the_axis_of_scores_has_numbers():
    """Scores between two powers of ten have numbers beside them; scores of all sizes have powers of ten."""
    cases = (
        ((60.0, 15.0), {20, 30, 60}),
        ((60_000.0, 20_000.0), {20_000, 30_000, 60_000}),
        ((-12.0, -35.0), {-20, -30}),
        ((3e5, 40.0, -2.0), {0, 10, 100, 1000, 10_000, 100_000}),
        ((90.0, 6.0, -60.0), {100, 10, 0, -10}),
    )
    for kids, expected in cases:
        figure = Figure()
        axes = figure.subplots()
        loss_chart.draw_quality(axes, [make_score(100 * i, kid) for i, kid in enumerate(kids)])
        figure.draw_without_rendering()
        low, high = axes.get_ylim()
        ticks = [*axes.yaxis.get_major_ticks(), *axes.yaxis.get_minor_ticks()]
        texts = [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high]
        found = {int(text.replace(",", "").replace("\N{MINUS SIGN}", "-")) for text in texts if text}
        assert expected <= found and (len(kids) == 2 or found == expected)  # which would overlap others


def test_errors_of_scores():
    """Two standard errors are shaded around each score; the axis is linear where scores differ by less than these."""
    axes = Figure().subplots()
    scores = [make_score(100, 900.0, kid_stderr=200.0), make_score(200, -30.0, kid_stderr=60.0)]
    loss_chart.draw_quality(axes, [*scores, make_score(300, 40.0, kid_stderr=50.0)])
    (band,) = axes.collections
    edges = {tuple(vertex) for vertex in band.get_paths()[0].vertices.tolist()}
    assert edges == {(100, 500), (100, 1300), (200, -150), (200, 90), (300, -60), (300, 140)}
    assert axes.get_yaxis().get_transform().linthresh == 100  # of 120, which is twice the median error
    dot = axes.lines[1]
    assert (*dot.get_xydata()[0], dot.get_label()) == (300, 40, "best.keras: 40")


def test_variety():
    """Face rate, diversity and memorization have a line each, of the scores that have a value."""
    axes = Figure().subplots()
    scores = [make_score(100, 9.0, diversity=0.7), make_score(200, 5.0, face_rate=None, memorization=1.1)]
    loss_chart.draw_variety(axes, scores)
    assert {line.get_label(): line.get_xydata().tolist() for line in axes.lines} == {
        "face rate": [[100, 0.5]],
        "diversity": [[100, 0.7], [200, 0.9]],
        "memorization": [[100, 1.0], [200, 1.1]],
    }


def test_losses_of_zero(tmp_path):
    """Losses that are all 0 can be drawn."""
    loss_chart.draw_chart(make_log(d_loss=[0] * 9, g_loss=[0] * 9), [], tmp_path / "loss.png")
    assert (tmp_path / "loss.png").exists()


@pytest.mark.parametrize("log", [{}, make_log(d_loss=[], g_loss=[]), make_log(d_loss=[1], g_loss=[1])])
def test_no_chart_of_fewer_than_two_iterations(tmp_path, log):
    """A log of fewer than two iterations gives no chart and no warning."""
    loss_chart.draw_chart(log, [], tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()


def test_settings_of_the_user_do_not_matter(tmp_path, monkeypatch):
    """Whatever matplotlibrc says, the chart is the same; afterwards the settings are as before."""
    log = make_log(d_loss=[1] * 300, g_loss=[3] * 300)
    loss_chart.draw_chart(log, [], tmp_path / "usual.png")
    for name, value in {"text.usetex": True, "savefig.bbox": "tight", "lines.linewidth": 9.0}.items():
        monkeypatch.setitem(matplotlib.rcParams, name, value)
    before = dict(matplotlib.rcParams)
    loss_chart.draw_chart(log, [], tmp_path / "other.png")
    np.testing.assert_array_equal(read_png(tmp_path / "usual.png"), read_png(tmp_path / "other.png"))
    assert dict(matplotlib.rcParams) == before


def test_group_neighbors_by_hand():
    """Means, least and most of two groups of 2 and 3 values; with enough groups, every value is its own."""
    x, y = np.arange(1.0, 6), np.array([4.0, 0, 3, 9, 6])
    found = loss_chart.group_neighbors(x, y, 2)
    assert [each.tolist() for each in found] == [[1.5, 4], [2, 6], [0, 3], [4, 9]]
    for values, expected in zip(loss_chart.group_neighbors(x, y, 5), (x, y, y, y), strict=True):
        assert values.tolist() == expected.tolist()


def test_a_long_log_is_drawn_as_a_short_one(tmp_path):
    """A loss that jumps between 1 and 3 fills the space between, at any length."""
    for count in (600, 100_000):
        jumps = [1.0, 3.0] * (count // 2)
        loss_chart.draw_chart(make_log(d_loss=jumps, g_loss=[2] * count), [], tmp_path / f"{count}.png")
    short, long = (read_png(tmp_path / f"{count}.png")[60:370, 80:760].mean(-1) for count in (600, 100_000))
    assert abs(short.mean() - long.mean()) < 12


def test_running_mean_by_hand():
    """Five values in two windows give the means of neighboring pairs, at the means of their positions."""
    x, y = loss_chart.running_mean(np.arange(1.0, 6), np.array([1.0, 3, 5, 5, 0]), windows=2)
    np.testing.assert_allclose(x, [1.5, 2.5, 3.5, 4.5])
    np.testing.assert_allclose(y, [2, 4, 5, 2.5])


def test_running_mean_of_few_values():
    """If there are fewer values than windows, the values themselves are returned."""
    x, y = loss_chart.running_mean(np.arange(3.0), np.array([4.0, 5, 9]))
    np.testing.assert_array_equal([x, y], [[0, 1, 2], [4, 5, 9]])


def test_a_new_scalar_has_a_panel(tmp_path):
    """Each group of scalars has a panel below the losses; a scalar without values has none, and gives no warning."""
    nothing = [np.nan] * 300
    penalty = [0.1 if i % 16 == 0 else np.nan for i in range(300)]
    log = make_log(d_loss=[1] * 300, real_score=[0.6] * 300, fake_score=[0.4] * 300, penalty=penalty, new=nothing)
    loss_chart.draw_chart(log, [], tmp_path / "loss.png")
    assert read_png(tmp_path / "loss.png").shape == (1000, 800, 3)


def test_iterations_without_a_value_are_left_out():
    """A penalty of every 16th iteration has a line through these iterations, and one through their least and most."""
    axes = Figure().subplots()
    penalty = [0.1 if i % 16 == 0 else np.nan for i in range(300)]
    loss_chart.draw_scalars(axes, make_log(penalty=penalty), "penalty", ["penalty"])
    assert [len(line.get_xdata()) for line in axes.lines] == [38, 19]
    assert axes.get_ylim() == pytest.approx((0, 0.11))
