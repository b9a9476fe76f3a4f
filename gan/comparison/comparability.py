"""Whether the runs of a comparison were measured alike, so that their scores may stand in one table.

lines = measured_differently(rows)  # the rows that tools/compare.py keeps in results/NAME.json
"""

from gan.metrics.evaluation import protocol_differences

# In what protocols may differ, as it follows from the recipe: each is held to the same faces at its own size, its
# pictures are its averaged generator's if it has one, copies are sought in the mirror if it trains on mirrored faces.
FACES = ("reference faces:", "reference digest:", "unseen faces:", "unseen digest:", "training faces ")
RECIPES_OWN = ("size:", "weights:", "memorisation mirrored too:", *FACES)
SIZES_OWN = "face rate classifier:"  # a network for drawn faces of one size


def find_incomparable(rows: list[dict]) -> list[str]:
    """In what protocols and faces differ beyond what recipes and seeds bring with them; nothing if all is well."""
    lines = []
    for row in rows:
        drawn = [other for other in rows if avatar_seed(other) == avatar_seed(row)]
        alike = [
            other
            for other in drawn
            if image_size(other) == image_size(row) and training_faces(other) == training_faces(row)
        ]
        own = RECIPES_OWN if image_size(row) == image_size(rows[0]) else (*RECIPES_OWN, SIZES_OWN)
        for other, found in [
            (rows[0], [line for line in row_differences(rows[0], row) if not line.startswith(own)]),
            (
                drawn[0],
                protocol_differences({"trained on": training_faces(drawn[0])}, {"trained on": training_faces(row)}),
            ),
            (alike[0], [line for line in row_differences(alike[0], row) if line.startswith(FACES)]),
        ]:
            lines += [f"{other['run']} and {row['run']}: {line}" for line in found]
    return lines


def row_differences(one: dict, other: dict) -> list[str]:
    """In what two rows' protocols differ."""
    return protocol_differences(one["protocol"], other["protocol"])


def image_size(row: dict) -> int:
    """The side of a run's pictures."""
    return row["protocol"]["size"]


def training_faces(row: dict) -> str | None:
    """What a run was trained on, by its content, at whatever size."""
    return row["config"].get("faces")


def avatar_seed(row: dict) -> int | None:
    """Which faces a run ought to be trained on: of avatars each seed draws its own, other data are the same for all."""
    return row["seed"] if row["config"].get("data") == "avatars" else None
