"""Writes the fixture of serialised answers that pipeline, trainer and engine share.

    npm run data -- generate --n 400 --split heldout --out .anabranch/heldout.jsonl
    python -m anabranch_training.serialised_answers --data .anabranch/heldout.jsonl \\
        --model models/small --out shared/fixtures/pieces.json
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer

from .batches import Encoder, read_tasks
from .dialect import TURN_CLOSE, Dialect
from .sample import encode_parts, plain_text
from .tokenizer import chat_prompt

ABOUT = (
    "Answers, their parts and the piecewise ids of the serialised form under models/small. prompt "
    "is the rendered chat prompt. positions are shared by the branches of a stage; lanes number "
    "the branches from 1. sampled is 0 on the prompt and on forced tokens: the training loss and "
    "the engine's sampling are where it is 1. The last id ends the answer."
)

KINDS = ("compare-cities", "passage-questions", "sums", "shared-count", "chain")

# Two stages with text between them, a merge that plain tokenization would make across two spans
# ("\n\n"), characters of several bytes, and a last branch without a line end.
BY_HAND = {
    "name": "two-stages",
    "prompt": "Compare red and blue, then oak and elm.",
    "parts": [
        {"serial": "First the colors 🎨:\n\n"},
        {
            "parallel": [
                {"title": "Red", "body": "- **Red**: a warm color, like a café's sign.\n"},
                {"title": "Blue", "body": "- **Blue**: a cold color, like the sea.\n"},
            ]
        },
        {"serial": "\nThen the trees.\n\n"},
        {
            "parallel": [
                {"title": "Oak", "body": "- **Oak**: a hard wood for 300 years.\n"},
                {"title": "Elm", "body": "- **Elm**: a wood for wet places"},
            ]
        },
    ],
}


def make_fixture(model: Path, samples: list[dict]) -> dict:
    """`samples` are {name, prompt, parts} with a rendered prompt."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    dialect = Dialect.load(model)
    encoder = Encoder(tokenizer, dialect, tokenizer.token_to_id(TURN_CLOSE), chat_prompt)
    out = []
    for given in samples:
        prompt = encoder.encode(given["prompt"])
        s = encode_parts(prompt, given["parts"], encoder.encode_span, dialect, encoder.end)
        out.append(
            {
                "name": given["name"],
                "prompt": given["prompt"],
                "response": plain_text(given["parts"]),
                "parts": given["parts"],
                "prompt_ids": prompt,
                "ids": s.ids,
                "positions": s.positions,
                "lanes": s.lanes,
                "sampled": [int(x) for x in s.sampled],
            }
        )
    return {"about": ABOUT, "resume": dialect.resume, "samples": out}


def main() -> None:
    p = argparse.ArgumentParser(
        prog="anabranch_training.serialised_answers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--data", type=Path, required=True, help="JSONL of `data generate`")
    p.add_argument("--model", type=Path, required=True, help="model with a dialect")
    p.add_argument("--out", type=Path, required=True, help="the fixture")
    args = p.parse_args()
    tasks = read_tasks(args.data)
    selected = [next(t for t in tasks if t["kind"] == kind) for kind in KINDS]
    samples = [{"name": t["kind"], "prompt": t["prompt"], "parts": t["parts"]} for t in selected]
    samples.append(BY_HAND)
    for sample in samples:
        sample["prompt"] = chat_prompt([{"role": "user", "content": sample["prompt"]}])
    fixture = make_fixture(args.model, samples)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(fixture, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
