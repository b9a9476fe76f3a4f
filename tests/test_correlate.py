"""What is said of scores and losses, on tables whose correlations are known by hand."""

import pytest

from gan.runs import COLUMNS, METRICS, Run, write_csv
from tools import correlate

KIDS = [50.0, 40.0, 45.0, 20.0, 10.0]
G_LOSSES = [1.0, 0.8, 0.9, 0.5, 0.4]  # falls and rises with the score: +1 in all


def finished(folder, kids=KIDS, g_losses=G_LOSSES):
    """A run of two iterations from score to score, whose G losses lie 0.1 around a mean, and D's stand still."""
    run = Run(folder)
    run.claim({"recipe": "default"})
    losses = [(mean + side) for mean in g_losses for side in (0.1, -0.1)]
    rows = [(i, 64 * i, i, 1.0, loss, 0.5, 0.5, 64.0) for i, loss in enumerate(losses, 1)]
    write_csv(run.log, [COLUMNS, *rows])
    blank = dict.fromkeys(METRICS, 0) | {"network": "onet"}
    scores = [blank | {"iteration": 2 * i, "kid": kid} for i, kid in enumerate(kids, 1)]
    write_csv(run.metrics, [METRICS, *(score.values() for score in scores)])
    return run


def test_losses_are_means_since_the_score_before(tmp_path):
    """Two iterations 0.1 above and below a mean have that mean, whatever came earlier."""
    iterations, kids, g_losses, d_losses = correlate.series(finished(tmp_path / "run"))
    assert list(iterations) == [2, 4, 6, 8, 10] and list(kids) == KIDS
    assert list(g_losses) == pytest.approx(G_LOSSES) and set(d_losses) == {1.0}


def test_a_row(tmp_path):
    """Score and G loss agree in rank; D's loss never changes, so that nothing follows it.

    Against the iteration, ranks 5 3 4 2 1 and 1 to 5 give 1 - 6 x 38 / (5 x 24) = -0.9. Changes of the score are
    -10, +5, -25, -10 and of the loss -0.2, +0.1, -0.4, -0.1: ranks 2.5 4 1 2.5 and 2 4 1 3, whose correlation is
    4.5 / sqrt(4.5 x 5). Where the loss fell, the middle of -10, -25 and -10 is -10.
    """
    cells = correlate.row(finished(tmp_path / "run"))
    assert cells == ["run", "5", "+1.00", "-", "-0.90", f"{4.5 / (4.5 * 5) ** 0.5:+.2f}", "-10 (3)", "+5 (1)"]


def test_the_command(tmp_path, capsys):
    """A Markdown table, a row a run."""
    assert correlate.main([str(finished(tmp_path / name).folder) for name in ("one", "two")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[:4]] == ["| run", "| ---", "| one", "| two"]


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda rows: [], "log.csv has no losses of iterations 1 to 2."),
        (lambda rows: rows[:4] + rows[6:], "log.csv has no losses of iterations 5 to 6."),
        (lambda rows: [*rows[:4], rows[4].replace("1.0,", "one,", 1)], "log.csv is damaged: move it away"),
        (None, "log.csv has no losses of iterations 1 to 2."),
    ],
)
def test_a_log_that_is_not_whole(tmp_path, capsys, keep, message):
    """None, one with a gap or a word in it: exit code 2, and the iterations that are missing."""
    log = finished(tmp_path / "run").log
    header, *rows = log.read_text().splitlines()
    if keep:
        log.write_text("\n".join([header, *keep(rows)]))
    else:
        log.unlink()
    assert correlate.main([str(log.parent)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and printed.out == ""


@pytest.mark.parametrize(
    ("made", "message"),
    [(False, "is not the folder of a run"), (True, "has 4 scores; 5 is the least. Train it with --score-every N")],
)
def test_mistakes(tmp_path, capsys, made, message):
    """Exit code 2, and what to do."""
    if made:
        finished(tmp_path / "run", KIDS[:4], G_LOSSES[:4])
    assert correlate.main([str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
