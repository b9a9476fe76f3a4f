"""Scores of finished runs as text: a column a run, and below them what a person should read of each.

show({"output/RUN": result, ...}, anyway=False)  # results as tools/evaluate.py keeps them in scores.json
"""

from gan.errors import UsageError
from gan.metrics.evaluation import HELD_OUT, format_number, protocol_differences
from gan.runs.run_directory import format_iteration

LEGEND = "All of kid, its spread and its floor is x 1000. A floor is what training faces score in place of samples."


def print_scores(found: dict[str, dict], anyway: bool) -> None:
    """Prints one table of all runs.

    Where they were measured differently: each run's own table, and raises UsageError, unless `anyway`.
    """
    unlike = list_differences(found)
    if not unlike or anyway:
        print(*unlike, *format_table(found), sep="\n")
        return
    for run, result in found.items():
        print(*format_table({run: result}), "", sep="\n")
    raise UsageError("\n".join([*unlike, "So each run's scores are shown alone. --anyway shows them side by side."]))


def list_differences(found: dict[str, dict]) -> list[str]:
    """In what runs were measured differently from the first, a line each under the names of the two."""
    first, *others = found
    lines = []
    for other in others:
        if unlike := protocol_differences(found[first]["protocol"], found[other]["protocol"]):
            lines += [f"{first} and {other} were measured differently:", *(f"  {line}" for line in unlike)]
    return lines


def format_table(found: dict[str, dict]) -> list[str]:
    """A row a score, and what is said of each run."""
    names = list(dict.fromkeys(name for result in found.values() for name in result["scores"]))
    width = max(12, *(len(run) + 2 for run in found))
    lines = [f"{'':24}" + "".join(f"{run:>{width}}" for run in found)]
    for name in names:
        values = [result["scores"].get(name) for result in found.values()]
        if all(isinstance(value, float | None) for value in values):
            lines.append(f"{name:24}" + "".join(f"{format_number(value):>{width}}" for value in values))
    lines.append(LEGEND)
    for run, result in found.items():
        lines += describe_scores(run, result)
    return lines


def describe_scores(run: str, result: dict) -> list[str]:
    """What was scored and against what; whether it copies; of drawn faces, what the generator has lost."""
    generator, protocol, scores = result["generator"], result["protocol"], result["scores"]
    reference, copies = protocol["reference"], scores["memorisation"]
    lines = [
        f"{run}: {generator['file']} of iteration {format_iteration(generator['iteration'])}, {protocol['samples']:,} samples"
        f" ({protocol['weights']} weights) against {describe_reference(reference)}",
        f"  {copies['in_words']}",
        f"  nearest training face / nearest unseen face {copies['ratio']:.2f}"
        f" [{copies['low']:.2f}, {copies['high']:.2f}], 1 is as unseen faces are",
    ]
    if "mode_coverage" in scores:
        missing = (f"{name} {', '.join(values)}" for name, values in scores["modes_missing"].items())
        far = (f"{name} {distance:.2f}" for name, distance in scores["attribute_distances"].items())
        lines += [
            f"  mode coverage {scores['mode_coverage']:.1%}, missing: {'; '.join(missing) or 'nothing'}",
            f"  how far the shares of values are from the data's, 0 to 1: {', '.join(far)}",
        ]
    return lines


def describe_reference(reference: dict) -> str:
    """Which faces a run was scored against, in words; older scores, against held-out ones, do not say so."""
    data = reference.get("data", HELD_OUT)
    return f"{reference['faces']:,} " + ("held-out faces" if data == HELD_OUT else f"faces of {data}")
