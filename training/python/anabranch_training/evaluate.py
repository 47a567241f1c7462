"""Scores a model on held-out tasks: python -m anabranch_training.evaluate --help

Reports accuracy by family in both modes, and precision and recall of branching. It uses the simple
decoder of this package instead of the engine.
"""

import argparse
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer

from .batches import read_tasks
from .decode import Answer, Decoder
from .dialect import END_OF_TEXT, TURN_CLOSE, Dialect
from .model import Model
from .tokenizer import chat_prompt


def says(text: str, words: str) -> bool:
    """Whether a text contains whole words, checked as in the task generator's verifier."""
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


@dataclass
class Scores:
    """Counts over tasks."""

    tasks: Counter = field(default_factory=Counter)  # by family
    correct: Counter = field(default_factory=Counter)  # by (mode, family)
    hits: int = 0  # branched on a parallel task
    false_alarms: int = 0  # branched on a serial task
    misses: int = 0  # did not branch on a parallel task
    steps: int = 0  # of parallel tasks
    plain_steps: int = 0  # of the same texts decoded serially

    def add_branching(self, parallel: bool, answer: Answer, serial_steps: int) -> None:
        branched = bool(answer.stages)
        self.hits += branched and parallel
        self.false_alarms += branched and not parallel
        self.misses += not branched and parallel
        if parallel:
            self.steps += answer.steps
            self.plain_steps += serial_steps

    def summary(self, modes: list[str]) -> dict:
        total = self.tasks.total()
        correct = {m: sum(n for (mode, _), n in self.correct.items() if mode == m) for m in modes}
        return {
            "tasks": total,
            "accuracy": {m: ratio(correct[m], total) for m in modes},
            "families": {
                f: {"tasks": n, **{m: ratio(self.correct[m, f], n) for m in modes}}
                for f, n in sorted(self.tasks.items())
            },
            "trigger": {
                "precision": ratio(self.hits, self.hits + self.false_alarms),
                "recall": ratio(self.hits, self.hits + self.misses),
            },
            "speed_up_in_steps": ratio(self.plain_steps, self.steps),
        }


def evaluate(decoder: Decoder, tasks: list[dict], modes: list[str], show_failures: int) -> Scores:
    scores = Scores()
    shown = 0
    for i, task in enumerate(tasks):
        prompt = chat_prompt([{"role": "user", "content": task["prompt"]}])
        scores.tasks[task["family"]] += 1
        for mode in modes:
            answer = decoder.decode(prompt, mode == "parallel")
            correct = answer.ended and check(task["claims"], answer.text)
            scores.correct[mode, task["family"]] += correct
            if not correct and shown < show_failures:
                shown += 1
                print(f"--- {mode} {task['prompt']}\n{answer.text}\n", file=sys.stderr)
            if mode == "parallel":
                serial_steps = len(decoder.tokenizer.encode(answer.text).ids) + 1
                scores.add_branching(task["parallel"], answer, serial_steps)
        if (i + 1) % 20 == 0:
            print(f"{i + 1} of {len(tasks)}", file=sys.stderr, flush=True)
    return scores


def main() -> None:
    p = argparse.ArgumentParser(
        prog="anabranch_training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--model", type=Path, required=True, help="model folder")
    p.add_argument("--data", type=Path, help="held-out JSONL written by `data generate`")
    p.add_argument("--limit", type=int, default=300, help="first tasks (default %(default)s)")
    p.add_argument("--prompt", help="answer this prompt instead")
    p.add_argument("--mode", choices=["both", "parallel", "serial"], default="both")
    p.add_argument("--show-failures", type=int, default=0, help="print this many wrong answers")
    p.add_argument("--json", action="store_true", help="print JSON on one line")
    args = p.parse_args()
    decoder = load(args.model)
    modes = ["parallel", "serial"] if args.mode == "both" else [args.mode]
    if args.prompt:
        for mode in modes:
            prompt = chat_prompt([{"role": "user", "content": args.prompt}])
            answer = decoder.decode(prompt, mode == "parallel")
            print(f"--- {mode}: {answer.steps} steps, stages {answer.stages}\n{answer.text}")
        return
    if not args.data:
        p.error("--data or --prompt is needed")
    tasks = read_tasks(args.data)[: args.limit]
    summary = evaluate(decoder, tasks, modes, args.show_failures).summary(modes)
    print(json.dumps(summary) if args.json else json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
