"""The processes that the environment names: what TF_CONFIG and Slurm say, and what cannot be understood."""

import json

import pytest

from gan.cluster import Cluster, find_cluster
from gan.errors import UsageError


def config(jobs, kind="worker", index=0):
    """A TF_CONFIG."""
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (config({"worker": ["a:1", "b:2"]}, index=1), Cluster(("a:1", "b:2"), 1)),
        (config({"chief": ["c:3"], "worker": ["a:1", "b:2"]}, "chief"), Cluster(("c:3", "a:1", "b:2"), 0)),
        (config({"worker": ["a:1", "b:2"], "chief": ["c:3"]}, index=1), Cluster(("c:3", "a:1", "b:2"), 2)),
        (json.dumps({"cluster": {"worker": ["a:1"]}}), Cluster(("a:1",), 0)),
        (config({"worker": ["[::1]:1"], "ps": []}), Cluster(("[::1]:1",), 0)),
        (config({}), None),
        ("{}", None),
        (" ", None),
    ],
)
def test_tf_config(monkeypatch, text, expected):
    """Workers in order, a chief before them; nothing where no cluster is named."""
    monkeypatch.setenv("TF_CONFIG", text)
    assert find_cluster("auto") == expected
    assert find_cluster("none") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (config({"worker": ["a:1"], "ps": ["b:2"], "evaluator": ["c:3"]}), "evaluator, ps"),
        (config({"worker": ["a:1"]}, index=1), "task 1 of type worker"),
        (config({"worker": ["a:1"]}, index="one"), "cannot be read"),
        (config({"worker": ["a:1"]}, "chief"), "0 of type chief"),
        (config({"worker": ["a:1"]}, ["worker"]), "of type"),
        (config({"worker": ["a:1", "b:1"]}, index=1.9), "cannot be read"),
        (config({"worker": ["a:1", "b:1"]}, index=None), "its task has no index"),
        (config({"worker": ["a:1", "b:1"]}, index=True), "cannot be read"),
        (config({"worker": "a:1"}), "host:port"),
        (config({"worker": {"0": "a:1"}}), "host:port"),
        (config({"worker": {"a:1": 0}}), "different"),
        (config({"worker": ["a"]}), "host:port"),
        (config({"worker": ["a:99999"]}), "host:port"),
        (config({"worker": ["http://a:1"]}), "host:port"),
        (config({"worker": [["a:1"]]}), "host:port"),
        (config({"worker": ["a:1"], "chief": ["a:1"]}), "different"),
        ("[" * 10**5, "cannot be read"),
    ],
)
def test_a_wrong_tf_config(monkeypatch, text, words):
    """What is wrong is named."""
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UsageError, match=words):
        find_cluster("auto")


def test_slurm(monkeypatch):
    """Three tasks on two nodes have addresses in Slurm's order, and ports that depend on the job."""
    tasks = {"PROCID": "2", "STEP_NUM_TASKS": "3", "STEP_NODELIST": "n[9-10]", "STEP_TASKS_PER_NODE": "2,1"}
    for name, value in {**tasks, "JOB_ID": "7"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    found = find_cluster("slurm")
    assert found == Cluster(("n9:20112", "n9:20113", "n10:20112"), 2)
    monkeypatch.setenv("SLURM_STEP_ID", "3")
    assert find_cluster("slurm").addresses[0] == "n9:20124"
    monkeypatch.setenv("SLURM_NODEID", "0")  # as with another distribution of tasks
    with pytest.raises(UsageError, match="task 2 runs on n9: give srun --distribution block"):
        find_cluster("slurm")
    monkeypatch.delenv("SLURM_NODEID")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "many")
    with pytest.raises(UsageError, match="cannot be read"):
        find_cluster("slurm")


def test_tasks_of_srun_without_a_flag(monkeypatch):
    """They would each train the same run: what to type is said. One task, and TF_CONFIG, are as elsewhere."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert find_cluster("auto") is None
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(UsageError, match="--cluster slurm"):
        find_cluster("auto")
    assert find_cluster("none") is None


def test_slurm_without_srun(monkeypatch):
    """Outside of a job step, what to type is said."""
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(UsageError, match="srun"):
        find_cluster("slurm")
