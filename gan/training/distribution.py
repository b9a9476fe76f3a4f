"""Distribution: the devices and processes that train together, and what the processes tell each other.

    distribution = distribute("2", None)                  # two GPUs, by tf.distribute.MirroredStrategy
    batches = data.batches(..., places=distribution.places(batch_size, steps=1))
    for batch in distribution.distribute_batches(batches): ...        # for `DCGAN.train_step`
    rows = distribution.gather([stopped_by])              # what every process said: (processes, 1)

Process 0 is the chief: it alone writes files and prints.
"""

import contextlib
import faulthandler
import json
import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from gan.cluster import Cluster
from gan.devices import count_gpus, require_fresh_tensorflow, split_cpu
from gan.errors import RunError, UsageError, summarize
from gan.signals import handle_signals, heeded_stops

# What TensorFlow raises where a process that takes part in a sum over replicas is gone.
LOST = (
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError,
    tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError, tf.errors.UnknownError,
)  # fmt: skip
ENDED = "another process of this run has ended, or cannot be reached"
CONTINUE = "Once all can run again, the same command goes on from the last checkpoint, if any."


def describe_loss(error: tf.errors.OpError) -> str:
    """The kind of an error and the first line of what TensorFlow says."""
    return f"{type(error).__name__}: {summarize(error.message)}"


def describe_difference(chief, value) -> str:
    """The first differing entry of two dictionaries, in words; of other values, both."""
    if not isinstance(chief, dict):
        return f": {value} here, {chief} there" if chief != value else ""
    names = [name for name in {**chief, **value} if chief.get(name) != value.get(name)]
    return f": {names[0]} is {value.get(names[0])} here, {chief.get(names[0])} there" if names else ""


def distribute(devices: str, cluster: Cluster | None, connect_seconds: float = 600.0) -> "Distribution":
    """Connects the processes of a cluster, and chooses the devices of this one. Must precede all use of TensorFlow.

    Arguments:
        devices: as for --devices.
        cluster: as from `gan.cluster.find_cluster`; None: this process trains alone.
        connect_seconds: after which the process ends, where others of the cluster are not there.

    Raises UsageError where there are not as many GPUs, and RunError where the processes cannot be connected.
    """
    if cluster and devices.startswith("cpu:") and devices != "cpu:1":
        raise UsageError(
            f"--devices {devices}: a process of a cluster has one replica on its CPU. Start more processes."
        )
    names = choose_devices(devices, count_gpus())
    if cluster or devices != "auto":
        hide_other_gpus(names)
    if cluster is None:
        strategy = tf.distribute.MirroredStrategy(names) if len(names) > 1 else None
        return Distribution(strategy, device=names[0])
    number = f"Process {cluster.index} of {len(cluster.addresses)}"
    own, addresses = cluster.addresses[cluster.index], ", ".join(cluster.addresses)
    print(
        f"{number} waits for all of {addresses}, and ends after {connect_seconds:g} seconds (--connect-seconds) if they"
        " are not there",
        flush=True,
    )
    try:
        with handle_signals(heeded_stops(), signal.SIG_DFL), end_after(connect_seconds):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(resolve(cluster, names))
    except (tf.errors.OpError, RuntimeError) as error:
        raise RunError(
            f"{number} cannot connect to the others: {summarize(getattr(error, 'message', error))}. Its own address is"
            f" {own}, whose port may be in use; those of all are {addresses}."
        ) from error
    hosts = [address.rpartition(":")[0] for address in cluster.addresses]
    return Distribution(strategy, cluster.index, len(hosts), processes_here=hosts.count(hosts[cluster.index]))


def resolve(cluster: Cluster, names: list[str]) -> tf.distribute.cluster_resolver.ClusterResolver:
    """The cluster in TensorFlow's terms, of whose processes each uses as many GPUs as are named."""
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
        num_accelerators={"GPU": sum(name.startswith("GPU") for name in names)},
    )


@contextlib.contextmanager
def end_after(seconds: float) -> Iterator[None]:
    """Ends this process with exit code 1 unless the block ends before.

    No thread of Python's runs while TensorFlow connects, and no handler of signals; faulthandler's watchdog needs none.
    """
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # for the traceback
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def choose_devices(devices: str, gpus: int) -> list[str]:
    """The names of TensorFlow's devices that --devices asks for, where there are so many GPUs. Raises UsageError."""
    if devices.startswith("cpu:"):
        return split_cpu(int(devices.removeprefix("cpu:")))
    if devices == "auto":
        return ["GPU:0"] if gpus else ["CPU:0"]
    wanted = gpus if devices == "all" else int(devices)
    if not gpus or wanted > gpus:
        there = f"there are only {gpus}" if gpus else "TensorFlow finds none here"
        raise UsageError(f"--devices {devices} asks for GPUs, and {there}. --devices cpu:2 is two replicas on the CPU.")
    return [f"GPU:{i}" for i in range(wanted)]


def hide_other_gpus(names: list[str]) -> None:
    """Leaves TensorFlow no other GPUs than these: a process of a cluster uses all that it sees.

    With none of these names, it leaves none.
    """
    gpus = tf.config.list_physical_devices("GPU")
    with require_fresh_tensorflow():
        tf.config.set_visible_devices([gpus[int(name[4:])] for name in names if name.startswith("GPU")], "GPU")


def prefetch(iterator: Iterator) -> Iterator:
    """Yields what an endless iterator does; a background thread makes the next meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(next, iterator)
        while True:
            item = future.result()
            future = thread.submit(next, iterator)
            yield item


class Distribution:
    """The replicas of a `tf.distribute.Strategy`, of which this process has some.

    Arguments:
        strategy: None is one device.
        index, count: the number of this process, and how many there are.
        device: TensorFlow's name of the one device; a strategy knows its own.
        processes_here: how many of the processes are on this machine.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy | None = None,
        index: int = 0,
        count: int = 1,
        device: str = "CPU:0",
        processes_here: int = 1,
    ):
        self.strategy = strategy or tf.distribute.get_strategy()
        self.index, self.count, self.processes_here = index, count, processes_here
        self.devices = strategy.extended.worker_devices if strategy else (device,)  # of this process
        self.replicas = self.strategy.num_replicas_in_sync
        self.local_replicas = self.replicas // count

    def require_divisible(self, batch_size: int) -> None:
        """Raises UsageError where replicas cannot have equal parts of a batch."""
        if batch_size % self.replicas:
            raise UsageError(
                f"--batch-size {batch_size} cannot be shared equally by {self.replicas} replicas: give a multiple of"
                f" {self.replicas}. It is the whole batch, however many there are."
            )

    def describe(self, device: str) -> str:
        """The devices in words, where `device` is one of them."""
        parts = [device] if self.replicas == 1 else [f"{self.replicas} replicas, each on {device}"]
        if self.count > 1:
            parts.append(f"in {self.count} processes")
        return " ".join(parts)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes and prints."""
        return self.index == 0

    def places(self, batch_size: int, steps: int) -> np.ndarray:
        """The places in a batch of `steps` times `batch_size` rows that this process needs, replica by replica.

        Each replica has its part of each of the `steps` micro-batches.
        """
        rows = np.arange(steps * batch_size).reshape(steps, self.replicas, -1).swapaxes(0, 1)
        first = self.index * self.local_replicas
        return rows[first : first + self.local_replicas].reshape(-1)

    def distribute_batches(self, batches: Iterable) -> Iterator:
        """Gives each replica of this process its part of every batch, a tuple of tensors, on its device.

        With GPUs, the next batch is copied in a background thread while one is trained on.
        """
        if self.devices == ("CPU:0",):
            return iter(batches)  # as they are
        parts = (tuple(map(self.split, batch)) for batch in batches)
        return prefetch(parts) if any("GPU" in device for device in self.devices) else parts

    def split(self, tensor):
        """Splits a tensor, replica by replica, into the values of each on its device."""
        parts = tf.split(tensor, self.local_replicas)
        return self.make_on_devices(lambda i: tf.identity(parts[i]))

    def make_on_devices(self, make: Callable):
        """Returns make(i) of each replica i of this process, made on its device; with one of them, just that."""

        def on_device(i: int):
            with tf.device(self.devices[i]):
                return make(i)

        if self.local_replicas == 1:
            return on_device(0)
        first = self.index * self.local_replicas
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: on_device(context.replica_id_in_sync_group - first)
        )

    def gather(self, values: Iterable[float]) -> np.ndarray:
        """Returns the numbers of every process, float64 (processes, n); each waits for the others."""
        values = np.asarray(list(values), np.float64)
        if self.count == 1:
            return values[None]
        table = np.zeros((self.count, len(values)))
        table[self.index] = values
        return self.sum(table)

    def broadcast(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Returns the chief's arrays, to the bit; all processes give arrays of the same shapes and types."""
        if self.count == 1:
            return arrays
        sizes = [array.nbytes for array in arrays]
        content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
        words = np.frombuffer(content + b"\0" * (-len(content) % 4), np.uint32)
        received = self.sum(words if self.is_chief else np.zeros(len(words)))
        content = received.astype(np.uint32).tobytes()
        ends = np.cumsum([0, *sizes])
        return [
            np.frombuffer(content[start : start + size], array.dtype).reshape(array.shape)
            for array, start, size in zip(arrays, ends[:-1].tolist(), sizes, strict=True)
        ]

    def broadcast_object(self, value):
        """Returns the chief's value, which JSON can hold."""
        if self.count == 1:
            return value
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        length = int(self.gather([len(text)])[0, 0])
        (text,) = self.broadcast([text if self.is_chief else np.zeros(length, np.uint8)])
        return json.loads(text.tobytes())

    def broadcast_state(self, variables: dict[str, tf.Variable]) -> None:
        """Gives the variables of all processes the chief's values."""
        if self.count > 1:
            for variable in variables.values():  # one by one: what is sent takes ten times the memory of it
                variable.assign(self.broadcast([variable.numpy()])[0])

    def chief_first(self, work: Callable):
        """Returns what `work()` returns, in the chief before it begins elsewhere, as where they share a cache."""
        if self.is_chief:
            result = work()
        # Within TensorFlow's call Python hears no signal, and there is nothing to save yet.
        with contextlib.nullcontext() if self.is_chief else handle_signals(heeded_stops(), signal.SIG_DFL):
            self.gather([0])
        return result if self.is_chief else work()

    def finish(self) -> None:
        """Waits for the other processes at the end: one that ended at once might not have been heard by all."""
        with contextlib.suppress(RunError):  # as the last to hear the others is heard by none
            self.gather([0])

    def require_same(self, what: str, value) -> None:
        """Raises UsageError, in every process, where a value that JSON can hold is another than the chief's."""
        value = json.loads(json.dumps(value))
        chief = self.broadcast_object(value)
        others = np.flatnonzero(self.gather([value != chief]))
        if len(others):
            shown = describe_difference(chief, value) or "; its own message shows the difference"
            raise UsageError(
                f"all processes of a run need the same {what}; process {others[0]} has others than process 0{shown}."
            )

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sums float64 values of the same shape over all processes. Raises RunError where one has ended."""
        with self.explain_losses():
            return self.compiled_sum(tf.constant(values, tf.float64)).numpy()

    @contextlib.contextmanager
    def explain_losses(self) -> Iterator[None]:
        """Raises RunError where TensorFlow fails because another process has ended, at whatever it was about to do.

        Raises KeyboardInterrupt where a signal came meanwhile, which TensorFlow reports as a RuntimeError.
        """
        try:
            yield
        except LOST as error:
            if self.count == 1:
                raise
            raise RunError(f"{ENDED} ({describe_loss(error)}). {CONTINUE}") from error
        except RuntimeError as error:
            if self.count > 1 and (found := re.search(r"KeyboardInterrupt(: (\d+))?", str(error))):
                raise KeyboardInterrupt(int(found[2] or signal.SIGINT)) from error
            raise

    @tf.function(autograph=False, reduce_retracing=True)
    def compiled_sum(self, values):
        def add():
            context = tf.distribute.get_replica_context()
            mine = context.replica_id_in_sync_group % self.local_replicas == 0  # one replica speaks for its process
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(mine, values, tf.zeros_like(values)))

        return self.strategy.experimental_local_results(self.strategy.run(add))[0]
