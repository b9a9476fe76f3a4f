"""Cluster: the processes, perhaps on several machines, that train together, as their environment names them.

    cluster = find_cluster("auto")  # from TF_CONFIG; None where it is not set
    cluster.index, cluster.addresses
    environments = cluster_environments(2)  # TF_CONFIG of two processes of this machine

`gan.training.distribution` connects them. Nothing here needs TensorFlow, but for Slurm.
"""

import json
import os
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
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
        addresses = {name: [str(address) for address in jobs.get(name, [])] for name in ("chief", "worker")}
    except (ValueError, AttributeError, TypeError) as error:
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


def read_slurm() -> Cluster:
    """Reads the tasks of a Slurm job step, by TensorFlow's SlurmClusterResolver. Raises UsageError."""
    missing = [name for name in ("SLURM_PROCID", "SLURM_STEP_NODELIST") if name not in os.environ]
    if missing:
        raise UsageError(
            f"--cluster slurm: {missing[0]} is not set, as it is in a job step. Start it by srun: srun -N 4 python"
            " train.py --cluster slurm ..."
        )
    from gan.devices import count_gpus, silence_tensorflow

    with silence_tensorflow():
        import tensorflow as tf
    # Jobs that share a machine have ports of their own. Slurm itself gives each task its GPUs, where it is asked to;
    # without GPUs, the resolver would divide by 0.
    port = FIRST_PORT + int(os.environ.get("SLURM_JOB_ID", 0)) * 16 % PORTS
    settings = {} if count_gpus() else {"gpus_per_node": 2**16, "gpus_per_task": 1, "auto_set_gpu": False}
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(port_base=port, **settings)
        addresses = resolver.cluster_spec().as_dict()["worker"]
        _, index = resolver.get_task_info()
    except (RuntimeError, ValueError, KeyError, OSError) as error:
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
