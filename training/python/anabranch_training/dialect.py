"""The dialect file (`aspd.json` in a model's folder): markers, opening template, resume rule, caps.

The text of its markers comes from shared/dialects. Markers are recognised by their ids.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "shared/dialects"
DEFAULT_CAPS: dict[str, int] = json.loads((FOLDER / "aspd.json").read_text())["caps"]
NAMES = tuple(sorted(file.stem for file in FOLDER.glob("*.json")))

END_OF_TEXT = "<|endoftext|>"
TURN_OPEN = "<|im_start|>"
TURN_CLOSE = "<|im_end|>"

MARKER_ORDER = (
    "plan_open",
    "title_open",
    "title_close",
    "fork",
    "opening",
    "branch_close",
    "join",
    "tail_close",
)


def _parts(value) -> list:
    return value if isinstance(value, list) else [value]


def _tags(file: dict) -> Iterator[dict]:
    """Parts that are never ordinary text: the first part of each marker, and reserved tags."""
    for name in MARKER_ORDER:
        if name in file:
            yield _parts(file[name])[0]
    yield from file.get("reserved", [])


def _read(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def tags_of(name: str) -> tuple[str, ...]:
    """The tags of a dialect, which its checkpoints have as single tokens."""
    return tuple(tag["text"] for tag in _tags(_read(name)))


MARKERS = tags_of("aspd")


@dataclass(frozen=True)
class Caps:
    """Limits of the engine: branches per stage, tokens, and stages per answer."""

    branches: int
    min_branches: int
    title_tokens: int
    branch_tokens: int  # opening and end included
    stages: int
    min_room: int  # an answer that may have fewer tokens yet opens no plan
    branch_room: int  # tokens that max_tokens must leave for each branch's text


@dataclass(frozen=True)
class Marker:
    """Tokens that the model samples, and forced tokens that follow them."""

    ids: tuple[int, ...]
    rest: tuple[int, ...] = ()

    @property
    def whole(self) -> tuple[int, ...]:
        return self.ids + self.rest


NOTHING = Marker(())


@dataclass(frozen=True)
class Dialect:
    """`file` is aspd.json. Titles are numbered from 1 over a plan."""

    file: dict

    @classmethod
    def of(cls, tokenizer, name: str = "aspd", tokens: Sequence[str] = ()) -> "Dialect":
        """A dialect in the ids of a `tokenizers.Tokenizer`, which has its tags.

        `tokens` are tokens that the tokenizer has in place of the tags, in the order of tags_of().
        """
        instead = dict(zip(tags_of(name), tokens, strict=True)) if tokens else {}

        def spelled(text: str) -> dict:
            text = instead.get(text, text)
            return {"ids": tokenizer.encode(text, add_special_tokens=False).ids, "text": text}

        def spell(value):
            if isinstance(value, list):
                return [spell(each) for each in value]
            if not isinstance(value, dict):
                return value
            if "text" in value:
                return spelled(value["text"])
            return {key: spell(each) for key, each in value.items()}

        file = _read(name)
        if '"index"' in json.dumps(file):
            file["index"] = [{"text": str(n + 1)} for n in range(file["caps"]["branches"])]
        return cls(spell(file))

    @classmethod
    def load(cls, model: Path) -> "Dialect":
        return cls(json.loads((Path(model) / "aspd.json").read_text(encoding="utf-8")))

    def save(self, model: Path) -> None:
        """Writes aspd.json into a model's folder."""
        text = json.dumps(self.file, indent=2, ensure_ascii=False)
        (Path(model) / "aspd.json").write_text(text + "\n", encoding="utf-8")

    def changed(self, **fields) -> "Dialect":
        return Dialect({**self.file, **fields})

    @property
    def resume(self) -> str:
        return self.file["resume"]

    @cached_property
    def caps(self) -> Caps:
        return Caps(**DEFAULT_CAPS | self.file.get("caps", {}))

    @cached_property
    def tags(self) -> tuple[tuple[int, ...], ...]:
        """All tags, as sequences of ids."""
        return tuple(dict.fromkeys(tuple(tag["ids"]) for tag in _tags(self.file)))

    @cached_property
    def markers(self) -> tuple[int, ...]:
        """The tags that are single tokens."""
        return tuple(tag[0] for tag in self.tags if len(tag) == 1)

    @cached_property
    def opener(self) -> Marker:
        """The marker that opens a plan: `plan_open`, or else the marker of the first title."""
        return self.marker("plan_open" if "plan_open" in self.file else "title_open")

    @property
    def opens_title(self) -> bool:
        return "plan_open" not in self.file

    @property
    def shows_opening(self) -> bool:
        """Whether a branch's visible text begins with its title."""
        return "opening" in self.file.get("visible", [])

    @property
    def has_tail(self) -> bool:
        return "tail_close" in self.file

    def marker(self, name: str, number: int = 1) -> Marker:
        """NOTHING if the dialect has no such marker."""
        if name not in self.file:
            return NOTHING
        first, *rest = _parts(self.file[name])
        return Marker(tuple(first["ids"]), self._fill(rest, (), number))

    def opening(self, title: Sequence[int], number: int) -> tuple[int, ...]:
        return self._fill(_parts(self.file["opening"]), title, number)

    @cached_property
    def join(self) -> tuple[int, ...]:
        return self._fill(_parts(self.file["join"]), (), 1)

    def _fill(self, parts: list, title: Sequence[int], number: int) -> tuple[int, ...]:
        out: list[int] = []
        for part in parts:
            if part == "title":
                out += title
            else:
                out += (self.file["index"][number - 1] if part == "index" else part)["ids"]
        return tuple(out)


def sample_marker(
    options: list[Marker], pick: Callable[[set[int], int], int]
) -> Iterator[tuple[int, bool]]:
    """Yields the ids of one of several markers, and whether each id is sampled or forced.

    `pick(tokens, i)` selects one of the tokens that are possible at index i.
    """
    rest = [option.whole for option in options]
    i = 0
    while i < len(rest[0]):
        tokens = {option[i] for option in rest}
        token = pick(tokens, i) if len(tokens) > 1 else rest[0][i]
        yield token, len(tokens) > 1
        rest = [option for option in rest if option[i] == token]
        i += 1
