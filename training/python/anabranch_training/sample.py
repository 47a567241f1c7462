"""One answer as the engine sees it: ids in serialised order, positions, lanes, what is sampled."""

from dataclasses import dataclass, field

from .dialect import Dialect, choices

# What the engine lets a token be, by where it stands. All of these rule out markers of one token
# only, so that a decoder that masks more (every non-marker after a title, the last piece of a marker
# in several) agrees with the training too.
ANYTHING = 0  # prompt and forced tokens: no loss, no mask
TRUNK = 1  # what opens a plan is the only marker
AFTER_JOIN = 2  # no marker: no plan directly after a join
IN_TITLE = 3  # the title's end only
AFTER_TITLE = 4  # the next title or the fork
BRANCH = 5  # the branch's end only
NO_MARKERS = 6  # serial mode
TAIL = 7  # the tail's end only
RULES = 8


def allowed_markers(rule: int, d: Dialect) -> tuple[int, ...]:
    """The markers of one token that may stand there."""
    if rule == ANYTHING:
        return d.markers
    names = {
        IN_TITLE: ("title_close",),
        AFTER_TITLE: ("title_open", "fork"),
        BRANCH: ("branch_close",),
        TAIL: ("tail_close",),
    }.get(rule, ())
    markers = [d.opener] if rule == TRUNK else [d.marker(name) for name in names]
    return tuple(marker.ids[0] for marker in markers if len(marker.ids) == 1)


@dataclass
class Sample:
    """Parallel arrays, one entry per token of the serialised form.

    lane 0 is the trunk; branches are numbered over the whole answer. stage counts parallel stages
    from 1; a trunk token has stage 0. sampled says that the engine samples the token, rule what
    it may be there.
    """

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    lanes: list[int] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    rules: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids, at: int, lane: int, stage: int, rules) -> int:
        """Appends a run at consecutive positions; a rule of ANYTHING means forced. Returns the next
        position."""
        ids = list(ids)
        rules = [rules] * len(ids) if isinstance(rules, int) else list(rules)
        self.ids += ids
        self.positions += range(at, at + len(ids))
        self.lanes += [lane] * len(ids)
        self.stages += [stage] * len(ids)
        self.sampled += [r != ANYTHING for r in rules]
        self.rules += rules
        return at + len(ids)


def plain_text(parts: list[dict]) -> str:
    """A stage's text is its bodies and, in dialects that have one, its tail."""
    return "".join(
        p["serial"]
        if "serial" in p
        else "".join(b["body"] for b in p["parallel"]) + p.get("tail", "")
        for p in parts
    )


def servable(parts: list[dict], encode, d: Dialect) -> list[dict]:
    """The parts as the engine can decode them: a stage that it would refuse or cut is serial text."""
    out: list[dict] = []
    stages = 0
    for part in parts:
        text = plain_text([part])
        after_stage = bool(out) and "parallel" in out[-1]
        if "parallel" in part and stages < d.caps.stages and (d.has_tail or not after_stage):
            if _fits(part["parallel"], encode, d) and (d.has_tail or "tail" not in part):
                stages += 1
                out.append(part)
                continue
        if out and not after_stage:
            text = out.pop()["serial"] + text
        if text:
            out.append({"serial": text})
    return out


def _fits(branches: list[dict], encode, d: Dialect) -> bool:
    titles = [tuple(encode(b["title"])) for b in branches]
    close = len(d.marker("branch_close").whole)
    return (
        d.caps.min_branches <= len(branches) <= d.caps.branches
        and len(set(titles)) == len(titles)
        and all(0 < len(title) <= d.caps.title_tokens for title in titles)
        and all(
            len(d.opening(title, i + 1)) + len(encode(b["body"])) + close <= d.caps.branch_tokens
            for i, (title, b) in enumerate(zip(titles, branches))
        )
    )


def encode_parts(prompt_ids, parts, encode, d: Dialect, end: int, serial: bool = False) -> Sample:
    """Serialises an answer's parts, piece by piece (no merge crosses a piece).

    `encode` turns text into ids without special tokens; `end` is the token that ends the answer.
    With `serial`, the plain text is laid out as the engine's serial mode decodes it: one run,
    every marker masked.
    """
    s = Sample()
    at = s.add(prompt_ids, 0, 0, 0, ANYTHING)
    if serial:
        s.add([*encode(plain_text(parts)), end], at, 0, 0, NO_MARKERS)
        return s
    lane = stage = 0
    after_join = False
    for part in servable(parts, encode, d):
        if "serial" in part:
            ids = encode(part["serial"])
            rules = [TRUNK] * len(ids)
            if after_join and rules:
                rules[0] = AFTER_JOIN
            at = s.add(ids, at, 0, 0, rules)
            after_join = False
            continue
        stage += 1
        titles = [encode(b["title"]) for b in part["parallel"]]
        start = _add_plan(s, titles, at, d)
        close = d.marker("branch_close")
        lengths = []
        for number, (title, branch) in enumerate(zip(titles, part["parallel"]), 1):
            lane += 1
            opening, body = d.opening(title, number), encode(branch["body"])
            end_of_it = s.add(opening, start, lane, stage, ANYTHING)
            end_of_it = s.add([*body, *close.ids], end_of_it, lane, stage, BRANCH)
            lengths.append(s.add(close.rest, end_of_it, lane, stage, ANYTHING) - start)
        resume = start + (sum(lengths) if d.resume == "sum" else max(lengths))
        at = s.add(d.join, resume, 0, 0, ANYTHING)
        after_join = not d.has_tail
        if d.has_tail:
            close = d.marker("tail_close")
            at = s.add([*encode(part.get("tail", "")), *close.ids], at, 0, 0, TAIL)
            at = s.add(close.rest, at, 0, 0, ANYTHING)
    s.add([end], at, 0, 0, AFTER_JOIN if after_join else TRUNK)
    return s


def _add_plan(s: Sample, titles, at: int, d: Dialect) -> int:
    """From what opens the plan through the fork. Returns where the branches start."""
    at = s.add(d.opener.ids, at, 0, 0, TRUNK)
    at = s.add(d.opener.rest, at, 0, 0, ANYTHING)
    close, fork = d.marker("title_close"), d.marker("fork")
    for number in range(1, len(titles) + 2):
        if number > 1 or not d.opens_title:
            following = d.marker("title_open", number) if number <= len(titles) else fork
            options = [d.marker("title_open", number)] if number <= d.caps.branches else []
            options += [fork] if number > 1 else []
            for token, chosen in choices(options, lambda _, i: following.whole[i]):
                at = s.add([token], at, 0, 0, AFTER_TITLE if chosen else ANYTHING)
        if number <= len(titles):
            at = s.add([*titles[number - 1], *close.ids], at, 0, 0, IN_TITLE)
            at = s.add(close.rest, at, 0, 0, ANYTHING)
    return at
