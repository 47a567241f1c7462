"""The dialect file (`aspd.json` beside a model): markers, opening template, resume rule, caps."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

TITLE_OPEN = "<|title|>"
TITLE_CLOSE = "<|/title|>"
FORK = "<|para|>"
BRANCH_OPEN = "<|branch|>"
BRANCH_CLOSE = "<|/branch|>"
JOIN = "<|/para|>"
SEPARATOR = ": "
MARKERS = (TITLE_OPEN, TITLE_CLOSE, FORK, BRANCH_OPEN, BRANCH_CLOSE, JOIN)

END_OF_TEXT = "<|endoftext|>"
TURN_OPEN = "<|im_start|>"
TURN_CLOSE = "<|im_end|>"


@dataclass(frozen=True)
class Caps:
    """What the engine bounds, in branches a stage, tokens and stages an answer."""

    branches: int = 10
    title_tokens: int = 16
    branch_tokens: int = 512  # from <|branch|> through <|/branch|>
    stages: int = 8


@dataclass(frozen=True)
class Dialect:
    """Marker ids. Every marker of ours is one token; the separator is a short run."""

    title_open: int
    title_close: int
    fork: int
    branch_open: int
    branch_close: int
    join: int
    separator: tuple[int, ...]
    resume: str = "sum"
    caps: Caps = Caps()

    @property
    def markers(self) -> tuple[int, ...]:
        return (
            self.title_open,
            self.title_close,
            self.fork,
            self.branch_open,
            self.branch_close,
            self.join,
        )

    @classmethod
    def of(cls, tokenizer) -> "Dialect":
        """From a `tokenizers.Tokenizer` that holds the six markers."""
        ids = [tokenizer.token_to_id(marker) for marker in MARKERS]
        if any(i is None for i in ids):
            raise ValueError("the tokenizer lacks a marker")
        separator = tokenizer.encode(SEPARATOR, add_special_tokens=False).ids
        return cls(*ids, separator=tuple(separator))

    def save(self, model: Path) -> None:
        """Writes aspd.json into a model's folder."""
        (Path(model) / "aspd.json").write_text(json.dumps(self.to_json(), indent=2) + "\n")

    def to_json(self) -> dict:
        def marker(token_id: int, text: str) -> dict:
            return {"ids": [token_id], "text": text}

        return {
            "version": 1,
            "name": "aspd",
            "title_open": marker(self.title_open, TITLE_OPEN),
            "title_close": marker(self.title_close, TITLE_CLOSE),
            "fork": marker(self.fork, FORK),
            "opening": [
                marker(self.branch_open, BRANCH_OPEN),
                "title",
                {"ids": list(self.separator), "text": SEPARATOR},
            ],
            "branch_close": marker(self.branch_close, BRANCH_CLOSE),
            "join": marker(self.join, JOIN),
            "visible": ["serial", "body"],
            "resume": self.resume,
            "caps": asdict(self.caps),
        }

    @classmethod
    def load(cls, model: Path) -> "Dialect":
        d = json.loads((Path(model) / "aspd.json").read_text())
        opening = d["opening"]
        return cls(
            d["title_open"]["ids"][0],
            d["title_close"]["ids"][0],
            d["fork"]["ids"][0],
            opening[0]["ids"][0],
            d["branch_close"]["ids"][0],
            d["join"]["ids"][0],
            separator=tuple(opening[2]["ids"]),
            resume=d["resume"],
            caps=Caps(**d.get("caps", {})),
        )
