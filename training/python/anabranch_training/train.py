"""Trains the demo model: python -m anabranch_training.train --help

The budget is wall-clock time instead of steps, so that the same command suits a laptop and a GPU.
A run folder holds the tokenizer, a checkpoint that is replaced every few minutes and from which the
same command resumes, and `export/`, the same weights as a Hugging Face folder. Progress goes to
stderr.
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
from .loop import Checkpoint, Objective, State, fit, learning_rate, log
from .model import Model, Shape
from .optimizer import MuonAndAdamW
from .sample import Sample
from .tokenizer import chat_prompt, save_tokenizer, train_tokenizer

# Shares of samples with a system message or an earlier turn, which must not change the answer.
SYSTEM = 0.08
EARLIER_TURN = 0.06
WEIGHTS = "model.safetensors"
POOL = 1536  # samples that are sorted by length together
SYSTEM_MESSAGES = ("You are a helpful assistant.", "You are a friendly assistant.", "Be brief.")


def with_context(
    task: dict, encoder: Encoder, rng: np.random.Generator, short: list[dict], twins: float
) -> Sample:
    """Encodes a task, at random as a serial twin, with a system message or an earlier turn."""
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
    """One row per sample. The width is a multiple of 32, so that compiled code sees few widths."""
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
    """Batches from pools of samples, which are sorted by length so that there is little padding.

    `twins` is the share of parallel answers that are trained on as serial mode decodes them.
    """
    rng = np.random.default_rng(seed)
    short = [t for t in tasks[:20_000] if not is_parallel(t) and len(t["response"]) < 120]
    while True:
        order = rng.permutation(len(tasks))
        for start in range(0, len(order), POOL):
            pool = [
                with_context(tasks[i], encoder, rng, short, twins)
                for i in order[start : start + POOL]
            ]
            pool = sorted((s for s in pool if len(s) <= context), key=len)
            batches: list[list[Sample]] = [[]]
            for s in pool:
                if batches[-1] and (len(batches[-1]) + 1) * len(s) > tokens:
                    batches.append([])
                batches[-1].append(s)
            for i in rng.permutation(len(batches)):
                yield padded(batches[i], pad)


def export(model: Model, tokenizer: Tokenizer, folder: Path, serial: bool) -> None:
    """Writes a Hugging Face folder, with the dialect unless the model is serial."""
    end, pad = tokenizer.token_to_id(TURN_CLOSE), tokenizer.token_to_id(END_OF_TEXT)
    name = "anabranch-small-serial" if serial else "anabranch-small"
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
    p.add_argument("--first", type=Path, help="JSONL that the run trains on first, alone")
    p.add_argument("--first-minutes", type=float, default=5, help="minutes of training on --first")
    p.add_argument("--heldout", type=Path, help="JSONL whose loss is printed at each checkpoint")
    p.add_argument(
        "--run", type=Path, required=True, help="folder of the run; resumed if it exists"
    )
    p.add_argument("--out", type=Path, help="folder for another copy of the last export")
    p.add_argument(
        "--base",
        type=Path,
        help="start from the last checkpoint of this run folder, or from the weights of this model "
        "folder; such a model may have fewer layers and narrower MLPs",
    )
    p.add_argument(
        "--serial", action="store_true", help="train without branches: a base, or a serial twin"
    )
    p.add_argument(
        "--decay",
        type=float,
        default=0.6,
        help="share of the run, at its end, in which the learning rate falls; 0 for a base",
    )
    p.add_argument("--minutes", type=float, default=90, help="wall-clock budget of the whole run")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument(
        "--precision",
        choices=("bf16", "fp32"),
        default="bf16" if has_bf16_units() else "fp32",
        help="of matrix products; weights stay in fp32 (default here: %(default)s)",
    )
    p.add_argument(
        "--compile",
        action="store_true",
        help="use torch.compile: takes a minute, then steps are faster",
    )
    p.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    p.add_argument("--batch-tokens", type=int, default=4096, help="tokens per batch")
    p.add_argument("--context", type=int, default=640, help="longer samples are left out")
    p.add_argument("--vocabulary", type=int, default=2048, help="tokens")
    p.add_argument("--layers", type=int, default=Shape.num_hidden_layers)
    p.add_argument("--hidden", type=int, default=Shape.hidden_size)
    p.add_argument("--intermediate", type=int, default=Shape.intermediate_size)
    p.add_argument("--checkpoint-minutes", type=float, default=5)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--json", action="store_true", help="print one JSON summary to stdout")
    return p.parse_args()


def run_tokenizer(args: argparse.Namespace, tasks: list[dict]) -> Tokenizer:
    """The tokenizer of the run folder, which is that of the base or is trained on first use."""
    file = args.run / "tokenizer.json"
    if args.base and not file.exists():
        shutil.copy(args.base / "tokenizer.json", file)
    if file.exists():
        return Tokenizer.from_file(str(file))
    texts = (text for t in tasks[:40_000] for text in (t["prompt"], t["response"]))
    tokenizer = train_tokenizer(texts, args.vocabulary)
    tokenizer.save(str(file))
    return tokenizer


def start_from_base(base: Path, model: Model, optimizer: MuonAndAdamW, kept: Checkpoint) -> None:
    """Loads the weights of a model folder, or the last checkpoint of a run."""
    if not (base / WEIGHTS).exists():
        Checkpoint(base / "checkpoint.pt", kept.settings).load(model, optimizer)
        return
    smaller = Model.load(base)
    if not smaller.shape.fits_into(model.shape):
        raise SystemExit(f"{base} has {smaller.shape}, not {model.shape}: give its options")
    model.load_state_dict(smaller.grown(model.shape).state_dict())


def heldout_batches(file: Path | None, encoder: Encoder, pad: int, serial: bool) -> list[Batch]:
    if not file:
        return []
    rows = read_tasks(file)[:240]
    samples = sorted((encoder.sample(t, serial and is_parallel(t)) for t in rows), key=len)
    return [padded(samples[i : i + 24], pad) for i in range(0, len(samples), 24)]


def training_batches(
    args: argparse.Namespace, tasks: list[dict], encoder: Encoder, pad: int, state: State
) -> Iterator[Batch]:
    """Batches of --first for its minutes, then of `tasks` without end."""

    def batches_of(rows: list[dict]) -> Iterator[Batch]:
        twins = 1.0 if args.serial else SERIAL_TWIN
        seed = [args.seed, state.step]
        return endless_batches(rows, encoder, pad, args.batch_tokens, args.context, seed, twins)

    if args.first:
        first = batches_of(read_tasks(args.first))
        yield from takewhile(lambda _: state.seconds < args.first_minutes * 60, first)
    yield from batches_of(tasks)


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    if args.base and not any((args.base / f).exists() for f in ("checkpoint.pt", WEIGHTS)):
        raise SystemExit(f"{args.base} has no checkpoint and no {WEIGHTS} to begin from")
    args.run.mkdir(parents=True, exist_ok=True)

    tasks = [task for file in args.data for task in read_tasks(file)]
    log(f"{len(tasks)} tasks")
    tokenizer = run_tokenizer(args, tasks)
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
        start_from_base(args.base, model, optimizer, kept)
    if args.compile:
        model.forward = torch.compile(model.forward, dynamic=True)
    log(f"{model.parameter_count() / 1e6:.2f}M parameters, vocabulary {vocabulary}, {args.device}")
    heldout = heldout_batches(args.heldout, encoder, pad, args.serial)

    def checkpoint() -> None:
        kept.save(model, optimizer, state)
        export(model, tokenizer, args.run / "export", args.serial)
        log(f"checkpoint at step {state.step}, held-out loss {objective.mean(model, heldout)}")

    fit(
        model,
        optimizer,
        objective,
        training_batches(args, tasks, encoder, pad, state),
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
