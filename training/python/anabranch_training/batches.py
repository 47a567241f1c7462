"""Rows of data as batches, for both the demo's trainer and fine-tuning."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .dialect import Dialect
from .mask import block_mask, visible
from .sample import ANYTHING, Sample, encode_parts

# Share of parallel answers that are trained on as serial mode decodes them.
SERIAL_TWIN = 0.22


def read_tasks(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def is_parallel(task: dict) -> bool:
    return any("parallel" in part for part in task["parts"])


class Encoder:
    """Encodes tasks as samples. Ids of text spans are cached, because many spans recur.

    `tokenizer` is a `tokenizers.Tokenizer` that contains the markers, `render` applies the chat
    template with the generation prompt, and `end` is the token that ends an answer.
    """

    def __init__(self, tokenizer, dialect: Dialect, end: int, render: Callable[[list[dict]], str]):
        self.tokenizer, self.dialect, self.end, self.render = tokenizer, dialect, end, render
        added = tokenizer.get_added_tokens_decoder().values()
        self.special = [token.content for token in added if token.special]
        self.encode_span = lru_cache(maxsize=50_000)(
            lambda text: tuple(self.encode(self._checked(text)))
        )

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _checked(self, text: str) -> str:
        for token in self.special:
            if token in text:
                raise ValueError(
                    f"text contains the special token {token}; remove it from the data"
                )
        return text

    def sample(self, task: dict, serial: bool = False, before: list[dict] | None = None) -> Sample:
        """A task is {prompt, parts} or {messages, parts}. `before` is put before its messages."""
        own = task.get("messages") or [{"role": "user", "content": task["prompt"]}]
        messages = [*(before or []), *own]
        for message in messages:
            self._checked(message["content"])
        prompt = self.encode(self.render(messages))
        return encode_parts(prompt, task["parts"], self.encode_span, self.dialect, self.end, serial)


@dataclass
class Batch:
    """b rows padded to n tokens, with m sampled tokens in total."""

    ids: Tensor  # [b, n]
    positions: Tensor  # [b, n]
    samples: Tensor  # [b, n] number of the sample in its row, from 1; 0 is padding
    lanes: Tensor  # [b, n]
    stages: Tensor  # [b, n]
    sources: Tensor  # [m] row * n + column of the token whose logits predict the target
    targets: Tensor  # [m]
    rules: Tensor  # [m]
    held: Tensor  # [m] bool: of a sample that does not branch, though it may
    tokens: int  # padding excluded
    tasks: int  # rows of data used, including rows left out

    def to(self, device) -> "Batch":
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        return Batch(**moved)

    def mask(self, flex: bool = False):
        """[b, n, n] bool, or FlexAttention's BlockMask."""
        return (block_mask if flex else visible)(self.samples, self.lanes, self.stages)


def collate(rows: list[list[Sample]], pad: int, width: int = 0, tasks: int = 0) -> Batch:
    """Each row holds one or more samples that don't see each other. Rows are padded to `width`."""
    n = max(width, *(sum(map(len, row)) for row in rows))

    def laid_out(values: Callable[[int, Sample], list[int]], fill: int) -> Tensor:
        out = np.full((len(rows), n), fill, dtype=np.int64)
        for line, row in zip(out, rows, strict=True):
            at = 0
            for number, sample in enumerate(row, 1):
                line[at : at + len(sample)] = values(number, sample)
                at += len(sample)
        return torch.from_numpy(out)

    ids = laid_out(lambda _, s: s.ids, pad)
    rules = laid_out(lambda _, s: s.rules, ANYTHING).reshape(-1)
    where = (rules != ANYTHING).nonzero().squeeze(1)
    held = laid_out(lambda _, s: [int(s.free_and_serial)] * len(s), 0).reshape(-1)
    return Batch(
        ids=ids,
        positions=laid_out(lambda _, s: s.positions, 0),
        samples=laid_out(lambda number, s: [number] * len(s), 0),
        lanes=laid_out(lambda _, s: s.lanes, 0),
        stages=laid_out(lambda _, s: s.stages, 0),
        sources=where - 1,
        targets=ids.reshape(-1)[where],
        rules=rules[where],
        held=held[where].bool(),
        tokens=sum(len(s) for row in rows for s in row),
        tasks=tasks or sum(map(len, rows)),
    )
