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
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

VOCABULARY = 192
NEGATIVE = torch.finfo(torch.float32).min


def without(config: dict, key: str) -> dict:
    return {k: v for k, v in config.items() if k != key}


COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "rope_theta": 10000.0,
}
LLAMA = {**COMMON, "architectures": ["LlamaForCausalLM"], "model_type": "llama"}
GRANITE = {**COMMON, "architectures": ["GraniteForCausalLM"], "model_type": "granite"}
MISTRAL = {**COMMON, "architectures": ["MistralForCausalLM"], "model_type": "mistral"}
OLMO2 = {**COMMON, "architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2"}
# Fused projections are stored as they are in real files.
PHI3 = {
    **COMMON,
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "pad_token_id": 0,
}
QWEN2 = {**COMMON, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
QWEN3 = {**COMMON, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
SMOLLM3 = {
    **COMMON,
    "architectures": ["SmolLM3ForCausalLM"],
    "model_type": "smollm3",
    "pad_token_id": 0,
}
GEMMA3 = {
    **without(without(COMMON, "hidden_act"), "rope_theta"),
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "hidden_activation": "gelu_pytorch_tanh",
    "num_hidden_layers": 3,
    "head_dim": 32,
    "query_pre_attn_scalar": 24,
    "tie_word_embeddings": True,
    "sliding_window": 13,
}
LLAMA3_ROPE = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def long_factors(count: int) -> dict[str, list[float]]:
    """Short and long RoPE factors of `count` pairs."""
    return {
        "short_factor": [round(1.0 + 0.02 * i, 2) for i in range(count)],
        "long_factor": [round(1.1 + 0.4 * i, 2) for i in range(count)],
    }


# name -> (config.json, dtype stored, shards)
FIXTURES: dict[str, tuple[dict, torch.dtype, int]] = {
    "llama-default": (
        {**LLAMA, "tie_word_embeddings": False, "attention_bias": False, "rope_scaling": None},
        torch.bfloat16,
        1,
    ),
    "llama-linear": (
        {
            **LLAMA,
            "tie_word_embeddings": False,
            "rope_scaling": {"type": "linear", "factor": 2.5},
        },
        torch.float16,
        1,
    ),
    "llama3-rope": (
        {
            **LLAMA,
            "tie_word_embeddings": True,
            "head_dim": 16,
            "rope_theta": 5000.0,
            "rope_scaling": {"rope_type": "llama3", **LLAMA3_ROPE},
        },
        torch.bfloat16,
        1,
    ),
    # The key that transformers 5 writes, with theta inside.
    "llama-rope-parameters": (
        {
            **without(LLAMA, "rope_theta"),
            "tie_word_embeddings": False,
            "head_dim": 32,
            "rope_parameters": {"rope_type": "llama3", "rope_theta": 5000.0, **LLAMA3_ROPE},
        },
        torch.bfloat16,
        1,
    ),
    # As Mistral NeMo: heads of another size than hidden_size / num_attention_heads.
    "mistral-default": (
        {
            **MISTRAL,
            "tie_word_embeddings": False,
            "head_dim": 32,
            "rope_theta": 1000000.0,
            "sliding_window": None,
        },
        torch.bfloat16,
        1,
    ),
    # Shorter than a branch with its trunk, and no multiple of a block.
    "mistral-window": (
        {**MISTRAL, "tie_word_embeddings": False, "head_dim": 16, "sliding_window": 19},
        torch.bfloat16,
        1,
    ),
    # Local and global layers with a RoPE each, in the keys that transformers 4 writes.
    "gemma3-default": (
        {
            **GEMMA3,
            "sliding_window_pattern": 3,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        torch.bfloat16,
        1,
    ),
    # The keys that transformers 5 writes.
    "gemma3-layer-types": (
        {
            **GEMMA3,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 500000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
            },
        },
        torch.float16,
        1,
    ),
    # Within the original context: short factors, and a sliding window.
    "phi3-short": (
        {
            **PHI3,
            "tie_word_embeddings": False,
            "max_position_embeddings": 128,
            "original_max_position_embeddings": 128,
            "sliding_window": 21,
            "rope_scaling": {"type": "longrope", **long_factors(8)},
        },
        torch.bfloat16,
        1,
    ),
    # As Phi-4-mini: three quarters of a head are rotated. Cases longer than the original context
    # take the long factors, for all of their tokens.
    "phi3-longrope": (
        {
            **PHI3,
            "tie_word_embeddings": True,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "partial_rotary_factor": 0.75,
            "original_max_position_embeddings": 16,
            "sliding_window": None,
            "rope_scaling": {"type": "longrope", **long_factors(12)},
        },
        torch.bfloat16,
        1,
    ),
    "olmo2-default": (
        {**OLMO2, "tie_word_embeddings": False, "attention_bias": False},
        torch.bfloat16,
        1,
    ),
    "smollm3-default": (
        {
            **SMOLLM3,
            "tie_word_embeddings": True,
            "num_hidden_layers": 3,
            "no_rope_layers": [1, 0, 1],
            "use_sliding_window": False,
        },
        torch.bfloat16,
        1,
    ),
    "granite-default": (
        {
            **GRANITE,
            "tie_word_embeddings": True,
            "embedding_multiplier": 1.5,
            "attention_multiplier": 0.5,
            "residual_multiplier": 0.85,
            "logits_scaling": 5.0,
        },
        torch.bfloat16,
        1,
    ),
    # Windows in the upper layers only.
    "qwen2-window": (
        {
            **QWEN2,
            "tie_word_embeddings": True,
            "use_sliding_window": True,
            "sliding_window": 17,
            "max_window_layers": 1,
        },
        torch.bfloat16,
        1,
    ),
    "qwen2-default": (
        {**QWEN2, "tie_word_embeddings": True, "use_sliding_window": False},
        torch.bfloat16,
        1,
    ),
    "qwen2-yarn": (
        {
            **QWEN2,
            "tie_word_embeddings": False,
            "use_sliding_window": False,
            "max_position_embeddings": 128,
            "rope_scaling": {
                "type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
        torch.float32,
        1,
    ),
    "qwen3-default": (
        {**QWEN3, "tie_word_embeddings": True, "head_dim": 32, "attention_bias": False},
        torch.bfloat16,
        1,
    ),
    "qwen3-yarn-sharded": (
        {
            **without(QWEN3, "rope_theta"),
            "tie_word_embeddings": False,
            "head_dim": 32,
            "attention_bias": False,
            "max_position_embeddings": 256,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
        torch.bfloat16,
        2,
    ),
}


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
