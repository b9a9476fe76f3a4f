"""Report: every format in which a person reads scores.

print_scores({"output/RUN": result, ...}, anyway=False)  # results as in scores.json
format_number(1234.5)                                    # "1,234"
"""

from gan.errors import UsageError
from gan.metrics.evaluation import HALVES, HELD_OUT_NAME, name_half, protocol_differences
from gan.metrics.memorization import MemorizationResult
from gan.runs.run_directory import format_iteration

LEGEND = "kid, kid_spread and floor_kid are x 1000. A floor is the score of training images in place of samples."


def format_number(value: float | None) -> str:
    """Formats a score in about three digits, or a count in all of them; "-" for None."""
    if value is None:
        return "-"
    formats = [(1e9, ".2e"), (100, ",.0f"), (10, ".1f"), (1, ".2f")]
    return format(value, next((digits for least, digits in formats if abs(value) >= least), ".3f"))


def print_scores(results: dict[str, dict], anyway: bool) -> None:
    """Prints one table of the results of all runs, by their names.

    Where they were measured differently, it prints a table for each run and raises UsageError, unless `anyway`.
    """
    differences = list_differences(results)
    if not differences or anyway:
        print(*differences, *format_table(results), sep="\n")
        return
    for run, result in results.items():
        print(*format_table({run: result}), "", sep="\n")
    raise UsageError("\n".join([*differences, "So each run has a table of its own. --anyway prints one table."]))


def list_differences(results: dict[str, dict]) -> list[str]:
    """Lists how the protocols of runs differ from the first one's, a line each under the names of the two."""
    first, *others = results
    lines = []
    for other in others:
        if differences := protocol_differences(results[first]["protocol"], results[other]["protocol"]):
            lines += [f"{first} and {other} were measured differently:", *(f"  {line}" for line in differences)]
    return lines


def format_table(results: dict[str, dict]) -> list[str]:
    """Formats a table with a row for each score and a column for each run, followed by sentences about each run."""
    names = list(dict.fromkeys(name for result in results.values() for name in result["scores"]))
    width = max(12, *(len(run) + 2 for run in results))
    lines = [f"{'':24}" + "".join(f"{run:>{width}}" for run in results)]
    for name in names:
        values = [result["scores"].get(name) for result in results.values()]
        if all(isinstance(value, float | None) for value in values):
            lines.append(f"{name:24}" + "".join(f"{format_number(value):>{width}}" for value in values))
    lines.append(LEGEND)
    for run, result in results.items():
        lines += describe_scores(run, result)
    return lines


def describe_scores(run: str, result: dict) -> list[str]:
    """Says what was scored against what, whether samples copy training images and, of avatars, what is missing."""
    generator, protocol, scores = result["generator"], result["protocol"], result["scores"]
    reference, copies = protocol["reference"], scores.get("memorization", {})  # which older scores lack, or parts of it
    lines = [
        f"{run}: {generator['file']} of iteration {format_iteration(generator['iteration'])},"
        f" {protocol['samples']:,} samples ({protocol['weights']} weights) against {describe_reference(reference)}",
    ]
    if "summary" in copies:
        lines.append(f"  {copies['summary']}")
    if "ratio" in copies:
        lines.append(
            f"  distance to the nearest training image / to the nearest held-out image: {copies['ratio']:.2f}"
            f" [{copies['low']:.2f}, {copies['high']:.2f}]; held-out images have 1"
        )
    if "mode_coverage" in scores:
        missing = (f"{name} {', '.join(values)}" for name, values in scores["modes_missing"].items())
        far = (f"{name} {distance:.2f}" for name, distance in scores["attribute_distances"].items())
        lines += [
            f"  mode coverage {scores['mode_coverage']:.1%}, missing: {'; '.join(missing) or 'nothing'}",
            f"  distances of attributes' distributions from the data's, 0 to 1: {', '.join(far)}",
        ]
    if "agreement" in scores:
        accuracy = scores["classifier_accuracy"]
        each = (
            f"{name} {share:.1%} (the classifier is right in {format_share(accuracy.get(name))})"
            for name, share in scores["agreement"].items()
        )
        lines.append(f"  samples with the label asked for: {', '.join(each)}")
        by_label = (f"{name} {format_number(score['fd'])}" for name, score in scores["fd_by_label"].items())
        lines.append(
            f"  fd-{scores['fd_by_label_extractor']} by label: {', '.join(by_label) or 'too few images of each'}"
        )
    return lines


def format_share(value: float | None) -> str:
    """Formats a share in percent; "-" for None."""
    return "-" if value is None else f"{value:.1%}"


def describe_reference(reference: dict) -> str:
    """Says which images a run was scored against; older scores, all against held-out ones, do not name them."""
    data = reference.get("data", HELD_OUT_NAME)
    own = {name_half(HELD_OUT_NAME, half): name_half("held-out faces", half) for half in ("", *HALVES)}
    return f"{reference['faces']:,} {own.get(data, f'faces of {data}')}"


def describe_memorization(result: MemorizationResult) -> str:
    """Says whether samples copy training images, and what share of them is near one."""
    finding = "copying" if result.copying else "no sign of copying"
    return (
        f"{finding}: {result.share:.1%} of samples are closer to the training images, relative to held-out ones, than "
        f"{1 - result.expected:.0%} of held-out images are ({result.expected:.0%} expected)"
    )
