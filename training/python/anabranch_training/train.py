"""Trains the demo model: python -m anabranch_training.train --help

Bounded by wall-clock time, not steps, so that one command suits a laptop and a GPU. A run folder
holds the tokenizer, a checkpoint every few minutes (a second start resumes from it) and `export/`,
the same weights as a Hugging Face folder. Progress goes to stderr; --json prints one summary.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from .batches import SERIAL_TWIN, Batch, Encoder, collate, is_parallel, read_tasks
from .dialect import END_OF_TEXT, TURN_CLOSE, Dialect
from .loop import Checkpoint, Objective, fit, learning_rate, say
from .model import Model, Shape
from .optimizer import MuonAndAdamW
from .sample import Sample
from .tokenizer import chat_prompt, save_tokenizer, train_tokenizer

# Shares of samples that teach that a system message or an earlier turn changes nothing.
SYSTEM = 0.08
EARLIER_TURN = 0.06
WEIGHTS = "model.safetensors"
SYSTEM_MESSAGES = ("You are a helpful assistant.", "You are a friendly assistant.", "Be brief.")


def with_context(
    task: dict, encoder: Encoder, rng: np.random.Generator, short: list[dict], twins: float
) -> Sample:
    """A sample as training sees it: sometimes a serial twin, a system message or an earlier turn."""
    before: list[dict] = []
    if rng.random() < SYSTEM:
        before.append({"role": "system", "content": str(rng.choice(SYSTEM_MESSAGES))})
    if rng.random() < EARLIER_TURN:
        turn = short[int(rng.integers(len(short)))]
        before.append({"role": "user", "content": turn["prompt"]})
        before.append({"role": "assistant", "content": turn["response"]})
    serial = is_parallel(task) and rng.random() < twins
    return encoder.sample(task, serial, before)


def padded(samples: list[Sample], pad: int) -> Batch:
    """A row each, their width a multiple of 32: compiled code takes any width of one kind, and would be
    compiled anew for another."""
    return collate([[s] for s in samples], pad, 32 * -(-max(map(len, samples)) // 32))


def endless_batches(
    tasks: list[dict],
    encoder: Encoder,
    pad: int,
    tokens: int,
    context: int,
    seed: list[int],
    twins: float,
) -> Iterator[Batch]:
    """Pools of samples, sorted by length within a pool so that little padding is computed.

    `twins` is the share of parallel answers that are laid out as serial mode decodes them.
    """
    rng = np.random.default_rng(seed)
    short = [t for t in tasks[:20_000] if not is_parallel(t) and len(t["response"]) < 120]
    while True:
        order = rng.permutation(len(tasks))
        for from_ in range(0, len(order), 1536):
            pool = [
                with_context(tasks[i], encoder, rng, short, twins)
                for i in order[from_ : from_ + 1536]
            ]
            pool = sorted((s for s in pool if len(s) <= context), key=len)
            groups: list[list[Sample]] = [[]]
            for s in pool:
                if groups[-1] and (len(groups[-1]) + 1) * len(s) > tokens:
                    groups.append([])
                groups[-1].append(s)
            for g in rng.permutation(len(groups)):
                yield padded(groups[g], pad)


def export(model: Model, tokenizer: Tokenizer, folder: Path, serial: bool) -> None:
    """A Hugging Face folder; a model that branches has the dialect beside it."""
    end, pad = tokenizer.token_to_id(TURN_CLOSE), tokenizer.token_to_id(END_OF_TEXT)
    name = "anabranch-demo-serial" if serial else "anabranch-demo"
    model.save(folder, name, eos=[end, pad], pad=pad)
    save_tokenizer(tokenizer, folder)
    if not serial:
        Dialect.of(tokenizer).save(folder)


def has_bf16_units() -> bool:
    return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="anabranch_training.train", description=__doc__)
    p.add_argument(
        "--data", type=Path, required=True, nargs="+", help="JSONL written by `data generate`"
    )
    p.add_argument("--first", type=Path, help="JSONL that alone is trained on at the beginning")
    p.add_argument("--first-minutes", type=float, default=5, help="and for how long")
    p.add_argument("--heldout", type=Path, help="JSONL whose loss is printed at each checkpoint")
    p.add_argument(
        "--run", type=Path, required=True, help="folder of the run; resumed if it exists"
    )
    p.add_argument("--out", type=Path, help="where the last export goes as well")
    p.add_argument(
        "--base",
        type=Path,
        help="run whose last checkpoint this one begins from, or a model's folder, for its weights; "
        "the latter may have fewer layers and narrower MLPs",
    )
    p.add_argument(
        "--serial", action="store_true", help="no branches: a base, or a twin to compare"
    )
    p.add_argument(
        "--decay",
        type=float,
        default=0.6,
        help="share of the run, at its end, in which the rate falls; 0 for a base",
    )
    p.add_argument("--minutes", type=float, default=90, help="wall-clock budget of the whole run")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument(
        "--precision",
        choices=("bf16", "fp32"),
        default="bf16" if has_bf16_units() else "fp32",
        help="of the products; the weights stay in fp32 (default here: %(default)s)",
    )
    p.add_argument("--compile", action="store_true", help="torch.compile: a minute, then faster")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--batch-tokens", type=int, default=4096)
    p.add_argument("--context", type=int, default=640)
    p.add_argument("--vocabulary", type=int, default=2048)
    p.add_argument("--layers", type=int, default=Shape.num_hidden_layers)
    p.add_argument("--hidden", type=int, default=Shape.hidden_size)
    p.add_argument("--intermediate", type=int, default=Shape.intermediate_size)
    p.add_argument("--checkpoint-minutes", type=float, default=5)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--json", action="store_true", help="print one JSON summary to stdout")
    return p.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    if args.base and not any((args.base / f).exists() for f in ("checkpoint.pt", WEIGHTS)):
        raise SystemExit(f"{args.base} has no checkpoint and no {WEIGHTS} to begin from")
    args.run.mkdir(parents=True, exist_ok=True)

    tasks = [task for file in args.data for task in read_tasks(file)]
    say(f"{len(tasks)} tasks")
    tokenizer_file = args.run / "tokenizer.json"
    if args.base and not tokenizer_file.exists():
        shutil.copy(args.base / "tokenizer.json", tokenizer_file)
    if tokenizer_file.exists():
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    else:
        texts = (text for t in tasks[:40_000] for text in (t["prompt"], t["response"]))
        tokenizer = train_tokenizer(texts, args.vocabulary)
        tokenizer.save(str(tokenizer_file))
    vocabulary = tokenizer.get_vocab_size()
    dialect = Dialect.of(tokenizer)
    encoder = Encoder(tokenizer, dialect, tokenizer.token_to_id(TURN_CLOSE), chat_prompt)
    pad = tokenizer.token_to_id(END_OF_TEXT)

    shape = Shape(
        vocab_size=vocabulary,
        hidden_size=args.hidden,
        num_attention_heads=args.hidden // 64,
        num_hidden_layers=args.layers,
        intermediate_size=args.intermediate,
    )
    model = Model(shape).to(args.device)
    bf16 = args.precision == "bf16"
    muon = torch.bfloat16 if bf16 else torch.float32
    optimizer = MuonAndAdamW(model, args.lr, weight_decay=0.1, dtype=muon)
    objective = Objective(dialect, args.device, autocast=bf16)
    kept = Checkpoint(args.run / "checkpoint.pt", {"shape": asdict(shape)})
    state = kept.load(model, optimizer)
    if args.base and state.step == 0:
        if (args.base / WEIGHTS).exists():
            base = Model.load(args.base)
            if not base.shape.fits_into(shape):
                raise SystemExit(f"{args.base} has {base.shape}, not {shape}: give its options")
            model.load_state_dict(base.grown(shape).state_dict())
        else:
            Checkpoint(args.base / "checkpoint.pt", kept.settings).load(model, optimizer)
    if args.compile:
        model.forward = torch.compile(model.forward, dynamic=True)
    say(f"{model.parameter_count() / 1e6:.2f}M parameters, vocabulary {vocabulary}, {args.device}")

    heldout: list[Batch] = []
    if args.heldout:
        rows = read_tasks(args.heldout)[:240]
        samples = sorted((encoder.sample(t, args.serial and is_parallel(t)) for t in rows), key=len)
        heldout = [padded(samples[i : i + 24], pad) for i in range(0, len(samples), 24)]

    def checkpoint() -> None:
        kept.save(model, optimizer, state)
        export(model, tokenizer, args.run / "export", args.serial)
        say(f"checkpoint at step {state.step}, held-out loss {objective.mean(model, heldout)}")

    def batches_of(rows: list[dict]) -> Iterator[Batch]:
        twins = 1.0 if args.serial else SERIAL_TWIN
        seed = [args.seed, state.step]
        return endless_batches(rows, encoder, pad, args.batch_tokens, args.context, seed, twins)

    def batches() -> Iterator[Batch]:
        if args.first:
            first = batches_of(read_tasks(args.first))
            yield from takewhile(lambda _: state.seconds < args.first_minutes * 60, first)
        yield from batches_of(tasks)

    fit(
        model,
        optimizer,
        objective,
        batches(),
        state,
        done=lambda state: state.seconds / (args.minutes * 60),
        rate=lambda step, done: learning_rate(
            args.lr, step, done, warmup=0 if args.base else 60, plateau=1 - args.decay
        ),
        checkpoint=checkpoint,
        checkpoint_minutes=args.checkpoint_minutes,
    )
    checkpoint()
    if args.out:
        export(model, tokenizer, args.out, args.serial)
    if args.json:
        summary = {
            "parameters": model.parameter_count(),
            "vocabulary": vocabulary,
            "steps": state.step,
            "tokens": state.tokens,
            "minutes": state.seconds / 60,
            "heldout_loss": objective.mean(model, heldout),
        }
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
