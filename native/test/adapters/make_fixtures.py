"""Makes the adapter fixtures: PEFT LoRA folders over the oracle's tiny models, and PEFT's logits.

    .anabranch/venv/bin/pip install -r training/requirements.txt peft==0.21.2
    .anabranch/venv/bin/python native/test/adapters/make_fixtures.py [--only NAME] [--out DIR]

Writes fixtures/<name>/ with what PEFT's save_pretrained() writes, and

    case.json            {"base", "vocabulary", "resume", "groups"}: as the oracle's cases
    logits.safetensors   "logits" [tokens, vocabulary] fp32 by PEFT, rows in serialised order

The reference runs in fp32 on the folder as written, over the base model ../oracle/fixtures/<base>.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))
from make_fixtures import layout, logits_of, nmse, random_run  # noqa: E402

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
EVERY = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]

# name -> (base, vocabulary or None, resume rule, dtype stored, LoraConfig)
FIXTURES = {
    "every-module": (
        "llama-default",
        None,
        "sum",
        torch.float32,
        dict(r=2, lora_alpha=4, target_modules=EVERY),
    ),
    # Half of one layer's modules only, by a regular expression.
    "attention": (
        "llama-default",
        None,
        "max",
        torch.float32,
        dict(r=3, lora_alpha=3, target_modules=r".*layers\.1\.self_attn\.(q|v)_proj"),
    ),
    # rsLoRA, other ranks and alphas by pattern, bf16.
    "rank-patterns": (
        "qwen3-default",
        None,
        "sum",
        torch.bfloat16,
        dict(
            r=4,
            lora_alpha=3,
            use_rslora=True,
            target_modules="all-linear",
            rank_pattern={"q_proj": 1, r"layers\.1\.mlp\.\w+_proj": 2},
            alpha_pattern={"layers.0.self_attn.v_proj": 7, "down_proj": 1},
        ),
    ),
    # Trained rows of a tied embedding: the head's rows are these, too.
    "token-rows": (
        "qwen2-default",
        None,
        "sum",
        torch.float32,
        dict(
            r=2,
            lora_alpha=4,
            target_modules=["v_proj", "down_proj"],
            trainable_token_indices=[5, 191, 60],
        ),
    ),
    # A trained copy of a tied embedding: the head stays the model's.
    "saved-embedding": (
        "qwen2-default",
        None,
        "sum",
        torch.bfloat16,
        dict(r=1, lora_alpha=2, target_modules=["k_proj"], modules_to_save=["embed_tokens"]),
    ),
    # q, k and v are one module, as are gate and up; RoPE rotates a part of each head.
    "fused-modules": (
        "phi3-longrope",
        None,
        "sum",
        torch.bfloat16,
        dict(r=2, lora_alpha=4, target_modules=["qkv_proj", "gate_up_proj", "o_proj"]),
    ),
    # Embeddings are scaled, also trained ones; norms follow attention and MLP.
    "scaled-rows": (
        "gemma3-default",
        None,
        "sum",
        torch.bfloat16,
        dict(
            r=1,
            lora_alpha=1,
            target_modules=["o_proj", "gate_proj", "down_proj"],
            trainable_token_indices=[9, 100],
        ),
    ),
    # Added tokens: embedding and head have more rows than the base model's, and some differ.
    "added-tokens": (
        "llama-default",
        197,
        "max",
        torch.float16,
        dict(
            r=2,
            lora_alpha=2,
            target_modules=["q_proj", "up_proj"],
            modules_to_save=["embed_tokens", "lm_head"],
        ),
    ),
}


def base_model(name: str):
    return AutoModelForCausalLM.from_pretrained(
        HERE.parent / "oracle" / "fixtures" / name, attn_implementation="eager", dtype=torch.float32
    ).eval()


def set_weights(model, added: int, generator: torch.Generator) -> None:
    """Random weights, large enough for each to show; tokens from `added` on are new."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "lora_" in name:
            p.data = noise * (0.3 if "lora_A" in name else 0.15)
        elif "trainable_tokens_delta" in name:
            p.data = 0.5 * noise
        elif "modules_to_save" in name:
            p.data[7::40] = 0.3 * noise[7::40]
            p.data[added:] = 0.3 * noise[added:]


def make(name: str, folder: Path) -> None:
    base, vocabulary, resume, dtype, options = FIXTURES[name]
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    model = base_model(base)
    own = model.config.vocab_size
    if vocabulary:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    options = {"lora_dropout": 0.0, "bias": "none", "init_lora_weights": False, **options}
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options))
    set_weights(model, own, generator)
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = options["target_modules"]  # PEFT writes sets, in any order
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = folder / "adapter_model.safetensors"
    stored = {k: v.to(dtype).contiguous() for k, v in load_file(weights).items()}
    save_file(stored, weights, metadata={"format": "pt"})

    # What was written is what is measured: read it back through PEFT.
    plain = base_model(base)
    if vocabulary:
        plain.resize_token_embeddings(vocabulary, mean_resizing=False)
    adapted = PeftModel.from_pretrained(plain, folder).eval().float()
    groups = [
        {"serial": random_run(14, generator)},
        {"parallel": [random_run(4, generator), random_run(6, generator)]},
        {"serial": random_run(5, generator)},
    ]
    for special in options.get("trainable_token_indices", []):
        groups[0]["serial"].append(special)
        groups[1]["parallel"][1].append(special)
    for special in range(own, vocabulary or own):
        groups[0]["serial"].append(special)
        groups[2]["serial"].insert(1, special)
    ids, positions, mask = layout(groups, resume)
    logits = logits_of(adapted, ids, positions, mask)
    case = {"base": base, "vocabulary": vocabulary or own, "resume": resume, "groups": groups}
    (folder / "case.json").write_text(json.dumps(case) + "\n")
    save_file({"logits": logits.contiguous()}, folder / "logits.safetensors")
    known = ids.clamp(max=own - 1)
    unlike = nmse(logits_of(base_model(base), known, positions, mask), logits[:, :own])
    print(f"{name}: {len(ids)} tokens, the base model's nmse is {unlike:.1e}")
    for key, value in stored.items():
        print(f"    {key} {list(value.shape)}")
    assert unlike > 1e-2


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--only", choices=sorted(FIXTURES))
    p.add_argument("--out", type=Path, default=HERE / "fixtures")
    args = p.parse_args()
    torch.set_num_threads(1)
    for name in [args.only] if args.only else FIXTURES:
        make(name, args.out / name)


if __name__ == "__main__":
    main()
