"""Helpers that write ICC color profiles, as ICC.1:2010 has them: of three primaries and a curve, and of four inks."""

import itertools
import struct

# Columns of the matrix to XYZ (D50) of Display P3, as in Apple's profile.
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
PRIMARIES, D50 = (b"r", b"g", b"b"), (0.9642, 1.0, 0.8249)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1


def fixed(numbers):
    """Encodes numbers as s15Fixed16."""
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def make_profile(columns=DISPLAY_P3, curve=SRGB_CURVE):
    """The bytes of a profile of RGB, or, without columns, of gray. A curve of one number is a gamma."""
    if len(curve) == 1:
        tone = b"curv" + struct.pack(">IIH", 0, 1, round(curve[0] * 256))
    else:
        tone = b"para" + struct.pack(">IHH", 0, 3, 0) + fixed(curve)
    tags = {
        **_common_tags(),
        **{name + b"XYZ": b"XYZ " + bytes(4) + fixed(column) for name, column in zip(PRIMARIES, columns, strict=False)},
        **dict.fromkeys([name + b"TRC" for name in PRIMARIES] if columns else (b"kTRC",), tone),
    }
    return _join_tags(tags, b"RGB " if columns else b"GRAY", b"XYZ ")


def make_ink_profile(colors, other):
    """The bytes of a profile of CMYK, of (cyan, magenta, yellow, black) in 0 and 1 -> Lab, and Lab of the others."""
    inks = [colors.get(ink, other) for ink in itertools.product((0, 1), repeat=4)]
    corners = bytes(round(number) for light, a, b in inks for number in (light * 2.55, a + 128, b + 128))
    ramp = bytes(range(256))
    matrix = fixed((1, 0, 0, 0, 1, 0, 0, 0, 1))
    table = b"mft1" + struct.pack(">4x4B", 4, 3, 2, 0) + matrix + 4 * ramp + corners + 3 * ramp
    return _join_tags({**_common_tags(), b"A2B0": table}, b"CMYK", b"Lab ")


def _common_tags():
    text = b"a profile\0"
    return {
        b"desc": b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + text,
        b"wtpt": b"XYZ " + bytes(4) + fixed(D50),
    }


def _join_tags(tags, space, connection):
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    kind, size = b"prtr" if space == b"CMYK" else b"mntr", start + len(body)
    header = struct.pack(">I4sI4s4s4s12x4s", size, b"none", 0x02400000, kind, space, connection, b"acsp")
    return (header.ljust(68, b"\0") + fixed(D50)).ljust(128, b"\0") + table + body
