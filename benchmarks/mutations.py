"""Mutations: damage valid files at random, as bytes and in their own structure.

damaged = mutate("log.csv", content, random.Random(123))
"""

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from random import Random

DEPTH = 100_000  # of nested lists, which recursive readers cannot follow
INTEGERS = (0, 1, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
# Values as JSON writes them, of every type, some of which only lenient readers take.
ODD_JSON = (
    *("null", "true", "false", "{}", "[]", '""', "[[]]", "[{}]", "[null]", '{"a": 1}', '{"": null}'),
    *("0", "-0", "-0.0", "1", "-1", "0.5", "2", "1e400", "-1e400", "1e308", "1e-320", "NaN", "Infinity", "-Infinity"),
    *(str(2**31), str(2**63), str(-(2**63) - 1), str(10**30), "9" * 400, "9" * 5000),
    *('"NaN"', '"1"', '"a\\u0000b"', r'"\ud800"', '"\\n\\r,\\""', '"../escaped"', '"/"', '"."', '"<script>"'),
    *('"%s{0}"', '"' + "x" * 70_000 + '"', "[" * DEPTH + "]" * DEPTH, '{"a":' * 500 + "1" + "}" * 500),
)
ODD_CELLS = (
    *("", " ", "0", "-0", "-1", "1", "0.5", "1e400", "-1e400", "1e308", "nan", "inf", "-inf", "NaN", "1_000", "0x10"),
    *(str(2**63), "9" * 400, "9" * 5000, "²", "١٢", "\0", "\x1c", "\u2028", "\ufeff", '"', '"a,b"', '""', "'", "<b>"),
    *("x" * 140_000, "\r", "\n", "True", "None", "../escaped", "mode collapse", "started"),
)
ODD_NAMES = (
    *("", ".", "..", "/", "../escaped.png", "../../escaped.png", "/escaped.png", "C:\\escaped.png", "a\\b.png"),
    *("a\0b.png", "con.png", ".hidden/a.png", "x" * 300 + ".png", "x/" * 100 + "a.png", "顔.png", "a\n.png", "a/"),
    *("config.json", "metadata.json", "model.weights.h5", "assets/../../escaped", "images.npy", "generator/000.npy"),
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DTYPES = (
    *("|u1", "|i1", "<u2", ">u2", "<i4", "<f2", "<f4", ">f8", "<c8", "|b1", "|O", "|S5", "<U3", "<M8[s]", "|V0", "|V3"),
    *("<U0", "<U1000000000", "x", "", ("<f4", (2,)), [("a", "<f4")], [("a", "|O")], None, 3),
)
SHAPES = (
    *((), (0,), (1,), (6,), (6, 16), (6, 16, 16), (6, 16, 16, 3), (0, 16, 16, 3), (6, 0, 16, 3), (6, 16, 16, 4)),
    *((10**9, 16, 16, 3), (2**40, 1, 1, 1), (2**62, 2, 2), (-1, 16, 16), (-6, -16, 16), (6, 16, 16, 3, 1), (2**70,)),
    *((1,) * 70, None, 6, "6", (6.0, 16, 16), (True, 16, 16)),
)


def mutate(name: str, content: bytes, random: Random) -> bytes:
    """Damages the content of a valid file in one way or a few; its name says what it is."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        in_structure = next(
            (function for suffix, function in STRUCTURES.items() if name.endswith(suffix)), mutate_bytes
        )
        function = random.choice((mutate_bytes, in_structure, in_structure))
        try:
            content = function(content, random)
        except Exception:  # what was damaged before may have no structure left
            content = mutate_bytes(content, random)
    return content


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Flips bits, overwrites, truncates, inserts, repeats, removes or swaps pieces."""
    data = bytearray(content)
    start = random.choice((random.randrange(len(data) + 1), random.randrange(min(len(data), 64) + 1)))
    end = min(len(data), start + random.choice((1, 4, 16, 200, 5000)))
    kind = random.randrange(8)
    if kind == 0:
        for _ in range(random.choice((1, 1, 8, 64))):
            if data:
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif kind == 1:
        number = random.choice(INTEGERS).to_bytes(8, random.choice(("little", "big")))
        width = random.choice((1, 2, 4, 8))
        data[start : start + width] = number[:width] if random.random() < 0.5 else number[-width:]
    elif kind == 2:
        del data[start:]
    elif kind == 3:
        data[start:start] = random.randbytes(end - start)
    elif kind == 4:
        data[start:start] = data[start:end] * random.choice((1, 2, 100))
    elif kind == 5:
        del data[start:end]
    elif kind == 6:
        data[start:end] = bytes([random.choice((0, 255, 10, 32))]) * (end - start)
    else:
        cut = random.randrange(len(data) + 1)
        data = data[cut:] + data[:start]
    return bytes(data)


def splice(content: bytes, other: bytes, random: Random) -> bytes:
    """Joins the start of one file and the end of another."""
    return content[: random.randrange(len(content) + 1)] + other[random.randrange(len(other) + 1) :]


def mutate_json(content: bytes, random: Random) -> bytes:
    """Replaces, removes, renames or repeats one value anywhere in a JSON document."""
    document = [json.loads(content)]  # in a list, so that the whole document can be replaced as well
    places = [(document, 0)]
    for holder, key in places:
        value = holder[key]
        inner = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        places += [(value, name) for name in inner]
    holder, key = random.choice(places if random.random() < 0.5 else places[: 1 + len(places) // 4])
    kind, marker = random.randrange(6), "\ufdd0"
    if kind == 0 and holder is not document:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[random.choice((key.upper(), "", key + " ", *holder))] = holder.pop(key)
    elif kind == 2:
        holder[key] = random.choice(places)[0]  # may be a parent, which json refuses
    else:
        holder[key] = marker
    text = json.dumps(document[0])
    odd = str(random.randint(-10, 2**40)) if random.random() < 0.1 else random.choice(ODD_JSON)
    return text.replace(json.dumps(marker), odd).encode()


def mutate_csv(content: bytes, random: Random) -> bytes:
    """Replaces, removes, adds or repeats cells, rows or columns of a table."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    i = random.randrange(len(rows))
    j = random.randrange(len(rows[i]))
    kind = random.randrange(8)
    if kind == 0:
        rows.insert(i, rows[random.randrange(len(rows))])
    elif kind == 1:
        rows = [row[:j] + row[j + 1 :] for row in rows]
    elif kind == 2:
        rows = [[*row, random.choice(ODD_CELLS)] for row in rows]
    elif kind == 3:
        del rows[i]
    else:
        rows[i][j] = random.choice(ODD_CELLS)
    end = random.choice(("\n", "\n", "\n", "\r\n", "\r", ""))
    return (end or "\n").join(",".join(row) for row in rows).encode() + end.encode()


def mutate_npy(content: bytes, random: Random) -> bytes:
    """Gives an array another header: its dtype, shape, order, version or length."""
    version = content[6]
    length, start = (struct.unpack("<H", content[8:10])[0], 10) if version == 1 else (
        struct.unpack("<I", content[8:12])[0], 12
    )  # fmt: skip
    text, values = content[start : start + length].decode("latin1"), content[start + length :]
    kind = random.randrange(6)
    if kind == 0:
        text = re.sub(r"'descr': ('[^']*'|\[.*?\])", lambda _: f"'descr': {random.choice(DTYPES)!r}", text)
    elif kind <= 2:
        text = re.sub(r"'shape': \(.*?\)", lambda _: f"'shape': {random.choice(SHAPES)!r}", text)
    elif kind == 3:
        text = text.replace("False", random.choice(("True", "None", "0", "__import__('os')")))
    elif kind == 4:
        text = random.choice(("", "{}", "[", "{'descr': '|u1'}", "(" * 5000, "9" * 5000, "x" * 20_000))
    else:
        version = random.choice((0, 1, 2, 3, 4, 255))
    header = text.encode("utf-8")
    packed = struct.pack("<H", len(header) % 65536) if version == 1 else struct.pack("<I", len(header))
    return content[:6] + bytes([version, 0]) + packed + header + values


def mutate_zip(content: bytes, random: Random) -> bytes:
    """Writes an archive again with one entry changed, or overwrites fields of its headers."""
    if random.random() < 0.3:
        return mutate_zip_headers(content, random)
    if random.random() < 0.02:
        return inflate_entry(content, random)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    i = random.randrange(len(entries))
    name, data = entries[i]
    kind = random.randrange(8)
    if kind == 0:
        entries[i] = random.choice(ODD_NAMES), data
    elif kind == 1:
        del entries[i]
    elif kind == 2:
        entries.append((name, mutate(name, data, random)))  # a second entry of the same name
    elif kind == 3:
        entries[i] = name, bytes(random.choice((0, 10**6)))
    elif kind == 4:
        entries[i] = name, entries[random.randrange(len(entries))][1]
    else:
        entries[i] = name, mutate(name, data, random)
    return write_zip(
        entries, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    )


def write_zip(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """Writes an archive, the same for the same entries whenever it is written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method, compresslevel=1) as archive:
        for name, data in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            entry.filename = name  # ZipInfo cuts it at a NUL
            archive.NameToInfo.pop(name, None)  # so that there is no warning of a second one
            archive.writestr(entry, data)
    return buffer.getvalue()


def inflate_entry(content: bytes, random: Random) -> bytes:
    """Makes the first entry of an archive unpack to gigabytes, which its headers say or do not say."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    megabyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = megabyte * 3000 + packer.flush()
    entries = [(names[0], packed), *((name, b"") for name in names[1:])]
    data = write_zip(entries)
    size, method = struct.pack("<I", len(packed)), struct.pack("<H", zipfile.ZIP_DEFLATED)
    said = struct.pack("<I", random.choice((100, 3000 << 20, 0xFFFFFFFE)))
    central = data.index(b"PK\x01\x02")
    for start, at_method, at_sizes in ((0, 8, 18), (central, 10, 20)):
        changed = bytearray(data)
        changed[start + at_method : start + at_method + 2] = method
        changed[start + at_sizes : start + at_sizes + 8] = size + said
        data = bytes(changed)
    return data


def mutate_zip_headers(content: bytes, random: Random) -> bytes:
    """Overwrites fields of the headers: versions, flags, methods, checksums, sizes, offsets, counts, names."""
    data = bytearray(content)
    headers = {b"PK\x03\x04": 30, b"PK\x01\x02": 46, b"PK\x05\x06": 22}
    found = [(match.start(), headers[match[0]]) for match in re.finditer(b"PK(\x03\x04|\x01\x02|\x05\x06)", content)]
    start, length = random.choice(found)
    if random.random() < 0.3:
        at = start + length + random.randrange(12)  # in the name
        data[at : at + 1] = bytes([random.choice((0, 0x2F, 0x5C, 0x80, 0xE9, 0xFF))])
    else:
        at, width = start + random.randrange(4, length, 2), random.choice((2, 4))
        data[at : at + width] = (random.choice((*INTEGERS, *range(20))) % 256**width).to_bytes(width, "little")
    return bytes(data)


def mutate_png(content: bytes, random: Random) -> bytes:
    """Changes a chunk of a PNG and repairs its checksum; adds, removes or moves one."""
    chunks, position = [], 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4])
        chunks.append((content[position + 4 : position + 8], content[position + 8 : position + 8 + length]))
        position += 12 + length
    i, kind = random.randrange(len(chunks)), random.randrange(6)
    name, data = chunks[i]
    if kind == 0:
        chunks.insert(i, chunks[random.randrange(len(chunks))])
    elif kind == 1:
        del chunks[i]
    elif kind == 2:
        bomb = b"Comment\0\0" + zlib.compress(bytes(random.choice((0, 10**6, 10**8))), 1)
        chunks.insert(
            1, (random.choice((b"zTXt", b"iCCP", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"PLTE", b"tRNS")), bomb)
        )
    elif kind == 3:
        chunks[i] = random.choice(chunks)[0], data
    else:
        chunks[i] = name, mutate_bytes(data, random)
    parts = [len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4) for name, data in chunks]
    return content[:8] + b"".join(parts)


def mutate_tar(content: bytes, random: Random) -> bytes:
    """Overwrites a field of a header of a tar archive, and repairs its checksum."""
    data = bytearray(content)
    start = random.choice([match.start() - 257 for match in re.finditer(b"ustar", content)])
    at, length = random.choice(((0, 100), (124, 12), (124, 12), (124, 12), (156, 1), (157, 100), (345, 155)))
    odd = (
        b"%o" % random.choice(INTEGERS),
        b"\x80" + random.randbytes(11),
        b"\xff" * 12,
        random.choice(b"0123LKxgSDV57\0").to_bytes(1),
    )
    data[start + at : start + at + length] = random.choice((*odd, random.choice(ODD_NAMES).encode()))[:length].ljust(
        length, b"\0"
    )
    data[start + 148 : start + 156] = b" " * 8
    data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)


def mutate_packed_tar(content: bytes, random: Random) -> bytes:
    """The same for a tar archive that is compressed."""
    return gzip.compress(mutate_tar(gzip.decompress(content), random), 1, mtime=0)


# How files are damaged in their own structure, by the end of their name.
STRUCTURES = {
    ".json": mutate_json, ".csv": mutate_csv, ".npy": mutate_npy, ".png": mutate_png,
    ".zip": mutate_zip, ".npz": mutate_zip, ".keras": mutate_zip,
    ".tar": mutate_tar, ".tar.gz": mutate_packed_tar,
}  # fmt: skip
