"""One answer as the engine sees it: ids in serialised order, positions, lanes, what is sampled."""

from dataclasses import dataclass, field

from .dialect import Dialect

# What the engine lets a token be, by where it stands. All of these rule out markers only, so that
# a decoder that masks more (every non-marker after a title, say) agrees with the training too.
ANYTHING = 0  # prompt and forced tokens: no loss, no mask
TRUNK = 1  # <|title|> is the only marker
AFTER_JOIN = 2  # no marker: no plan directly after a join
IN_TITLE = 3  # <|/title|> only
AFTER_TITLE = 4  # <|title|> or <|para|>
BRANCH = 5  # <|/branch|> only
NO_MARKERS = 6  # serial mode
RULES = 7


def allowed_markers(rule: int, d: Dialect) -> tuple[int, ...]:
    return {
        ANYTHING: d.markers,
        TRUNK: (d.title_open,),
        AFTER_JOIN: (),
        IN_TITLE: (d.title_close,),
        AFTER_TITLE: (d.title_open, d.fork),
        BRANCH: (d.branch_close,),
        NO_MARKERS: (),
    }[rule]


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
        """Appends a run at consecutive positions; a rule of ANYTHING means forced."""
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
    return "".join(
        p["serial"] if "serial" in p else "".join(b["body"] for b in p["parallel"]) for p in parts
    )


def servable(parts: list[dict], encode, d: Dialect) -> list[dict]:
    """The parts as the engine can decode them: a stage that it would refuse or cut is serial text."""
    out: list[dict] = []
    stages = 0
    for part in parts:
        text = plain_text([part])
        after_join = bool(out) and "parallel" in out[-1]
        if "parallel" in part and stages < d.caps.stages and not after_join:
            if _fits(part["parallel"], encode, d):
                stages += 1
                out.append(part)
                continue
        if out and not after_join:
            text = out.pop()["serial"] + text
        if text:
            out.append({"serial": text})
    return out


def _fits(branches: list[dict], encode, d: Dialect) -> bool:
    titles = [tuple(encode(b["title"])) for b in branches]
    overhead = 2 + len(d.separator)
    return (
        2 <= len(branches) <= d.caps.branches
        and len(set(titles)) == len(titles)
        and all(0 < len(title) <= d.caps.title_tokens for title in titles)
        and all(
            overhead + len(title) + len(encode(b["body"])) <= d.caps.branch_tokens
            for title, b in zip(titles, branches)
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
        for i, title in enumerate(titles):
            opening = TRUNK if i == 0 else AFTER_TITLE
            rules = [opening, *[IN_TITLE] * (len(title) + 1)]
            at = s.add([d.title_open, *title, d.title_close], at, 0, 0, rules)
        start = s.add([d.fork], at, 0, 0, AFTER_TITLE)
        lengths = []
        for title, branch in zip(titles, part["parallel"]):
            lane += 1
            forced = [d.branch_open, *title, *d.separator]
            body = [*encode(branch["body"]), d.branch_close]
            rules = [ANYTHING] * len(forced) + [BRANCH] * len(body)
            lengths.append(s.add(forced + body, start, lane, stage, rules) - start)
        resume = start + (sum(lengths) if d.resume == "sum" else max(lengths))
        at = s.add([d.join], resume, 0, 0, ANYTHING)
        after_join = True
    s.add([end], at, 0, 0, AFTER_JOIN if after_join else TRUNK)
    return s

