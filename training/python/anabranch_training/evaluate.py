"""Scores a model on held-out tasks: python -m anabranch_training.evaluate --help

Accuracy by family in both modes, and how well it chooses to branch. Uses the plain decoder here,
not the engine.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

from tokenizers import Tokenizer

from .batches import read_tasks
from .decode import Decoder
from .dialect import END_OF_TEXT, TURN_CLOSE, Dialect
from .model import Model
from .tokenizer import chat_prompt


def says(text: str, words: str) -> bool:
    """Whole-word search, as the task generator's own verifier does it."""
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w|\.\d)", text) is not None


def check(claims: list[dict], text: str) -> bool:
    lines = text.split("\n")
    return all(
        any(says(line, c["near"]) and says(line, c["contains"]) for line in lines)
        if "near" in c
        else says(text, c["contains"])
        for c in claims
    )


def load(model_folder: Path) -> Decoder:
    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    ends = {tokenizer.token_to_id(TURN_CLOSE), tokenizer.token_to_id(END_OF_TEXT)}
    return Decoder(Model.load(model_folder), tokenizer, Dialect.load(model_folder), ends)


def ratio(a: int, b: int) -> float:
    return round(a / b, 4) if b else float("nan")


def main() -> None:
    p = argparse.ArgumentParser(prog="anabranch_training.evaluate", description=__doc__)
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--data", type=Path, help="held-out JSONL written by `data generate`")
    p.add_argument("--limit", type=int, default=300)
    p.add_argument("--prompt", help="answer one prompt instead")
    p.add_argument("--mode", choices=["both", "parallel", "serial"], default="both")
    p.add_argument("--show-failures", type=int, default=0)
    p.add_argument("--json", action="store_true")
    args = p.parse_args()
    decoder = load(args.model)
    if args.prompt:
        modes = ["parallel", "serial"] if args.mode == "both" else [args.mode]
        for mode in modes:
            prompt = chat_prompt([{"role": "user", "content": args.prompt}])
            answer = decoder.decode(prompt, mode == "parallel")
            print(f"--- {mode}: {answer.steps} steps, stages {answer.stages}\n{answer.text}")
        return
    if not args.data:
        p.error("--data or --prompt is needed")
    right: dict[str, dict[str, int]] = {
        "parallel": defaultdict(int),
        "serial": defaultdict(int),
    }
    count: dict[str, int] = defaultdict(int)
    hit = false_alarm = missed = 0
    steps = plain_steps = shown = 0
    modes = ["parallel", "serial"] if args.mode == "both" else [args.mode]
    tasks = read_tasks(args.data)[: args.limit]
    for i, task in enumerate(tasks):
        prompt = chat_prompt([{"role": "user", "content": task["prompt"]}])
        count[task["family"]] += 1
        for mode in modes:
            answer = decoder.decode(prompt, mode == "parallel")
            ok = answer.ended and check(task["claims"], answer.text)
            right[mode][task["family"]] += ok
            if not ok and shown < args.show_failures:
                shown += 1
                print(f"--- {mode} {task['prompt']}\n{answer.text}\n", file=sys.stderr)
            if mode == "parallel":
                branched = bool(answer.stages)
                hit += branched and task["parallel"]
                false_alarm += branched and not task["parallel"]
                missed += not branched and task["parallel"]
                if task["parallel"]:
                    steps += answer.steps
                    plain_steps += len(decoder.tokenizer.encode(answer.text).ids) + 1
        if (i + 1) % 20 == 0:
            print(f"{i + 1} of {len(tasks)}", file=sys.stderr, flush=True)
    total = sum(count.values())
    summary = {
        "tasks": total,
        "accuracy": {m: ratio(sum(right[m].values()), total) for m in modes},
        "families": {
            f: {"tasks": n, **{m: ratio(right[m][f], n) for m in modes}}
            for f, n in sorted(count.items())
        },
        "trigger": {
            "precision": ratio(hit, hit + false_alarm),
            "recall": ratio(hit, hit + missed),
        },
        "speed_up_in_steps": ratio(plain_steps, steps),
    }
    print(json.dumps(summary) if args.json else json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
