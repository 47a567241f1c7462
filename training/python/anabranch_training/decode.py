"""A plain ASPD decoder in PyTorch: no KV cache, one forward pass of everything per step.

Slow and obvious on purpose. It shares no code with the engine, so that the two can be held
against each other; greedy only.
"""

from dataclasses import dataclass, field

import torch

from .dialect import Dialect
from .mask import visible
from .model import Model
from .sample import AFTER_JOIN, BRANCH, IN_TITLE, NO_MARKERS, TRUNK, allowed_markers


@dataclass
class Answer:
    text: str
    """Each stage's titles."""
    stages: list[list[str]] = field(default_factory=list)
    """Decode steps: forward passes, all live branches of a stage advancing together."""
    steps: int = 0
    tokens: int = 0
    ended: bool = False


class Decoder:
    def __init__(self, model: Model, tokenizer, dialect: Dialect, ends: set[int]):
        self.model, self.tokenizer, self.d, self.ends = model, tokenizer, dialect, ends

    def decode(self, prompt: str, parallel: bool = True, max_steps: int = 320) -> Answer:
        self.ids, self.positions, self.lanes, self.stages = [], [], [], []
        self._add(self.tokenizer.encode(prompt, add_special_tokens=False).ids, 0, 0, 0)
        at = len(self.ids)
        answer = Answer("")
        serial: list[int] = []
        lane = stage = 0
        after_join = False
        plans = parallel

        def flush() -> None:
            answer.text += self.tokenizer.decode(serial)
            serial.clear()

        while answer.steps < max_steps:
            rule = NO_MARKERS if not plans or stage >= self.d.caps.stages else TRUNK
            token = self._next(AFTER_JOIN if after_join else rule)
            answer.steps += 1
            after_join = False
            if token in self.ends:
                answer.ended = True
                break
            at = self._add([token], at, 0, 0)
            if token != self.d.title_open:
                serial.append(token)
                continue
            titles, at = self._plan(at, answer)
            unique = list(dict.fromkeys(tuple(t) for t in titles))
            if len(unique) < 2:
                plans = False
                continue
            flush()
            stage += 1
            bodies, resume = self._branches(unique, at, lane, stage, answer, max_steps)
            lane += len(unique)
            answer.stages.append([self.tokenizer.decode(list(t)) for t in unique])
            answer.text += "".join(self.tokenizer.decode(b) for b in bodies)
            at = self._add([self.d.join], resume, 0, 0)
            after_join = True
        flush()
        answer.tokens = len(self.ids)
        return answer

    def _plan(self, at: int, answer: Answer) -> tuple[list[list[int]], int]:
        """Titles after the first marker, through <|para|>; none where the plan is illegal."""
        titles: list[list[int]] = []
        while True:
            title: list[int] = []
            while (token := self._next(IN_TITLE)) != self.d.title_close:
                answer.steps += 1
                at = self._add([token], at, 0, 0)
                if token in self.ends or len(title) >= self.d.caps.title_tokens:
                    return [], at
                title.append(token)
            answer.steps += 2
            at = self._add([token], at, 0, 0)
            if title:
                titles.append(title)
            following = self._next_of((self.d.title_open, self.d.fork))
            if len(titles) >= self.d.caps.branches:
                following = self.d.fork
            at = self._add([following], at, 0, 0)
            if following == self.d.fork:
                return titles, at

    def _branches(self, titles, start, lane, stage, answer, max_steps):
        """All branches in lockstep. The trunk's arrays get them in serialised order at the end."""
        trunk = (self.ids, self.positions, self.lanes, self.stages)
        openings = [[self.d.branch_open, *t, *self.d.separator] for t in titles]
        bodies: list[list[int]] = [[] for _ in titles]
        live = [True] * len(titles)

        def lay_out() -> list[int]:
            self.ids, self.positions, self.lanes, self.stages = (list(x) for x in trunk)
            last = []
            for i, (opening, body) in enumerate(zip(openings, bodies)):
                closed = [] if live[i] else [self.d.branch_close]
                self._add(opening + body + closed, start, lane + 1 + i, stage)
                last.append(len(self.ids) - 1)
            return last

        while any(live) and answer.steps < max_steps:
            last = lay_out()
            logits = self._logits()
            answer.steps += 1
            for i, alive in enumerate(list(live)):
                if not alive:
                    continue
                token = self._argmax(logits[last[i]], BRANCH)
                if token == self.d.branch_close or token in self.ends:
                    live[i] = False
                else:
                    bodies[i].append(token)
        live = [False] * len(titles)
        lay_out()
        lengths = [len(o) + len(b) + 1 for o, b in zip(openings, bodies)]
        return bodies, start + (sum(lengths) if self.d.resume == "sum" else max(lengths))

    def _add(self, ids, at: int, lane: int, stage: int) -> int:
        self.ids += ids
        self.positions += range(at, at + len(ids))
        self.lanes += [lane] * len(ids)
        self.stages += [stage] * len(ids)
        return at + len(ids)

    @torch.no_grad()
    def _logits(self) -> torch.Tensor:
        ids, positions = torch.tensor([self.ids]), torch.tensor([self.positions])
        mask = visible(torch.ones_like(ids), torch.tensor([self.lanes]), torch.tensor([self.stages]))
        return self.model.logits(self.model(ids, positions, mask))[0]

    def _argmax(self, logits: torch.Tensor, rule: int) -> int:
        logits = logits.clone()
        allowed = allowed_markers(rule, self.d)
        for marker in self.d.markers:
            if marker not in allowed:
                logits[marker] = float("-inf")
        return int(logits.argmax())

    def _next(self, rule: int) -> int:
        return self._argmax(self._logits()[-1], rule)

    def _next_of(self, tokens) -> int:
        logits = self._logits()[-1]
        return max(tokens, key=lambda t: float(logits[t]))
