"""Teaches a Hugging Face checkpoint to branch: python -m anabranch_training.finetune --help

Rows of data are {prompt, parts} or {messages, parts}, as `npm run data -- extract` writes them. A
run folder holds the last checkpoint, from which the same command resumes, with the same final
weights as an uninterrupted run. --out becomes a Hugging Face folder with aspd.json that the engine
can load; --adapter-out, with --lora, an adapter as PEFT saves it, which the engine serves beside
its base. Progress goes to stderr.
"""

import argparse
import json
from pathlib import Path

import torch

from .batches import Batch, read_tasks
from .dialect import NAMES, Dialect
from .loop import Checkpoint, Objective, State, fit, learning_rate, log
from .lora import TARGETS, add_lora, load_adapter, merge_lora
from .mask import flex_attention_problem
from .optimizer import adamw
from .packing import Packed
from .pretrained import (
    Pretrained,
    Vocabulary,
    add_marker_rows,
    export,
    export_adapter,
    load_model,
    load_vocabulary,
    stored_dtype,
)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LEARNING_RATE = {"full": 2e-5, "lora": 1e-4}


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(
        prog="anabranch_training.finetune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--base", type=Path, required=True, help="Hugging Face folder or GGUF file to start from"
    )
    p.add_argument("--data", type=Path, required=True, help="JSONL written by `data extract`")
    p.add_argument("--heldout", type=Path, help="JSONL whose loss is printed at each checkpoint")
    p.add_argument(
        "--run", type=Path, required=True, help="folder of the run; resumed if it exists"
    )
    p.add_argument("--out", type=Path, help="folder of the finished model")
    p.add_argument("--adapter-out", type=Path, help="folder of the LoRA adapter")
    p.add_argument(
        "--lora", action="store_true", help="train low-rank updates instead of all weights"
    )
    p.add_argument(
        "--adapter",
        type=Path,
        help="with --lora: the folder of an adapter that this command wrote, to go on from",
    )
    p.add_argument(
        "--hold",
        action="store_true",
        help="with --lora: on rows without parts, learn the probabilities that the base gives each "
        "token in place of the tokens, so that other answers stay as they are",
    )
    p.add_argument("--rank", type=int, default=32, help="LoRA rank (default %(default)s)")
    p.add_argument("--alpha", type=float, default=64, help="LoRA alpha (default %(default)s)")
    p.add_argument("--targets", nargs="+", default=list(TARGETS), help="layers that LoRA updates")
    p.add_argument(
        "--epochs", type=int, default=2, help="passes over the data (default %(default)s)"
    )
    p.add_argument("--max-steps", type=int, help="end after this many steps, if that is earlier")
    p.add_argument("--lr", type=float, help="peak learning rate (default 2e-5, with --lora 1e-4)")
    p.add_argument("--warmup-steps", type=int, default=20, help="steps (default %(default)s)")
    p.add_argument("--weight-decay", type=float, default=0.01, help="default %(default)s")
    p.add_argument(
        "--row-tokens",
        type=int,
        default=4096,
        help="tokens of a row, into which samples are packed",
    )
    p.add_argument("--accumulate", type=int, default=8, help="rows per step (default %(default)s)")
    p.add_argument(
        "--dialect", choices=NAMES, default="aspd", help="markers to teach (default %(default)s)"
    )
    p.add_argument(
        "--marker-tokens",
        nargs="+",
        default=[],
        metavar="TOKEN",
        help="special tokens of the base that nobody uses, to become the dialect's markers, in the "
        "order of title, its end, fork, branch, its end, join; without them markers are added",
    )
    p.add_argument(
        "--resume-rule", choices=["sum", "max"], help="position of the trunk after a join"
    )
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument(
        "--dtype", choices=DTYPES, help="type of the weights (default fp32, LoRA on CUDA bf16)"
    )
    p.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        default="auto",
        help="of products; auto is bf16 on CUDA and on processors with bf16 units",
    )
    p.add_argument(
        "--export-dtype",
        choices=DTYPES,
        help="type of the exported weights (default: that of the base)",
    )
    p.add_argument(
        "--attention",
        choices=["auto", "sdpa", "flex"],
        default="auto",
        help="FlexAttention or SDPA with a dense mask; auto tries the first on CUDA",
    )
    p.add_argument(
        "--gradient-checkpointing",
        action=argparse.BooleanOptionalAction,
        default=torch.cuda.is_available(),
        help="recompute activations instead of keeping them",
    )
    p.add_argument("--checkpoint-minutes", type=float, default=15, help="default %(default)s")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--json", action="store_true", help="print one JSON summary to stdout")
    args = p.parse_args()
    if args.out is None and args.adapter_out is None:
        p.error("--out or --adapter-out is needed")
    if args.adapter_out and not args.lora:
        p.error("--adapter-out needs --lora")
    if args.adapter and not args.lora:
        p.error("--adapter needs --lora")
    if args.hold and not args.lora:
        p.error("--hold needs --lora: without it the base itself changes")
    return args


def computes_in_bf16(args: argparse.Namespace, cuda: bool) -> bool:
    if args.precision != "auto":
        return args.precision == "bf16"
    return cuda or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def attention_of(args: argparse.Namespace, cuda: bool) -> str:
    """FlexAttention, which skips masked blocks of a packed row, if it works on this device."""
    if args.attention == "sdpa" or (args.attention == "auto" and not cuda):
        return "sdpa"
    why = flex_attention_problem(args.device)
    if why is None:
        return "flex_attention"
    if args.attention == "flex":
        raise SystemExit(f"FlexAttention doesn't work here: {why}. Use --attention sdpa")
    log(f"no FlexAttention here ({why}): SDPA with a dense mask")
    return "sdpa"


def load_for_training(
    args: argparse.Namespace, dtype: torch.dtype, attention: str
) -> tuple[Pretrained, Vocabulary]:
    """The base with rows for the markers, and with LoRA and gradient checkpointing if asked for."""
    vocabulary = load_vocabulary(args.base, args.resume_rule, args.dialect, args.marker_tokens)
    model = load_model(args.base, dtype, args.device, attention)
    add_marker_rows(model, vocabulary, args.seed)
    if args.lora:
        markers = vocabulary.dialect.markers
        add_lora(model.causal, markers, args.rank, args.alpha, args.targets)
        if args.adapter:
            load_adapter(model.causal, args.adapter, markers, args.alpha)
    if args.gradient_checkpointing:
        model.causal.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    return model, vocabulary


def pack(path: Path, vocabulary: Vocabulary, row_tokens: int, fill: bool) -> Packed:
    tasks = read_tasks(path)
    if not tasks:
        raise SystemExit(f"{path} has no rows")
    return Packed(tasks, vocabulary.encoder, vocabulary.pad, row_tokens, fill=fill)


def settings_of(args: argparse.Namespace, peak: float, dialect: Dialect) -> dict:
    """The settings that must stay the same when a run is resumed."""
    return {
        **{k: str(getattr(args, k)) for k in ("base", "data", "lora", "adapter", "hold")},
        **{k: str(getattr(args, k)) for k in ("rank", "alpha", "targets")},
        **{k: getattr(args, k) for k in ("epochs", "row_tokens", "accumulate", "seed")},
        "max_steps": args.max_steps,
        "lr": peak,
        "dialect": dialect.file["name"],
        "markers": list(dialect.markers),
        "resume_rule": dialect.resume,
    }


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    args.run.mkdir(parents=True, exist_ok=True)
    cuda = torch.device(args.device).type == "cuda"
    mode = "lora" if args.lora else "full"
    dtype = DTYPES[args.dtype or ("bf16" if args.lora and cuda else "fp32")]
    attention = attention_of(args, cuda)
    flex = attention == "flex_attention"
    peak = args.lr or LEARNING_RATE[mode]

    model, vocabulary = load_for_training(args, dtype, attention)
    optimizer = adamw(model, peak, args.weight_decay)
    bf16 = computes_in_bf16(args, cuda)
    objective = Objective(vocabulary.dialect, args.device, bf16, flex, args.hold)
    data = pack(args.data, vocabulary, args.row_tokens, fill=flex)
    heldout: list[Batch] = []
    if args.heldout:
        heldout = pack(args.heldout, vocabulary, args.row_tokens, fill=flex).in_order()
    total = len(data.tasks) * args.epochs
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    size = f"{len(data.tasks)} rows, {trained / 1e6:.2f}M trained parameters"
    log(f"{size}, {attention}, {args.device}")
    kept = Checkpoint(args.run / "checkpoint.pt", settings_of(args, peak, vocabulary.dialect))
    state = kept.load(model, optimizer)
    before = objective.mean(model, heldout)
    if before is not None:
        log(f"held-out loss {before:.4f} at step {state.step}")

    def checkpoint() -> None:
        kept.save(model, optimizer, state)
        log(f"checkpoint at step {state.step}, held-out loss {objective.mean(model, heldout)}")

    def done(state: State) -> float:
        by_steps = state.step / args.max_steps if args.max_steps else 0.0
        return max(state.tasks / total, by_steps)

    fit(
        model,
        optimizer,
        objective,
        data.shuffled(args.epochs, args.seed, state.tasks),
        state,
        done=done,
        rate=lambda step, share: learning_rate(peak, step, share, args.warmup_steps),
        checkpoint=checkpoint,
        checkpoint_minutes=args.checkpoint_minutes,
        accumulate=args.accumulate,
    )
    checkpoint()
    after = objective.mean(model, heldout)
    if args.adapter_out:
        dtype = DTYPES[args.export_dtype or "bf16"]
        export_adapter(model, vocabulary, args.adapter_out, dtype, args.rank, args.alpha)
        log(f"done: {args.adapter_out}")
    if args.out:
        merge_lora(model.causal)
        export(model, vocabulary, args.out, DTYPES.get(args.export_dtype, stored_dtype(args.base)))
        log(f"done: {args.out}")
    if args.json:
        summary = {
            "mode": mode,
            "trained_parameters": trained,
            "steps": state.step,
            "rows": state.tasks,
            "rows_left_out": len(data.left_out),
            "tokens": state.tokens,
            "minutes": state.seconds / 60,
            "heldout_loss_at_start": before,
            "heldout_loss": after,
        }
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
