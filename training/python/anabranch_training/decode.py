"""A simple decoder of any dialect in PyTorch. It has no KV cache: each step runs the whole context.

It is slow and simple on purpose, samples greedily, and shares no code with the engine, so that the
two can be compared.
"""

from dataclasses import dataclass, field

import torch

from .dialect import NOTHING, Dialect, Marker, sample_marker
from .mask import visible
from .model import Model


@dataclass
class Answer:
    text: str
    stages: list[list[str]] = field(default_factory=list)  # titles of each stage
    steps: int = 0  # forward passes; all unfinished branches of a stage advance in one
    tokens: int = 0
    ended: bool = False


class Decoder:
    """After decode(), `ids`, `positions`, `lanes` and `stages` hold the answer as serialised."""

    def __init__(self, model: Model, tokenizer, dialect: Dialect, ends: set[int]):
        self.model, self.tokenizer, self.dialect, self.ends = model, tokenizer, dialect, ends

    def decode(self, prompt: str, parallel: bool = True, max_steps: int = 320) -> Answer:
        d = self.dialect
        self.ids, self.positions, self.lanes, self.stages = [], [], [], []
        self._add(self.tokenizer.encode(prompt, add_special_tokens=False).ids, 0, 0, 0)
        at = len(self.ids)
        answer = Answer("")
        serial: list[int] = []
        text: list[int] = []  # trunk tokens since the last marker, which may end in part of one
        lane = stage = 0
        joined = in_tail = False  # `text` follows a join; `text` is the tail of a stage
        plans = parallel

        def flush() -> None:
            answer.text += self.tokenizer.decode(serial)
            serial.clear()

        while answer.steps < max_steps:
            may_plan = plans and stage < d.caps.stages
            if joined and len(text) < len(d.opener.ids):  # no plan directly after a join
                may_plan = False
            marker = d.marker("tail_close") if in_tail else d.opener if may_plan else NOTHING
            token = self._sample(0, self._logits()[-1], banned=self._banned(text, marker))
            answer.steps += 1
            if token in self.ends:
                answer.ended = True
                break
            at = self._add([token], at, 0, 0)
            text.append(token)
            serial.append(token)
            if not marker.ids or not _ends_with(text, marker.ids):
                continue
            del serial[-len(marker.ids) :]
            if in_tail:
                at = self._add(marker.rest, at, 0, 0)
                text, joined, in_tail = [], False, False
                continue
            plan_start = at - len(marker.ids)
            titles, at = self._plan(at, answer)
            if len(titles) < d.caps.min_branches:
                at = self._drop(plan_start)
                plans, text = False, text[: -len(marker.ids)]
                continue
            flush()
            stage += 1
            bodies, resume = self._branches(titles, at, lane, stage, answer, max_steps)
            lane += len(titles)
            answer.stages.append([self.tokenizer.decode(list(title)) for title in titles])
            answer.text += "".join(self.tokenizer.decode(b) for b in bodies)
            at = self._add(d.join, resume, 0, 0)
            text, joined, in_tail = [], True, d.has_tail
        flush()
        answer.tokens = len(self.ids)
        return answer

    def _plan(self, at: int, answer: Answer) -> tuple[dict[tuple[int, ...], int], int]:
        """Decodes a plan after its opener, through the fork.

        Returns each distinct title with its number, or no titles if the plan is illegal.
        """
        d = self.dialect
        at = self._add(d.opener.rest, at, 0, 0)
        titles: dict[tuple[int, ...], int] = {}
        number = 1
        opened = d.opens_title
        while True:
            if not opened:
                at, marker = self._next_marker(at, number, answer)
                if marker == d.marker("fork"):
                    return titles, at
            opened = False
            title, at = self._title(at, answer)
            if title is None:
                return {}, at
            titles.setdefault(tuple(title), number)
            number += 1

    def _next_marker(self, at: int, number: int, answer: Answer) -> tuple[int, Marker]:
        options = (
            [self.dialect.marker("title_open", number)]
            if number <= self.dialect.caps.branches
            else []
        )
        options += [self.dialect.marker("fork")] if number > 1 else []

        def pick(tokens: set[int], _: int) -> int:
            answer.steps += 1
            return self._sample(0, self._logits()[-1], allowed=tokens)

        written: list[int] = []
        for token, _ in sample_marker(options, pick):
            at = self._add([token], at, 0, 0)
            written.append(token)
        return at, next(option for option in options if list(option.whole) == written)

    def _title(self, at: int, answer: Answer) -> tuple[list[int] | None, int]:
        """Decodes a title through its end; None if it is too long."""
        close = self.dialect.marker("title_close")
        partial = len(close.ids) - 1
        title: list[int] = []
        while True:
            banned = self._banned(title, close) | self.ends
            if len(title) == partial and _ends_with(title, close.ids[:-1]):
                banned.add(close.ids[-1])  # the title would be empty
            token = self._sample(0, self._logits()[-1], banned=banned)
            answer.steps += 1
            at = self._add([token], at, 0, 0)
            title.append(token)
            if _ends_with(title, close.ids):
                return title[: -len(close.ids)], self._add(close.rest, at, 0, 0)
            if len(title) > self.dialect.caps.title_tokens + partial:
                return None, at

    def _branches(self, titles, start, lane, stage, answer, max_steps):
        """Decodes all branches of a stage, a token of each per step, and appends them in order."""
        trunk = (self.ids, self.positions, self.lanes, self.stages)
        close = self.dialect.marker("branch_close")
        openings = [list(self.dialect.opening(title, number)) for title, number in titles.items()]
        bodies: list[list[int]] = [[] for _ in titles]
        ending: list[tuple[int, ...]] = [() for _ in titles]

        def lay_out() -> list[int]:
            self.ids, self.positions, self.lanes, self.stages = (list(x) for x in trunk)
            last = []
            for i, (opening, body) in enumerate(zip(openings, bodies, strict=True)):
                self._add([*opening, *body, *ending[i]], start, lane + 1 + i, stage)
                last.append(len(self.ids) - 1)
            return last

        while not all(ending) and answer.steps < max_steps:
            last = lay_out()
            logits = self._logits()
            answer.steps += 1
            for i, (opening, body) in enumerate(zip(openings, bodies, strict=True)):
                if ending[i]:
                    continue
                token = self._sample(
                    lane + 1 + i, logits[last[i]], banned=self._banned(body, close)
                )
                full = (
                    len(opening) + len(body) + 1 + len(close.whole)
                    > self.dialect.caps.branch_tokens
                )
                if _ends_with([*body, token], close.ids):
                    del body[len(body) + 1 - len(close.ids) :]
                    ending[i] = close.whole
                elif token in self.ends or full:
                    ending[i] = close.whole
                else:
                    body.append(token)
        ending = [close.whole for _ in titles]
        lay_out()
        lengths = [
            len(o) + len(b) + len(close.whole) for o, b in zip(openings, bodies, strict=True)
        ]
        return bodies, start + (sum(lengths) if self.dialect.resume == "sum" else max(lengths))

    def _add(self, ids, at: int, lane: int, stage: int) -> int:
        self.ids += ids
        self.positions += range(at, at + len(ids))
        self.lanes += [lane] * len(ids)
        self.stages += [stage] * len(ids)
        return at + len(ids)

    def _drop(self, plan_start: int) -> int:
        """Removes an illegal plan, which starts at position `plan_start`, from the context."""
        while self.positions[-1] >= plan_start:
            for array in (self.ids, self.positions, self.lanes, self.stages):
                array.pop()
        return plan_start

    @torch.no_grad()
    def _logits(self) -> torch.Tensor:
        ids, positions = torch.tensor([self.ids]), torch.tensor([self.positions])
        mask = visible(
            torch.ones_like(ids), torch.tensor([self.lanes]), torch.tensor([self.stages])
        )
        return self.model.logits(self.model(ids, positions, mask))[0]

    def _banned(self, text: list[int], marker: Marker) -> set[int]:
        """Tokens that would complete a tag after `text`, except that of `marker`."""
        return {
            tag[-1] for tag in self.dialect.tags if tag != marker.ids and _ends_with(text, tag[:-1])
        }

    def _sample(
        self, lane: int, logits, banned: set[int] = frozenset(), allowed: set[int] = frozenset()
    ) -> int:
        """The most likely legal token of a lane."""
        legal = torch.zeros_like(logits, dtype=torch.bool)
        legal[list(allowed) if allowed else slice(None)] = True
        legal[list(banned)] = False
        return int(logits.masked_fill(~legal, float("-inf")).argmax())


def _ends_with(text: list[int], end) -> bool:
    return len(end) <= len(text) and list(text[len(text) - len(end) :]) == list(end)
