"""Trains the tokenizer with which ordinary answers are counted and replayed.

The demo's tokenizer knows only the demo's words. On ordinary text it takes about twice as many
tokens as that of a large model, which makes answers and plans look longer than they are.

    python -m anabranch_training.ordinary --texts FILE … --out DIR

FILE holds one JSON object per line, with `prompt` and `response`, or `turns`.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .dialect import Dialect
from .tokenizer import save_tokenizer, train_tokenizer

WORD = re.compile(r"[^\W\d_]{3,}")


def texts_of(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield from (row[name] for name in ("prompt", "response") if name in row)
                yield from row.get("turns", ())


def with_bare_words(texts: Iterable[str]) -> Iterator[str]:
    """Adds the words of each text without a space before them, so that both forms are tokens."""
    for text in texts:
        yield text
        yield "\n".join(WORD.findall(text))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m anabranch_training.ordinary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--texts", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=32_768)
    args = parser.parse_args()
    tokenizer = train_tokenizer(with_bare_words(texts_of(args.texts)), args.vocabulary)
    save_tokenizer(tokenizer, args.out, pretty=False)
    Dialect.of(tokenizer).save(args.out)


if __name__ == "__main__":
    main()
