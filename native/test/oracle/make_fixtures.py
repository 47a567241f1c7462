"""Makes the engine's oracle: tiny random models and their logits by Hugging Face transformers.

    python -m venv .anabranch/venv && .anabranch/venv/bin/pip install -r training/requirements.txt
    .anabranch/venv/bin/python native/test/oracle/make_fixtures.py [--only NAME] [--out DIR]

Writes fixtures/<name>/ with config.json, model*.safetensors and, per case,

    case-<case>.json            {"name", "resume", "groups", "max_context"?, "hf_bf16_nmse"}
    logits-<case>.safetensors   "logits" [tokens, vocab] fp32, rows in serialised order

A case is what `npm run score` reads: serial runs and groups of branches. A branch sees the trunk
before it and itself; the trunk after a group sees everything; all branches of a group start at the
trunk's next position, and the trunk resumes at that position plus the sum (or the maximum) of
their lengths. The reference runs in fp32 on the weights as stored; hf_bf16_nmse is how far
transformers' own bf16 run is from it. Query and key weights are large, so that attention is sharp
and a wrong position or mask shows.
"""

import argparse
import json
from pathlib import Path

import torch
from models import FIXTURES, VOCABULARY
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

NEGATIVE = torch.finfo(torch.float32).min


def weights(model, generator: torch.Generator) -> None:
    """Random weights in which every part matters, norms and biases too."""
    model_type = model.config.model_type
    one = 0.0 if model_type.startswith("gemma") else 1.0  # Gemma's norms multiply by 1 + weight
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            # A norm of all heads together leaves some of them larger.
            p.data = one + (0.3 if model_type == "olmo2" else 0.6) + 0.3 * noise
        elif "norm" in name:
            p.data = one + 0.2 * noise
        elif name.endswith("bias"):
            p.data = 0.3 * noise
        elif name.endswith(("q_proj.weight", "k_proj.weight")):
            p.data = 0.2 * noise
        elif name.endswith("qkv_proj.weight"):
            p.data = 0.16 * noise
        elif "embed_tokens" in name:
            p.data = 0.5 * noise
        else:
            p.data = 0.12 * noise


def layout(groups: list[dict], resume: str):
    """ids [n], positions [n] and mask [n, n] (true where row sees column) of a case."""
    ids, positions, visible = [], [], []
    at = 0  # the trunk's next position
    seen: list[int] = []  # columns the trunk sees

    def run(tokens: list[int], start: int, context: list[int]) -> list[int]:
        columns = list(context)
        for i, token in enumerate(tokens):
            columns.append(len(ids))
            ids.append(token)
            positions.append(start + i)
            visible.append(list(columns))
        return columns

    for group in groups:
        if "serial" in group:
            seen = run(group["serial"], at, seen)
            at += len(group["serial"])
            continue
        branches = group["parallel"]
        added: list[int] = []
        for branch in branches:
            first = len(ids)
            run(branch, at, seen)
            added += range(first, len(ids))
        seen = seen + added
        lengths = [len(branch) for branch in branches]
        at += sum(lengths) if resume == "sum" else max(lengths)
    mask = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    for row, columns in enumerate(visible):
        mask[row, columns] = True
    return torch.tensor(ids), torch.tensor(positions), mask


@torch.no_grad()
def logits_of(model, ids, positions, mask) -> torch.Tensor:
    config = model.config
    window = getattr(config, "sliding_window", None)

    def additive(visible: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros(visible.shape).masked_fill(~visible, NEGATIVE)
        return zeros.to(model.dtype)[None, None]

    # A window is one of positions: a branch's rows and those after a join see what RoPE sees.
    near = positions[:, None] - positions[None, :] < (window or len(ids))
    masks = additive(mask & near if window else mask)
    if getattr(config, "layer_types", None):
        masks = {"full_attention": additive(mask), "sliding_attention": masks}
    out = model(
        input_ids=ids[None],
        position_ids=positions[None],
        attention_mask=masks,
        use_cache=False,
    )
    return out.logits[0].float()


def nmse(value: torch.Tensor, reference: torch.Tensor) -> float:
    return ((value - reference).square().sum() / reference.square().sum()).item()


def random_run(length: int, generator: torch.Generator) -> list[int]:
    return torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()


def cases(name: str, generator: torch.Generator) -> dict[str, tuple[str, list[dict]]]:
    def run(n: int) -> list[int]:
        return random_run(n, generator)

    groups = [
        {"serial": run(40)},
        {"parallel": [run(6), run(9), run(4)]},
        {"serial": run(5)},
        {"parallel": [run(3), run(7)]},
        {"serial": run(4)},
    ]
    made = {"sum": ("sum", groups), "max": ("max", groups)}
    if name == "phi3-longrope":
        # As long as the original context: short factors.
        short = [{"serial": run(7)}, {"parallel": [run(3), run(2)]}, {"serial": run(4)}]
        made["short"] = ("sum", short)
    if name == "qwen3-default":
        # Empty runs are legal: no trunk before a group, a branch without tokens, two groups in a
        # row.
        made["edge"] = (
            "sum",
            [
                {"serial": []},
                {"parallel": [run(5), [], run(2)]},
                {"parallel": [run(1), run(6)]},
                {"serial": run(3)},
            ],
        )
    return made


def branch_equals_plain_causal_run(model, groups: list[dict], logits: torch.Tensor) -> None:
    """Each branch of the first group, written straight after the trunk, gives the same logits."""
    trunk = groups[0]["serial"]
    row = len(trunk)
    for branch in groups[1]["parallel"]:
        with torch.no_grad():
            plain = model(input_ids=torch.tensor([trunk + branch]), use_cache=False).logits[0]
        got = logits[row : row + len(branch)]
        error = nmse(got, plain[len(trunk) :])
        assert error < 1e-9, f"a branch differs from a plain causal run: {error}"
        row += len(branch)


def make(name: str, folder: Path) -> None:
    config, dtype, shards = FIXTURES[name]
    folder.mkdir(parents=True, exist_ok=True)
    stored_name = str(dtype).removeprefix("torch.")
    stored = {**config, "torch_dtype": stored_name}
    (folder / "config.json").write_text(json.dumps(stored, indent=2) + "\n")
    hf_config = AutoConfig.from_pretrained(folder)
    generator = torch.Generator().manual_seed(sum(map(ord, name)))

    def build(run_dtype: torch.dtype):
        return AutoModelForCausalLM.from_config(
            hf_config, attn_implementation="eager", dtype=run_dtype
        ).eval()

    model = build(torch.float32)
    weights(model, generator)
    for p in model.parameters():
        p.data = p.data.to(dtype).float()
    model.tie_weights()
    tensors = {
        k: v.to(dtype).contiguous().clone()
        for k, v in model.state_dict().items()
        if not (config["tie_word_embeddings"] and k == "lm_head.weight")
    }
    save(tensors, folder, shards)
    # What was written is what is measured: read it back through transformers.
    model = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    ).eval()
    rounded = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.bfloat16
    ).eval()

    for case, (resume, groups) in cases(name, generator).items():
        ids, positions, mask = layout(groups, resume)
        logits = logits_of(model, ids, positions, mask)
        if case != "edge":
            branch_equals_plain_causal_run(model, groups, logits)
        error = nmse(logits_of(rounded, ids, positions, mask), logits)
        causal = torch.ones_like(mask).tril()
        served = {"max_context": 16} if case == "short" else {}
        text = {"name": name, "resume": resume, "groups": groups, **served, "hf_bf16_nmse": error}
        (folder / f"case-{case}.json").write_text(json.dumps(text) + "\n")
        save_file({"logits": logits.contiguous()}, folder / f"logits-{case}.safetensors")
        # How much a wrong mask or wrong positions would show; far above any tolerance.
        wrong_mask = nmse(logits_of(model, ids, positions, causal), logits)
        straight = torch.arange(len(ids))
        wrong_positions = nmse(logits_of(model, ids, straight, mask), logits)
        print(
            f"{name} {case}: {len(ids)} tokens, hf bf16 nmse {error:.1e}, "
            f"wrong mask {wrong_mask:.1e}, wrong positions {wrong_positions:.1e}"
        )
        assert wrong_mask > 1e-2 and wrong_positions > 1e-2


def save(tensors: dict[str, torch.Tensor], folder: Path, shards: int) -> None:
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(tensors)
    weight_map = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {n: tensors[n] for n in names[i::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= {n: file for n in part}
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--only", choices=sorted(FIXTURES))
    p.add_argument("--out", type=Path, default=Path(__file__).parent / "fixtures")
    args = p.parse_args()
    torch.set_num_threads(1)
    for name in [args.only] if args.only else FIXTURES:
        make(name, args.out / name)


if __name__ == "__main__":
    main()
