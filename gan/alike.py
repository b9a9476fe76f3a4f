"""Whether the runs of a comparison were measured alike, so that their scores may stand in one table.

lines = measured_differently(rows)  # the rows that tools/compare.py keeps in results/NAME.json
"""

from gan.scores import differing

# In what protocols may differ, as it follows from the recipe: each is held to the same faces at its own size, its
# pictures are its averaged generator's if it has one, copies are sought in the mirror if it trains on mirrored faces.
FACES = ("reference faces:", "reference digest:", "unseen faces:", "unseen digest:", "training faces ")
RECIPES_OWN = ("size:", "weights:", "memorisation mirrored too:", *FACES)
SIZES_OWN = "face rate classifier:"  # a network for drawn faces of one size


def measured_differently(rows: list[dict]) -> list[str]:
    """In what protocols and faces differ beyond what recipes and seeds bring with them; nothing if all is well."""
    lines = []
    for row in rows:
        drawn = [other for other in rows if draw(other) == draw(row)]
        alike = [other for other in drawn if size(other) == size(row) and faces(other) == faces(row)]
        own = RECIPES_OWN if size(row) == size(rows[0]) else (*RECIPES_OWN, SIZES_OWN)
        for other, found in [
            (rows[0], [line for line in unlike(rows[0], row) if not line.startswith(own)]),
            (drawn[0], differing({"trained on": faces(drawn[0])}, {"trained on": faces(row)})),
            (alike[0], [line for line in unlike(alike[0], row) if line.startswith(FACES)]),
        ]:
            lines += [f"{other['run']} and {row['run']}: {line}" for line in found]
    return lines


def unlike(one: dict, other: dict) -> list[str]:
    """In what two rows' protocols differ."""
    return differing(one["protocol"], other["protocol"])


def size(row: dict) -> int:
    """The side of a run's pictures."""
    return row["protocol"]["size"]


def faces(row: dict) -> str | None:
    """What a run was trained on, by its content, at whatever size."""
    return row["config"].get("faces")


def draw(row: dict) -> int | None:
    """Which faces a run ought to be trained on: of avatars each seed draws its own, other data are the same for all."""
    return row["seed"] if row["config"].get("data") == "avatars" else None
