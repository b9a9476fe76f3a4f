"""Distribution: the devices and processes that train together, and what the processes tell each other.

    distribution = Distribution(tf.distribute.MirroredStrategy())
    batches = data.batches(..., places=distribution.places(batch_size, steps=1))
    for batch in distribution.spread(batches): ...        # for `DCGAN.train_step`
    rows = distribution.gather([stopped_by])              # what every process said: (processes, 1)

`gan.devices.setup_devices` chooses the strategy. Process 0 is the chief: it alone writes files and prints.
"""

import json
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf


class Distribution:
    """The replicas of a `tf.distribute.Strategy`, of which this process has some.

    Arguments:
        strategy: None is one device.
        index, count: the number of this process, and how many there are.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, index: int = 0, count: int = 1):
        self.strategy = strategy or tf.distribute.get_strategy()
        self.index, self.count = index, count
        self.replicas = self.strategy.num_replicas_in_sync
        self.local_replicas = self.replicas // count

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

    def spread(self, batches: Iterable) -> Iterator:
        """Gives each replica of this process its part of every batch, a tuple of tensors."""
        for batch in batches:
            yield batch if self.local_replicas == 1 else tuple(self.split(tensor) for tensor in batch)

    def split(self, tensor):
        """Splits a tensor, replica by replica, into the values of each on its device."""
        parts = tf.split(tensor, self.local_replicas)
        first = self.index * self.local_replicas
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group - first]
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
            values = self.broadcast([variable.numpy() for variable in variables.values()])
            for variable, value in zip(variables.values(), values, strict=True):
                variable.assign(value)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sums float64 values of the same shape over all processes."""
        return self.compiled_sum(tf.constant(values, tf.float64)).numpy()

    @tf.function(autograph=False, reduce_retracing=True)
    def compiled_sum(self, values):
        def add():
            context = tf.distribute.get_replica_context()
            mine = context.replica_id_in_sync_group % self.local_replicas == 0  # one replica speaks for its process
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(mine, values, tf.zeros_like(values)))

        return self.strategy.experimental_local_results(self.strategy.run(add))[0]
