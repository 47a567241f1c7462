"""From JSONL tasks to padded batches with the branch-invisible mask."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Iterator

import numpy as np
import torch
from torch import Tensor

from .dialect import TURN_CLOSE, Dialect
from .sample import ANYTHING, Sample, allowed_markers, encode_parts
from .tokenizer import chat_prompt

# Shares of samples. A serial twin is a parallel answer as serial mode decodes it; the other two
# teach that a system message or an earlier turn changes nothing.
SERIAL_TWIN = 0.22
SYSTEM = 0.08
EARLIER_TURN = 0.06
SYSTEM_MESSAGES = ("You are a helpful assistant.", "You are a friendly assistant.", "Be brief.")


def read_tasks(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Encoder:
    """Tasks to samples. Pieces repeat a lot, so their ids are remembered."""

    def __init__(self, tokenizer, dialect: Dialect):
        self.tokenizer = tokenizer
        self.dialect = dialect
        self.end = tokenizer.token_to_id(TURN_CLOSE)
        self.piece = lru_cache(maxsize=50_000)(lambda text: tuple(self.encode(text)))

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def sample(self, task: dict, serial: bool = False, before: list[dict] | None = None) -> Sample:
        messages = [*(before or []), {"role": "user", "content": task["prompt"]}]
        prompt = self.encode(chat_prompt(messages))
        return encode_parts(prompt, task["parts"], self.piece, self.dialect, self.end, serial)

    def random_sample(self, task: dict, rng: np.random.Generator, short: list[dict]) -> Sample:
        before: list[dict] = []
        if rng.random() < SYSTEM:
            before.append({"role": "system", "content": str(rng.choice(SYSTEM_MESSAGES))})
        if rng.random() < EARLIER_TURN:
            turn = short[int(rng.integers(len(short)))]
            before.append({"role": "user", "content": turn["prompt"]})
            before.append({"role": "assistant", "content": turn["response"]})
        serial = task["parallel"] and rng.random() < SERIAL_TWIN
        return self.sample(task, serial, before)


@dataclass
class Batch:
    """b rows padded to n; m sampled tokens in all."""

    ids: Tensor  # [b, n]
    positions: Tensor  # [b, n]
    mask: Tensor  # [b, n, n] bool
    sources: Tensor  # [m] row * n + column of the token whose logits predict the target
    targets: Tensor  # [m]
    rules: Tensor  # [m]
    tokens: int  # without padding

    def to(self, device) -> "Batch":
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        return Batch(**moved)


def collate(samples: list[Sample], pad: int) -> Batch:
    b, n = len(samples), max(len(s) for s in samples)

    def padded(values: list[list[int]], fill: int) -> Tensor:
        out = np.full((b, n), fill, dtype=np.int64)
        for row, v in zip(out, values):
            row[: len(v)] = v
        return torch.from_numpy(out)

    lanes = padded([s.lanes for s in samples], 0)
    stages = padded([s.stages for s in samples], 0)
    rules = padded([s.rules for s in samples], ANYTHING)
    ids = padded([s.ids for s in samples], pad)
    siblings = (
        (stages[:, :, None] == stages[:, None, :])
        & (stages[:, :, None] != 0)
        & (lanes[:, :, None] != lanes[:, None, :])
    )
    mask = torch.ones(n, n, dtype=torch.bool).tril() & ~siblings
    where = (rules != ANYTHING).reshape(-1).nonzero().squeeze(1)
    return Batch(
        ids=ids,
        positions=padded([s.positions for s in samples], 0),
        mask=mask,
        sources=where - 1,
        targets=ids.reshape(-1)[where],
        rules=rules.reshape(-1)[where],
        tokens=sum(len(s) for s in samples),
    )


def marker_bias(dialect: Dialect, vocabulary: int) -> Tensor:
    """[rules, vocabulary]: -inf on the markers that the engine rules out."""
    bias = torch.zeros(7, vocabulary)
    for rule in range(7):
        allowed = allowed_markers(rule, dialect)
        for marker in dialect.markers:
            if marker not in allowed:
                bias[rule, marker] = float("-inf")
    return bias


def endless_batches(
    tasks: list[dict], encoder: Encoder, pad: int, tokens: int, context: int, seed: int
) -> Iterator[Batch]:
    """Pools of samples, sorted by length within a pool so that little padding is computed."""
    rng = np.random.default_rng(seed)
    short = [t for t in tasks[:20_000] if not t["parallel"] and len(t["response"]) < 120]
    while True:
        order = rng.permutation(len(tasks))
        for from_ in range(0, len(order), 1536):
            pool = [
                encoder.random_sample(tasks[i], rng, short) for i in order[from_ : from_ + 1536]
            ]
            pool = sorted((s for s in pool if len(s) <= context), key=len)
            groups: list[list[Sample]] = [[]]
            for s in pool:
                if groups[-1] and (len(groups[-1]) + 1) * len(s) > tokens:
                    groups.append([])
                groups[-1].append(s)
            for g in rng.permutation(len(groups)):
                yield collate(groups[g], pad)
