"""Cluster: the processes, perhaps on several machines, that train together, as their environment names them.

    cluster = find_cluster("auto")  # from TF_CONFIG; None where it is not set
    cluster.index, cluster.addresses
    environments = cluster_environments(2)  # TF_CONFIG of two processes of this machine

`gan.training.distribution` connects them. Nothing here needs TensorFlow, but for Slurm.
"""

import json
import os
import re
import socket
from dataclasses import dataclass

from gan.errors import UsageError, summarize

FIRST_PORT, PORTS = 20_000, 10_000  # of the ports that Slurm's jobs use, by their numbers


@dataclass(frozen=True)
class Cluster:
    """The addresses of all processes, host:port, the chief's first, and which of them this one is."""

    addresses: tuple[str, ...]
    index: int


def find_cluster(kind: str) -> Cluster | None:
    """The cluster that this process is a part of; None: it trains alone.

    Arguments:
        kind: "auto": as TF_CONFIG says, if it is set; "slurm": the tasks of a Slurm job step; "none": no cluster.

    Raises UsageError where the environment does not say so, or not in a way that can be understood.
    """
    if kind == "slurm":
        return read_slurm()
    text = os.environ.get("TF_CONFIG", "")
    if kind == "auto" and not text.strip() and os.environ.get("SLURM_STEP_NUM_TASKS", "1") not in ("", "1"):
        raise UsageError(
            f"srun has started {os.environ['SLURM_STEP_NUM_TASKS']} tasks: --cluster slurm trains one network by all of"
            " them, --cluster none one by each, which then needs a --run of its own."
        )
    return parse_tf_config(text) if kind == "auto" and text.strip() else None


def parse_tf_config(text: str) -> Cluster | None:
    """Reads a TF_CONFIG: {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.

    A task of type "chief" comes before the workers. None where no cluster is named. Raises UsageError.
    """
    example = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        jobs, task = config.get("cluster", {}), config.get("task", {})
        if not jobs:
            return None
        if not isinstance(task.get("index"), int | str) and sum(map(len, jobs.values())) > 1:
            raise ValueError("its task has no index")
        kind, index = str(task.get("type", "worker")), int(str(task.get("index", 0)))
        jobs = {name: addresses for name, addresses in jobs.items() if addresses}
        addresses = {name: jobs.get(name, []) for name in ("chief", "worker")}
        require_addresses(*addresses.values())
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UsageError(
            f"TF_CONFIG cannot be read ({summarize(error)}). It has to be like {example}. --cluster none ignores it."
        ) from None
    if other := sorted(set(jobs) - set(addresses)):
        raise UsageError(
            f"TF_CONFIG names tasks of type {', '.join(other)}: only chief and worker can train here. Start the job"
            " without the others."
        )
    if kind not in addresses or not 0 <= index < len(addresses[kind]):
        counts = " and ".join(f"{len(some)} of type {name}" for name, some in addresses.items())
        raise UsageError(f"TF_CONFIG says that this is task {index} of type {kind}, and names {counts}.")
    return Cluster((*addresses["chief"], *addresses["worker"]), index + (kind == "worker") * len(addresses["chief"]))


def require_addresses(*jobs) -> None:
    """Raises ValueError unless these are lists of addresses, all different."""
    addresses = [address for addresses in jobs for address in addresses]
    for address in addresses:
        port = re.fullmatch(r"[^\s/]+:(\d{1,5})", address) if isinstance(address, str) else None
        if not port or not 0 < int(port[1]) < 65536:
            raise ValueError(f"{address!r} is not host:port")
    if not all(isinstance(some, list) for some in jobs) or len(set(addresses)) < len(addresses):
        raise ValueError(f"{addresses} is not a list of different addresses")


def read_slurm() -> Cluster:
    """Reads the tasks of a Slurm job step, in Slurm's order. Raises UsageError.

    TensorFlow's SlurmClusterResolver reads the same variables, but it sorts machines as text, so that the task of n9
    believes that it is the one of n10, and it chooses GPUs itself, which Slurm has done. Its functions read the lists.
    """
    names = ("SLURM_PROCID", "SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE")
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise UsageError(
            f"--cluster slurm: {missing[0]} is not set, as it is in a job step. Start it by srun: srun -N 4 python"
            " train.py --cluster slurm ..."
        )
    from gan.devices import silence_tensorflow

    with silence_tensorflow():
        from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver
    rank, machines, tasks = (os.environ[name] for name in names)
    try:
        hosts = slurm_cluster_resolver.expand_hostlist(machines)
        counts = slurm_cluster_resolver.expand_tasks_per_node(tasks)
        # Jobs that share a machine have ports of their own, and so have steps of up to 4 tasks a machine.
        job, step = (os.environ.get(name, "0") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        port = FIRST_PORT + (int(job) * 16 + int(step) * 4) % PORTS
        addresses = [
            f"{host}:{port + i}" for host, count in zip(hosts, counts, strict=True) for i in range(count)
        ]  # fmt: skip
        index = range(len(addresses))[int(rank)]
        machine = hosts[int(os.environ.get("SLURM_NODEID", hosts.index(addresses[index].rpartition(":")[0])))]
        if not addresses[index].startswith(f"{machine}:"):
            raise ValueError(f"task {rank} runs on {machine}: give srun --distribution block")
    except (ValueError, IndexError) as error:
        raise UsageError(f"--cluster slurm: the tasks of this job cannot be read: {summarize(error)}") from error
    return Cluster(tuple(addresses), index)


def cluster_environments(workers: int) -> list[dict[str, str]]:
    """What each of some new processes of this machine needs in its environment to find the others."""
    jobs = {"worker": [f"127.0.0.1:{port}" for port in find_free_ports(workers)]}
    tasks = [{"cluster": jobs, "task": {"type": "worker", "index": index}} for index in range(workers)]
    return [{"TF_CONFIG": json.dumps(task)} for task in tasks]


def find_free_ports(count: int) -> list[int]:
    """Finds ports of this machine that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
