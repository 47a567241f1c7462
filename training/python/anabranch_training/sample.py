"""One answer as the engine serialises it: ids, positions, lanes, and which tokens are sampled."""

from dataclasses import dataclass, field

from .dialect import Dialect, sample_marker

# Which markers the engine allows for a token, by its position in the answer. Rules concern only
# markers of one token. A decoder that masks more (all other tokens after a title, the last token of
# a longer marker) is therefore consistent with the training.
ANYTHING = 0  # prompt and forced tokens: no loss, no mask
TRUNK = 1  # only the marker that opens a plan
AFTER_JOIN = 2  # no marker, because no plan may directly follow a join
IN_TITLE = 3  # only the end of the title
AFTER_TITLE = 4  # only the next title or the fork
BRANCH = 5  # only the end of the branch
NO_MARKERS = 6  # no marker: serial mode
TAIL = 7  # only the end of the tail
RULES = 8


def allowed_markers(rule: int, d: Dialect) -> tuple[int, ...]:
    """The markers of one token that a rule allows."""
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

    Lane 0 is the trunk, and branches are numbered from 1 over the whole answer. Stages are numbered
    from 1, and trunk tokens have stage 0. `sampled` is true if the engine samples the token instead
    of forcing it, and `rules` says which markers are allowed there.
    """

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    lanes: list[int] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    rules: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def free_and_serial(self) -> bool:
        """It could have branched and does not."""
        return TRUNK in self.rules and not any(self.lanes)

    def add(self, ids, at: int, lane: int, stage: int, rules) -> int:
        """Appends tokens at consecutive positions. ANYTHING means that they are forced.

        Returns the next position.
        """
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
    """The text of an answer. A stage's text is its bodies and, if the dialect has one, its tail."""
    return "".join(
        p["serial"]
        if "serial" in p
        else "".join(b["body"] for b in p["parallel"]) + p.get("tail", "")
        for p in parts
    )


def servable(parts: list[dict], encode, d: Dialect) -> list[dict]:
    """Turns stages that the engine would reject or truncate into serial text."""
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


def text_after_opening(branch: dict, d: Dialect) -> str:
    """What a branch writes: a visible opening is the beginning of its body.

    Raises ValueError if the body does not begin with it.
    """
    if not d.shows_opening:
        return branch["body"]
    if not branch["body"].startswith(branch["title"]):
        raise ValueError(
            f"the part {branch['title']!r} does not begin with its title: "
            "extract the data with --titles leads"
        )
    return branch["body"].removeprefix(branch["title"])


def _fits(branches: list[dict], encode, d: Dialect) -> bool:
    titles = [tuple(encode(b["title"])) for b in branches]
    texts = [text_after_opening(b, d) for b in branches]
    close = len(d.marker("branch_close").whole)
    return (
        d.caps.min_branches <= len(branches) <= d.caps.branches
        and len(set(titles)) == len(titles)
        and all(0 < len(title) <= d.caps.title_tokens for title in titles)
        and all(
            len(d.opening(title, i + 1)) + len(encode(text)) + close <= d.caps.branch_tokens
            for i, (title, text) in enumerate(zip(titles, texts, strict=True))
        )
    )


def encode_parts(prompt_ids, parts, encode, d: Dialect, end: int, serial: bool = False) -> Sample:
    """Serialises an answer's parts. Text spans are tokenized separately: no merge crosses them.

    `encode` tokenizes text without special tokens, and `end` is the token that ends the answer.
    With `serial`, the plain text is one run without markers, as in the engine's serial mode.
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
        for number, (title, branch) in enumerate(zip(titles, part["parallel"], strict=True), 1):
            lane += 1
            opening, body = d.opening(title, number), encode(text_after_opening(branch, d))
            at_branch = s.add(opening, start, lane, stage, ANYTHING)
            at_branch = s.add([*body, *close.ids], at_branch, lane, stage, BRANCH)
            lengths.append(s.add(close.rest, at_branch, lane, stage, ANYTHING) - start)
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
    """Appends a plan, through the fork. Returns the position where the branches start."""
    at = s.add(d.opener.ids, at, 0, 0, TRUNK)
    at = s.add(d.opener.rest, at, 0, 0, ANYTHING)
    close, fork = d.marker("title_close"), d.marker("fork")
    for number in range(1, len(titles) + 2):
        if number > 1 or not d.opens_title:
            following = d.marker("title_open", number) if number <= len(titles) else fork
            options = [d.marker("title_open", number)] if number <= d.caps.branches else []
            options += [fork] if number > 1 else []
            ids = following.whole
            for token, sampled in sample_marker(options, lambda _, i, ids=ids: ids[i]):
                at = s.add([token], at, 0, 0, AFTER_TITLE if sampled else ANYTHING)
        if number <= len(titles):
            at = s.add([*titles[number - 1], *close.ids], at, 0, 0, IN_TITLE)
            at = s.add(close.rest, at, 0, 0, ANYTHING)
    return at
