"""Does a loss tell how good the faces are? Holds the scores of finished runs against their losses.

    python -m tools.correlate output/RUN [output/OTHER ...]

A loss here is its mean over the iterations since the score before. Needs no TensorFlow, and a run with scores.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from gan import doors
from gan.errors import UsageError
from gan.metrics import rank_correlation
from gan.runs import Run

FEWEST = 5  # scores of which an order means anything
TITLES = [
    *("run", "scores", "score and G loss", "score and D loss", "score and iteration"),
    *("change of score and of G loss", "score's change where G loss fell", "where it rose"),
]


def main(argv: list[str] | None = None) -> int:
    """Prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.correlate", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="output/RUN", help="folders of runs with a metrics.csv")
    runs = parser.parse_args(argv).runs
    return doors.answer("correlate", lambda: correlate(runs))


def correlate(runs: list[str]) -> None:
    """Prints a row a run."""
    rows = [row(Run(Path(run))) for run in runs]
    print(*(f"| {' | '.join(cells)} |" for cells in [TITLES, ["---"] + ["---:"] * (len(TITLES) - 1), *rows]), sep="\n")
    print("\nScores are the kid-vgg or kid-onet of metrics.csv: low is good. Correlations are Spearman's, from -1")
    print("to 1; a change is from score to score, its median is given with how often it was seen.")


def row(run: Run) -> list[str]:
    """A run's cells."""
    iterations, score, g_loss, d_loss = series(run)
    change, swing = np.diff(score), np.diff(g_loss)
    return [
        run.folder.name,
        f"{len(score)}",
        *(signed(rank_correlation(score, other)) for other in (g_loss, d_loss, iterations)),
        signed(rank_correlation(change, swing)),
        median(change[swing < 0]),
        median(change[swing > 0]),
    ]


def series(run: Run) -> np.ndarray:
    """Iteration, score, G's loss and D's, (4, scores); raises UsageError where there are too few, or no losses."""
    run.config()
    scores = run.scores()
    if len(scores) < FEWEST:
        raise UsageError(
            f"{run.folder} has {len(scores)} scores; {FEWEST} is the least. Train it with --score-every N, or longer."
        )
    log, found, before = run.logged(), [], 0
    for one in scores:
        meanwhile = log[(log[:, 0] > before) & (log[:, 0] <= one["iteration"])]
        if not len(meanwhile):
            raise UsageError(f"{run.log} has no losses of iterations {before + 1:,} to {one['iteration']:,}.")
        d_loss, g_loss = meanwhile[:, 3:5].mean(axis=0)
        found.append((one["iteration"], one["kid"], g_loss, d_loss))
        before = one["iteration"]
    return np.array(found).T


def signed(value: float | None) -> str:
    """A correlation."""
    return "-" if value is None else f"{value:+.2f}"


def median(changes: np.ndarray) -> str:
    """The middle one of some changes, and how many there are."""
    return f"{np.median(changes):+,.0f} ({len(changes)})" if len(changes) else "- (0)"


if __name__ == "__main__":
    sys.exit(main())
