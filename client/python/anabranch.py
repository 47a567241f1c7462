"""The branches of an answer, beside the `openai` package. One file, to copy.

Its chunks keep the field `anabranch` of a `lanes` stream, and here they become a document:

    wanted = {"anabranch": {"stream": "lanes"}}
    stream = client.chat.completions.create(..., stream=True, extra_body=wanted)
    answer = Answer()
    for event in lanes(stream, answer):
        print(event.kind, event.branch and event.branch.title, event.text)
    answer.text, answer.branches["Price"].text, answer.message

`bodies(message)` has the branches of an answer that was not streamed, declared ones too, as a dict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Branch:
    """A stretch of one lane's text, in one place of the document. The trunk's have no stage."""

    lane: int
    stage: int | None = None
    title: str | None = None
    text: str = ""
    #: Shown before the text: the title of a declared branch.
    lead: str = ""
    closed: bool = False
    #: Why it ended: marker, eos, cap, stop or dropped.
    reason: str | None = None
    #: Whether it is part of the answer: one of an outlined stage is so once it is accepted.
    accepted: bool = True
    void: bool = False


@dataclass
class Event:
    """What one chunk changed.

    Its kind is `text`, `stage_opened`, `branch_accepted`, `branch_closed` or `stage_closed`; in an
    `ordered` stream `thought`, too; and `tool_call`, whose text is the new piece of the arguments.
    """

    kind: str
    branch: Branch | None = None
    text: str = ""


@dataclass
class Answer:
    """An answer as it grows, in document order."""

    runs: list[Branch] = field(default_factory=lambda: [Branch(0)])
    finish_reason: str | None = None
    usage: Any = None
    #: What the model thought first, in an `ordered` stream; else it is part of the text.
    thoughts: str = ""
    #: Of the model, as a message has them.
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    _current: dict[int, Branch] = field(default_factory=dict)
    _after: dict[int, Branch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._current[0] = self.runs[0]

    @property
    def text(self) -> str:
        """What an `ordered` stream would have sent."""
        return "".join(run.lead + run.text for run in self._parts())

    @property
    def branches(self) -> dict[str, Branch]:
        """By their titles; of equal titles the last."""
        runs = (run for run in self._parts() if run.stage is not None)
        return {run.title or "": run for run in runs}

    @property
    def message(self) -> dict[str, Any]:
        """For the next request's `messages`, with its structure."""
        parts: list[dict[str, Any]] = []
        stages: dict[int, list[dict[str, str]]] = {}
        for run in self._parts():
            if run.stage is None:
                if run.text:
                    parts.append({"serial": run.text})
                continue
            if run.stage not in stages:
                stages[run.stage] = []
                parts.append({"parallel": stages[run.stage]})
            stages[run.stage].append({"title": run.title or "", "body": run.text})
        calls = {"tool_calls": self.tool_calls} if self.tool_calls else {}
        content = None if calls and self.text == "" else self.text
        return {"role": "assistant", "content": content, **calls, "anabranch": {"parts": parts}}

    def push(self, chunk: Any) -> Event | None:
        """Takes the next chunk. Returns what it changed, or None."""
        self.usage = getattr(chunk, "usage", None) or self.usage
        if not chunk.choices or chunk.choices[0].index != 0:
            return None
        choice = chunk.choices[0]
        mark = (chunk.model_extra or {}).get("anabranch") or {}
        said = self._say(choice.delta)
        event = self._apply(mark, choice.delta.content or "") or said
        self.finish_reason = choice.finish_reason or self.finish_reason
        if choice.finish_reason or mark.get("stop_lane") is not None:
            self._finish(mark.get("stop_lane"))
        return event

    def _parts(self) -> Iterator[Branch]:
        return (run for run in self.runs if run.accepted and not run.void)

    def _say(self, delta: Any) -> Event | None:
        """What the model thinks or calls; None if neither."""
        thought = (delta.model_extra or {}).get("reasoning_content") or ""
        self.thoughts += thought
        event = Event("thought", None, thought) if thought else None
        for piece in delta.tool_calls or []:
            said, arguments = piece.function, (piece.function and piece.function.arguments) or ""
            if piece.index == len(self.tool_calls):
                name = (said and said.name) or ""
                called = {"name": name, "arguments": ""}
                self.tool_calls.append({"id": piece.id, "type": "function", "function": called})
            self.tool_calls[piece.index]["function"]["arguments"] += arguments
            event = Event("tool_call", None, arguments)
        return event

    def _apply(self, mark: dict[str, Any], text: str) -> Event | None:
        kind = mark.get("event", "delta")
        stage = mark.get("stage") or 0
        if kind == "stage_opened":
            self._open(mark, stage)
            return Event(kind)
        if kind == "stage_closed":
            self._current[0] = self._after[stage]
            for run in self.runs:
                if run.stage == stage:
                    run.closed = True
                    run.void = run.void or not run.accepted
            return Event(kind)
        run = self._current[mark.get("lane", 0)]
        if kind == "branch_accepted":
            run.accepted = True
        elif kind == "branch_closed":
            run.closed = True
            run.reason = mark.get("reason")
            run.void = run.reason == "dropped"
        elif text == "":
            return None
        else:
            run.text += text
            return Event("text", run, text)
        return Event(kind, run)

    def _open(self, mark: dict[str, Any], stage: int) -> None:
        opened: list[Branch] = []
        for lane, title in zip(mark["lanes"], mark["titles"], strict=True):
            lead = ("\n\n" if opened else "") + f"**{title}**\n\n" if mark.get("declared") else ""
            accepted = not mark.get("outlined")
            run = Branch(lane, stage, title, lead=lead, accepted=accepted)
            self._current[lane] = run
            opened.append(run)
        self._after[stage] = Branch(0)
        at = next(i for i, run in enumerate(self.runs) if run is self._current[0]) + 1
        self.runs[at:at] = [*opened, self._after[stage]]

    def _finish(self, stop_lane: int | None) -> None:
        stopped_in = None if stop_lane is None else self._current[stop_lane]
        past = False
        for run in self.runs:
            run.void = past or run.void or not run.accepted
            past = past or run is stopped_in


def lanes(stream: Iterable[Any], answer: Answer | None = None) -> Iterator[Event]:
    """The events of a stream; `answer`, if given, grows with them."""
    into = Answer() if answer is None else answer
    for chunk in stream:
        event = into.push(chunk)
        if event:
            yield event


def declared(questions: dict[str, str]) -> dict[str, Any]:
    """The field `extra_body` of a request that declares these questions, by their names."""
    branches = [{"title": title, "content": content} for title, content in questions.items()]
    return {"anabranch": {"branches": branches}}


def bodies(message: Any) -> dict[str, str]:
    """The branches of an answer that was not streamed, by their titles."""
    parts = ((message.model_extra or {}).get("anabranch") or {}).get("parts", [])
    branches = (branch for part in parts for branch in part.get("parallel", []))
    return {branch["title"]: branch["body"] for branch in branches}
