"""Report of the data: what was found, used and left out, and what will not train well, in lines for a person.

print(*describe(faces.report, faces.skipped), sep="\n")
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gan.datasets.source import MACOS, Source, summarize_skipped
from gan.errors import UsageError
from gan.labels import Labels

MANY = 0.9  # share of images that look the same, above which samples will, too
SOME = 0.05  # share of images that are black, white or of one color, from which there is a warning
MANY_COPIES = 0.02  # share of images that are copies of others, from which there is a warning
FEW = 100  # different images, below which a warning says that samples will be copies


def describe(report: dict, skipped: list[tuple[str, str]]) -> list[str]:
    """Lines that describe the data, and warn of what will not train well, for a person."""
    found, used, size, unreadable = report["found"], report["used"], report["size"], report["skipped"]["unreadable"]
    parts = "".join(f", {count:,} of them in {title}" for title, count in report["parts"].items())
    lines = [
        f"{found:,} images found in {report['source']}{parts}, {unreadable:,} unreadable, "
        f"{report['skipped']['passed_over']:,} other files passed over"
    ]
    if unreadable:
        lines.append(f"unreadable: {summarize_skipped(skipped[:unreadable])}{advise(skipped[:unreadable])}")
    left_out = unreadable + report["skipped"].get("left_out", 0)
    if passed_over := [entry for entry in skipped[left_out:] if entry[1] != MACOS]:
        lines.append(f"passed over: {summarize_skipped(passed_over)}")
    if report["chosen"] < found:
        lines.append(f"{report['chosen']:,} of them used, {report['choice']}")
    lines += report["alignment"]
    if report["aligned"]:
        # Images without a label come last among those that are left out; the faces below include them.
        labels = report.get("labels")
        unlabelled = labels["unlabelled"] if labels and not labels["kept"] else 0
        reasons = Counter(reason for _, reason in skipped[unreadable : left_out - unlabelled])
        some = ", ".join(f"{count:,} ({reason})" for reason, count in reasons.most_common())
        lines.append(f"{used:,} faces{'; left out, by name in skipped.csv: ' if some else ''}{some}")
    if labels := report.get("labels"):
        lines.append(f"labels from {labels['from']}: {labels['summary']}")
        if labels["shared"]:
            lines.append(f"{labels['shared']:,} faces share a photograph with others, and have its labels")
        if labels["unlabelled"]:
            some = ", ".join(labels["such_as"])
            what = "trained with the mean label" if labels["kept"] else "left out, by name in skipped.csv"
            lines.append(f"{labels['unlabelled']:,} images without a label, such as {some}, are {what}")
    sizes = format_counts(report["sizes"], report["distinct_sizes"])
    modes = format_counts(report["modes"], len(report["modes"]))
    return [*lines, f"{sizes} {modes}, {report['crop']}, resized to {size}x{size}", *find_problems(report)]


def find_problems(report: dict) -> list[str]:
    """Warnings of a data report: of images that are all alike, or few."""
    used, different, problems = report["used"], report["different"], []
    for look, count in report["looks"].items():
        if count > MANY * used:
            problems.append(
                f"warning: {count:,} of {used:,} images are nearly {look}, so samples will be, too. If an image viewer"
                " shows them differently, their value range was not recognized: save them as 8-bit PNG."
            )
        elif count >= SOME * used:
            problems.append(
                f"warning: {count:,} of {used:,} images are nearly {look}, and are used like the rest. If an image"
                " viewer shows them differently, save them as 8-bit PNG."
            )
    copies = report.get("copies", 0)
    if different <= (1 - MANY) * used:
        problems.append(f"warning: only {different:,} of {used:,} images are different.")
    elif copies >= MANY_COPIES * used:
        problems.append(
            f"warning: {copies:,} of {used:,} images are copies of others, such as {report['first_copy']}, and are used"
            " like the rest. If an archive lies beside the folder that was unpacked from it, remove one of the two."
        )
    if different < FEW:
        problems.append(
            f"warning: there are only {different:,} different images, so samples will be copies of them. Add more, for"
            " example by a second --data: hundreds give some variety, thousands new faces."
        )
    return problems


def complete_report(
    report: dict, joined: Source, sources: Sequence[Source], decisions: Sequence, chosen: int, sampled: bool
) -> None:
    """Completes the report of decoded images, which may come from the cache, by what was asked for.

    Arguments:
        joined, sources: the source of all images, and those that it joins.
        decisions: of each source, the `gan.faces.alignment.Decision`.
        chosen: how many images were asked for, `sampled` at random or not.
    """
    aligned = {decision.align for decision in decisions}
    # A copy may have a new name, and other files beside the images: they are no part of what the cache is made from.
    report["skipped"] = report["skipped"] | {"passed_over": len(joined.passed_over)}
    report |= {"source": joined.title, "parts": dict(joined.parts), "found": len(joined.names), "chosen": chosen}
    report["aligned"] = any(aligned)
    report["align"] = "auto" if len(aligned) > 1 else "yes" if any(aligned) else "no"  # auto: some sources
    report["alignment"] = [
        f"{each.title}: {decision.reason}" if joined.parts else decision.reason
        for each, decision in zip(sources, decisions, strict=True)
        if decision.reason
    ]
    in_order = f"the first in order of {'--data, then of ' if joined.parts else ''}name"
    report["choice"] = "chosen at random" if sampled else in_order


def record_labels(labels: Labels, names: list[str], unlabelled: str, report: dict) -> list[tuple[str, str]]:
    """Completes what the report says of labels, and returns the names of images that are left out, with the reason.

    Raises UsageError where no image has a label, or all have the same.
    """
    missing = np.flatnonzero(~labels.known)
    if len(missing) == len(labels.codes):
        raise UsageError(
            f"{report['labels']['from']} has labels for none of the images, such as {names[0]}. Give other --labels, or"
            " none."
        )
    if len(labels.count_combinations().codes) < 2:
        raise UsageError(
            f"All images have the same label in {report['labels']['from']}, so there is nothing to ask for. Give other"
            " --labels, other --attributes, or none."
        )
    shares = zip(labels.attributes, labels.shares, strict=True)
    report["labels"] |= {
        "unlabelled": len(missing),
        "such_as": [names[i] for i in missing[:3]],
        "kept": unlabelled == "keep",
        "summary": labels.describe_shares(),
        "shares": {
            attribute.name: dict(zip(attribute.value_names, map(float, share), strict=True))
            for attribute, share in shares
        },
    }
    if unlabelled == "keep":
        return []
    report["skipped"]["left_out"] = report["skipped"].get("left_out", 0) + len(missing)
    return [(names[i], "no label") for i in missing]


def advise(skipped: list[tuple[str, str]]) -> str:
    """The flags with which some of the unreadable images would be used."""
    advice = {"truncated": "--allow-truncated uses what there is", "more than the limit": "--max-pixels raises it"}
    found = [flag for word, flag in advice.items() if any(word in reason for _, reason in skipped)]
    return f"; {', '.join(found)}" if found else ""


def format_counts(counts: dict[str, int], distinct: int) -> str:
    """The one value that all images have, or the most frequent ones with their counts."""
    if distinct == 1:
        return next(iter(counts))
    words = ", ".join(f"{value} ({count:,})" for value, count in list(counts.items())[:3])
    return f"{words}, {distinct - 3} more" if distinct > 3 else words
