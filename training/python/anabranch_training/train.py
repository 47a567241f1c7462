"""Trains the demo model: python -m anabranch_training.train --help

Bounded by wall-clock time, not steps, so that one command suits a laptop and a GPU. A run folder
holds the tokenizer, a checkpoint every few minutes (a second start resumes from it) and `export/`,
the same weights as a Hugging Face folder. Progress goes to stderr; --json prints one summary.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from .batches import Batch, Encoder, collate, endless_batches, marker_bias, read_tasks
from .dialect import END_OF_TEXT, TURN_CLOSE, Dialect
from .model import Model, Shape
from .tokenizer import save_tokenizer, train_tokenizer


def loss_of(model: Model, batch: Batch, bias: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the sampled tokens, markers masked as the engine masks them."""
    hidden = model(batch.ids, batch.positions, batch.mask)
    hidden = hidden.reshape(-1, hidden.shape[-1])[batch.sources]
    return F.cross_entropy(model.logits(hidden).float() + bias[batch.rules], batch.targets)


def learning_rate(peak: float, step: int, done: float, warmup: int = 150) -> float:
    """Warm-up, a plateau to 40% of the time, then a cosine to 3% of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    if done < 0.4:
        return peak
    x = min(1.0, (done - 0.4) / 0.6)
    return peak * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * x)))


def optimizer_of(model: Model, lr: float) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=lr,
        betas=(0.9, 0.95),
        fused=True,
    )


def export(model: Model, tokenizer: Tokenizer, folder: Path) -> None:
    """A Hugging Face folder with the dialect beside it."""
    end, pad = tokenizer.token_to_id(TURN_CLOSE), tokenizer.token_to_id(END_OF_TEXT)
    model.save(folder, eos=[end, pad], pad=pad)
    save_tokenizer(tokenizer, folder)
    dialect = json.dumps(Dialect.of(tokenizer).to_json(), indent=2)
    (folder / "aspd.json").write_text(dialect + "\n")


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="anabranch_training.train", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="JSONL written by `data generate`")
    p.add_argument("--heldout", type=Path, help="JSONL whose loss is printed at each checkpoint")
    p.add_argument("--run", type=Path, required=True, help="folder of the run; resumed if it exists")
    p.add_argument("--out", type=Path, help="where the last export goes as well")
    p.add_argument("--minutes", type=float, default=90, help="wall-clock budget of the whole run")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--batch-tokens", type=int, default=3072)
    p.add_argument("--context", type=int, default=512)
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
    args.run.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    tasks = read_tasks(args.data)
    say(f"{len(tasks)} tasks")
    tokenizer_file = args.run / "tokenizer.json"
    if tokenizer_file.exists():
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    else:
        texts = (text for t in tasks[:40_000] for text in (t["prompt"], t["response"]))
        tokenizer = train_tokenizer(texts, args.vocabulary)
        tokenizer.save(str(tokenizer_file))
    vocabulary = tokenizer.get_vocab_size()
    dialect = Dialect.of(tokenizer)
    encoder = Encoder(tokenizer, dialect)
    pad = tokenizer.token_to_id(END_OF_TEXT)

    shape = Shape(
        vocab_size=vocabulary,
        hidden_size=args.hidden,
        num_attention_heads=args.hidden // 64,
        num_hidden_layers=args.layers,
        intermediate_size=args.intermediate,
    )
    model = Model(shape).to(args.device)
    optimizer = optimizer_of(model, args.lr)
    bias = marker_bias(dialect, vocabulary).to(args.device)
    step, seen, elapsed = 0, 0, 0.0
    checkpoint = args.run / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=args.device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, seen, elapsed = state["step"], state["seen"], state["elapsed"]
        say(f"resumed at step {step}, {elapsed / 60:.1f} minutes in")
    say(f"{model.parameter_count() / 1e6:.2f}M parameters, vocabulary {vocabulary}, {args.device}")

    heldout: list[Batch] = []
    if args.heldout:
        samples = [encoder.sample(t) for t in read_tasks(args.heldout)[:240]]
        samples.sort(key=len)
        heldout = [collate(samples[i : i + 24], pad) for i in range(0, len(samples), 24)]

    def heldout_loss() -> float | None:
        if not heldout:
            return None
        with torch.no_grad():
            losses = [loss_of(model, b.to(args.device), bias).item() for b in heldout]
        return sum(losses) / len(losses)

    def save() -> None:
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "seen": seen,
            "elapsed": elapsed,
        }
        torch.save(state, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        export(model, tokenizer, args.run / "export")

    budget = args.minutes * 60
    batches = endless_batches(
        tasks, encoder, pad, args.batch_tokens, args.context, args.seed + step
    )
    clock = last_save = time.monotonic()
    running, window, window_tokens, window_clock = 0.0, 0, 0, clock
    while elapsed < budget:
        batch = next(batches)
        rate = learning_rate(args.lr, step, elapsed / budget)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(model, batch.to(args.device), bias)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        now = time.monotonic()
        elapsed, clock = elapsed + now - clock, now
        step, seen = step + 1, seen + batch.tokens
        running, window, window_tokens = running + loss.item(), window + 1, window_tokens + batch.tokens
        if step % 20 == 0:
            say(
                f"step {step} loss {running / window:.4f} lr {rate:.2e} "
                f"{window_tokens / (now - window_clock):.0f} tokens/s "
                f"{seen / 1e6:.2f}M tokens {elapsed / 60:.1f}/{args.minutes:g} min"
            )
            running, window, window_tokens, window_clock = 0.0, 0, 0, now
        if now - last_save > args.checkpoint_minutes * 60:
            save()
            say(f"checkpoint at step {step}, held-out loss {heldout_loss()}")
            last_save = time.monotonic()
    save()
    final = heldout_loss()
    if args.out:
        export(model, tokenizer, args.out)
    say(f"done: {step} steps, {seen / 1e6:.2f}M tokens, held-out loss {final}")
    if args.json:
        summary = {
            "parameters": model.parameter_count(),
            "vocabulary": vocabulary,
            "steps": step,
            "tokens": seen,
            "minutes": elapsed / 60,
            "heldout_loss": final,
        }
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
