"""Measures Hugging Face transformers on the same weights, with random tokens as input.

Serial decoding is compared with parallel decoding under a dense mask, as in the released engine of
the paper: one forward pass for the next token of every branch, with a 4-D mask that hides siblings,
at batch size 1. Prints one JSON value.
"""

import argparse
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, DynamicCache


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@torch.inference_mode()
def prefilled(model, prefix: torch.Tensor) -> DynamicCache:
    cache = DynamicCache()
    model(prefix, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@torch.inference_mode()
def decode(model, prefix: torch.Tensor, lanes: int, tokens: int) -> float:
    """Seconds per step. With one lane, decoding is serial and has no mask."""
    device, n = prefix.device, prefix.shape[1]
    cache = prefilled(model, prefix)
    ids = torch.randint(0, model.config.vocab_size, (tokens, 1, lanes), device=device)
    own = torch.zeros(lanes, lanes * tokens, dtype=torch.bool, device=device)
    took = []
    for step in range(tokens):
        synchronize(device)
        began = time.perf_counter()
        if lanes == 1:
            model(ids[step], past_key_values=cache, use_cache=True)
        else:
            own[torch.arange(lanes), step * lanes + torch.arange(lanes)] = True
            seen = torch.cat(
                [
                    torch.ones(lanes, n, dtype=torch.bool, device=device),
                    own[:, : (step + 1) * lanes],
                ],
                1,
            )
            mask = torch.zeros(seen.shape, dtype=model.dtype, device=device)
            mask.masked_fill_(~seen, torch.finfo(model.dtype).min)
            positions = torch.full((1, lanes), n + step, device=device)
            model(
                ids[step],
                attention_mask=mask[None, None],
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            )
        synchronize(device)
        took.append(time.perf_counter() - began)
    return median(took[2:])


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--model", required=True, help="Hugging Face folder")
    p.add_argument("--lanes", type=int, default=8, help="branches decoded together")
    p.add_argument("--prefix", type=int, default=512, help="tokens of the common prefix")
    p.add_argument("--tokens", type=int, default=24, help="tokens decoded in each lane")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = p.parse_args()
    model = AutoModelForCausalLM.from_pretrained(
        args.model, dtype=torch.bfloat16, attn_implementation="sdpa"
    ).to(args.device)
    print(f"loaded {args.model}", file=sys.stderr)
    generator = torch.Generator().manual_seed(1)
    prefix = torch.randint(0, model.config.vocab_size, (1, args.prefix), generator=generator)
    prefix = prefix.to(args.device)
    serial = decode(model, prefix, 1, args.tokens)
    parallel = decode(model, prefix, args.lanes, args.tokens)
    figures = {
        "peer": "transformers",
        "model": args.model.rsplit("/", 1)[-1],
        "prefix": args.prefix,
        "serial_tokens_s": round(1 / serial, 2),
        "lanes": args.lanes,
        "parallel_tokens_s": round(args.lanes / parallel, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
