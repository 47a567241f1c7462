"""Packs rows of data into rows of tokens, in an order that depends only on seed and epoch.

An interrupted run therefore continues with exactly the row that would have come next.
"""

from collections.abc import Iterator

import numpy as np

from .batches import SERIAL_TWIN, Batch, Encoder, collate, is_parallel
from .loop import log
from .sample import Sample


class Packed:
    def __init__(self, tasks: list[dict], encoder: Encoder, pad: int, row_tokens: int, fill: bool):
        """`row_tokens` bounds a row. `fill` pads rows to it, so kernels compile for one shape."""
        self.tasks, self.encoder, self.pad = tasks, encoder, pad
        self.row_tokens, self.width = row_tokens, row_tokens if fill else 0
        self.left_out: dict[int, str] = {}

    def _sample(self, index: int, twin: bool) -> Sample | None:
        """None if a row can't be trained on, which is reported once per row."""
        task = self.tasks[index]
        try:
            sample = self.encoder.sample(task, serial=twin and is_parallel(task))
            if len(sample) <= self.row_tokens:
                return sample
            why = f"{len(sample)} tokens are more than a row's {self.row_tokens} (--row-tokens)"
        except (KeyError, TypeError, ValueError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        if index not in self.left_out:
            self.left_out[index] = why
            if len(self.left_out) <= 5:
                log(f"row {index + 1} of the data is left out: {why}")
        return None

    def _pack(self, samples: Iterator[Sample | None]) -> Iterator[Batch]:
        row: list[Sample] = []
        tasks = 0
        for sample in samples:
            if sample is not None and sum(map(len, row)) + len(sample) > self.row_tokens:
                yield collate([row], self.pad, self.width, tasks)
                row, tasks = [], 0
            tasks += 1
            if sample is not None:
                row.append(sample)
        if row:
            yield collate([row], self.pad, self.width, tasks)

    def in_order(self) -> list[Batch]:
        """All rows in the order of the data, without serial twins: for held-out data."""
        return list(self._pack(self._sample(i, False) for i in range(len(self.tasks))))

    def shuffled(self, epochs: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Batches from the task `start` on, counted over all epochs."""

        def sampled(epoch: int, skip: int) -> Iterator[Sample | None]:
            rng = np.random.default_rng([seed, epoch])
            order = rng.permutation(len(self.tasks))
            twins = rng.random(len(self.tasks)) < SERIAL_TWIN
            for i in order[skip:]:
                yield self._sample(int(i), bool(twins[i]))

        first, skip = divmod(start, len(self.tasks))
        for epoch in range(first, epochs):
            yield from self._pack(sampled(epoch, skip if epoch == first else 0))
            if len(self.left_out) == len(self.tasks):
                raise SystemExit(
                    f"no row can be trained on; the first: {self.left_out.popitem()[1]}"
                )
