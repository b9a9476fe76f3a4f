import csv

import numpy as np
import pytest
from sample_runs import SCALAR_COLUMNS, make_log_row, make_score

from gan.errors import UsageError
from gan.runs import tables as tables_module
from gan.runs.tables import SCORE_COLUMNS, Tables


@pytest.fixture
def tables(tmp_path):
    """The tables of a folder without any."""
    return Tables(tmp_path)


def logged(tables):
    """The iterations in log.csv, after a check of its header and the lengths of its rows."""
    rows = list(csv.reader(tables.log.read_text().splitlines()))
    assert rows[0] == SCALAR_COLUMNS and {len(r) for r in rows} == {8}
    return [int(r[0]) for r in rows[1:]]


def test_log(tables):
    """log.csv starts with a header, rows are appended, and rows after the last checkpoint are removed."""
    tables.truncate(0)
    assert not tables.log.exists() and tables.read_log() == {}
    tables.append_log([make_log_row(1), make_log_row(2)])
    tables.append_log([make_log_row(3), make_log_row(10)])
    assert logged(tables) == [1, 2, 3, 10]
    with open(tables.log, "a") as file:
        file.write("1")  # an incomplete row of iteration 11
    tables.truncate(3)
    assert logged(tables) == [1, 2, 3]
    tables.append_log([make_log_row(4)])
    assert logged(tables) == [1, 2, 3, 4]
    assert tables.log.read_text().splitlines()[-1] == "4,256,0.500,1.25,0.75,0.6,0.4,640.0"


def test_a_new_scalar(tables):
    """A new scalar gets a column, which is empty in earlier rows and in rows without the scalar."""
    tables.append_log([make_log_row(1)])
    tables.append_log([{**make_log_row(2), "penalty": 0.25}, make_log_row(3)])
    lines = tables.log.read_text().splitlines()
    assert lines[0] == ",".join([*SCALAR_COLUMNS[:-1], "penalty", "images_per_second"])
    assert [line.split(",")[-2] for line in lines[1:]] == ["", "0.25", ""]
    np.testing.assert_array_equal(tables.read_log()["penalty"], [np.nan, 0.25, np.nan])


def test_tables_of_another_version(tables):
    """A table with unknown columns raises a UsageError, and no table is changed."""
    tables.append_log([make_log_row(1), make_log_row(2)])
    older = ",".join(name for name in SCORE_COLUMNS if name != "kid") + "\n1,64,0.5,onet,64,,0.9,1.0,0.0,0,0.1\n"
    tables.metrics.write_text(older)
    with pytest.raises(UsageError, match=r"metrics\.csv.*--run"):
        tables.truncate(1)
    assert tables.metrics.read_text() == older and logged(tables) == [1, 2]


def test_scores_round_trip(tables):
    """Scores, also of NumPy's types, are read back with the same types and bit-identical values."""
    rows = [
        make_score(3),
        make_score(6, kid=-1 / 3, face_rate=0.984375, copying=1),
        make_score(9, kid=float(np.float64(1e22) / 3)),
    ]
    tables.truncate(0)
    assert tables.read_scores() == []
    for one in [*rows, make_score(12, kid=np.float64(0.7) / 3)]:
        tables.append_score(one)
    found = Tables(tables.folder).read_scores()
    assert found[:3] == rows and found[3]["kid"] == 0.7 / 3 and all(list(one) == SCORE_COLUMNS for one in found)
    assert [type(value) for value in found[1].values()] == [type(rows[1][name]) for name in SCORE_COLUMNS]
    assert tables.metrics.read_text().splitlines()[:2] == [
        ",".join(SCORE_COLUMNS),
        "3,192,1.234,onet,64,0.30000000000000004,0.1111111111111111,,0.6666666666666666,1e-17,0.0078125,0,142.85714285714286"
    ]  # fmt: skip


def test_truncate_tables(tables):
    """Scores and failure modes after the last checkpoint are removed, as are incomplete rows."""
    tables.truncate(0)
    advice = 'Try --penalty r1, a larger --batch-size, or "another" --seed'
    for iteration in (3, 6, 9):
        tables.append_score(make_score(iteration))
    tables.append_diagnostics(
        [(3, "mode collapse", "started", advice), (6, "saturation", "started", "Stop"), (9, "x", "started", "")],
    )
    for path in (tables.metrics, tables.diagnostics):
        with open(path, "a") as file:
            file.write('12,64,"a')
    tables.truncate(6)
    assert [row["iteration"] for row in tables.read_scores()] == [3, 6]
    assert tables.read_active_failures() == {"mode collapse": advice, "saturation": "Stop"}
    tables.append_diagnostics([(9, "mode collapse", "ended", "")])
    assert tables.read_active_failures() == {"saturation": "Stop"}


@pytest.mark.parametrize("rows_read", [2, 10_000])
def test_read_log(tables, monkeypatch, rows_read):
    """read_log(n) returns the columns of the last n rows, or of all rows, with exactly the logged values."""
    monkeypatch.setattr(tables_module, "ROWS_READ", rows_read)
    assert tables.read_log(5) == {}
    tables.append_log(
        [{**make_log_row(i), "d_loss": float(np.float32(i / 7)), "g_loss": float(np.float32(i / 3))} for i in (1, 2, 3)]
    )
    found = tables.read_log(2)
    assert list(found) == SCALAR_COLUMNS and len(tables.read_log(9)["d_loss"]) == len(tables.read_log()["d_loss"]) == 3
    np.testing.assert_array_equal(found["iteration"], [2, 3])
    np.testing.assert_array_equal(np.float32(found["d_loss"]), [np.float32(i / 7) for i in (2, 3)])
    np.testing.assert_array_equal(np.float32(found["g_loss"]), [np.float32(i / 3) for i in (2, 3)])


def test_tables_of_an_older_version(tables):
    """Tables of an older version are read with the present names, and rewritten with them on resume."""
    files = {
        "log.csv": "iteration,images,seconds,d_loss,g_loss,d_real,d_fake,images_per_second\n"
        "1,64,0.5,1.25,0.75,0.6,0.4,640.0\n",
        "metrics.csv": "iteration,images,seconds,network,samples,kid,error,face_rate,"
        "diversity,memorisation,copied,copying,cost\n"
        "1,64,0.5,onet,64,9.0,1.5,,0.9,1.25,0.0,0,3.0\n",
        "health.csv": "iteration,ailment,state,advice\n1,collapse,began,Try\n",
    }  # fmt: skip
    for name, text in files.items():
        (tables.folder / name).write_text(text)
    for _ in range(2):
        assert tables.read_log()["real_score"].tolist() == [0.6]
        assert tables.read_active_failures() == {"mode collapse": "Try"}
        [found] = tables.read_scores()
        assert (found["kid_stderr"], found["memorization"], found["eval_seconds"]) == (1.5, 1.25, 3.0)
        tables.truncate(1)
        assert not (tables.folder / "health.csv").exists() and tables.diagnostics.exists()
    tables.append_log([make_log_row(2)])
    assert logged(tables) == [1, 2]


def test_scores_of_several_averages(tables):
    """They have one more column, with which the table is read, cut back and continued."""
    tables.truncate(0)
    rows = [make_score(3, half_life=20.0), make_score(3, half_life=60.0), make_score(6, half_life=60.0)]
    for one in rows:
        tables.append_score(one)
    assert tables.metrics.read_text().splitlines()[0] == ",".join([*SCORE_COLUMNS, "half_life"])
    assert tables.read_scores() == rows
    tables.truncate(3)
    tables.append_score(rows[2])
    assert tables.read_scores() == rows


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        (
            "metrics.csv",
            "\n".join([",".join(SCORE_COLUMNS), ",".join(["3"] * 4 + ["64", "many", *["1"] * 7])]),
            Tables.read_scores,
        ),
        (
            "metrics.csv",
            "\n".join([",".join(SCORE_COLUMNS), ",".join(["3", *[""] * 12])]),
            Tables.read_scores,
        ),
        (
            "metrics.csv",
            "\n".join([",".join(SCORE_COLUMNS), "1,1,1,onet,64,nan" + ",1" * 7]),
            Tables.read_scores,
        ),
        ("metrics.csv", "iteration,kid\n1,2.5\n", Tables.read_scores),
        ("log.csv", ",".join(SCALAR_COLUMNS) + "\n1,64,0.5,1.25,x,0.6,0.4,640.0", lambda tables: tables.read_log(5)),
        ("log.csv", ",".join(SCALAR_COLUMNS) + "\n1,64,,1.25,1,0.6,0.4,640.0", Tables.read_log),
        ("log.csv", "iteration,d_loss\n1,64\n", Tables.read_log),
    ],
)
def test_damaged_tables(tables, name, text, read):
    """A damaged table raises a UsageError that names the file and says what to do."""
    (tables.folder / name).write_text(text)
    with pytest.raises(UsageError, match=f"{name} is damaged: move it away"):
        read(tables)
