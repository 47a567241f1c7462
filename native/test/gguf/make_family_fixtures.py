"""Makes GGUF files of several architectures, of tiny random models, and their logits.

    .anabranch/venv/bin/pip install -r training/requirements.txt gguf
    .anabranch/venv/bin/python native/test/gguf/make_family_fixtures.py

Each is written as llama.cpp's converter writes its architecture: the names of its keys and tensors,
the order of q and k rows, norms as they are multiplied. transformers computes the logits in fp32.
Writes fixtures/<name>.gguf and fixtures/<name>.json.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from transformers import AutoConfig, AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
OUT = HERE / "fixtures"
sys.path.insert(0, str(HERE.parent / "oracle"))
from make_fixtures import weights  # noqa: E402
from models import long_factors  # noqa: E402

TOKENS = [5, 17, 3, 40, 41, 9, 26, 2, 30, 12, 21, 44, 7, 10, 31, 43, 28, 15, 19, 8, 37, 20, 4, 36]
COMMON = {
    "vocab_size": 48,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 64,
    "rope_theta": 10000.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": True,
}
PHI3 = {**COMMON, "model_type": "phi3", "tie_word_embeddings": False}

# name -> architecture, config.json
FIXTURES = {
    "mistral-window": ("llama", {**COMMON, "model_type": "mistral", "sliding_window": 7}),
    # The sixth layer is global.
    "gemma3": (
        "gemma3",
        {
            **COMMON,
            "model_type": "gemma3_text",
            "num_hidden_layers": 6,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "sliding_window": 7,
            "rope_theta": 500000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
        },
    ),
    "phi3-longrope": (
        "phi3",
        {
            **PHI3,
            "partial_rotary_factor": 0.75,
            "original_max_position_embeddings": 16,
            "sliding_window": None,
            "rope_scaling": {"type": "longrope", **long_factors(6)},
        },
    ),
    "phi3-short": (
        "phi3",
        {
            **PHI3,
            "original_max_position_embeddings": 64,
            "sliding_window": 9,
            "rope_scaling": {"type": "longrope", **long_factors(8)},
        },
    ),
    "olmo2": ("olmo2", {**COMMON, "model_type": "olmo2", "tie_word_embeddings": False}),
    # The fourth layer has no RoPE.
    "smollm3": ("smollm3", {**COMMON, "model_type": "smollm3", "num_hidden_layers": 4}),
    "granite": (
        "granite",
        {
            **COMMON,
            "model_type": "granite",
            "embedding_multiplier": 1.5,
            "attention_multiplier": 0.5,
            "residual_multiplier": 0.85,
            "logits_scaling": 5.0,
        },
    ),
}
# Architectures whose q and k rows the converter reorders.
INTERLEAVED = ("llama", "smollm3", "granite")

POST_NORMS = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name: str, architecture: str) -> str:
    module = name.removesuffix(".weight")
    if module in NAMES:
        return NAMES[module] + ".weight"
    layer, part = module.removeprefix("model.layers.").split(".", 1)
    names = LAYER_NAMES | (POST_NORMS if architecture in ("gemma3", "olmo2") else {})
    return f"blk.{layer}.{names[part]}.weight"


def interleave(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    """The two values of a RoPE pair beside each other."""
    pairs = weight.reshape(-1, 2, head_dim // 2, weight.shape[1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def write_metadata(writer: GGUFWriter, architecture: str, config: dict, head_dim: int) -> None:
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    if "head_dim" in config:
        writer.add_key_length(head_dim)
    rotary = int(head_dim * config.get("partial_rotary_factor", 1.0))
    if architecture != "gemma3":
        writer.add_rope_dimension_count(rotary)
    if config.get("sliding_window") or architecture == "phi3":
        writer.add_sliding_window(config.get("sliding_window") or 0)
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "linear":
        writer.add_string(f"{architecture}.rope.scaling.type", "linear")
        writer.add_float32(f"{architecture}.rope.scaling.factor", scaling["factor"])
    if "long_factor" in scaling:
        original = config["original_max_position_embeddings"]
        ratio = config["max_position_embeddings"] / original
        factor = 1.0 if ratio <= 1 else np.sqrt(1 + np.log(ratio) / np.log(original))
        writer.add_rope_scaling_attn_factors(float(factor))
        writer.add_rope_scaling_orig_ctx_len(original)
        for kind in ("long", "short"):
            values = np.array(scaling[f"{kind}_factor"], dtype=np.float32)
            writer.add_tensor(f"rope_factors_{kind}.weight", values)
    if architecture == "granite":
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    writer.add_eos_token_id(config["eos_token_id"])


@torch.no_grad()
def make(name: str, architecture: str, config: dict) -> None:
    config = dict(config)
    model_config = AutoConfig.for_model(**config)
    head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    model = AutoModelForCausalLM.from_config(
        model_config, attn_implementation="eager", dtype=torch.float32
    ).eval()
    weights(model, torch.Generator().manual_seed(sum(map(ord, name))))
    for p in model.parameters():
        p.data = p.data.bfloat16().float()
    model.tie_weights()

    writer = GGUFWriter(str(OUT / f"{name}.gguf"), architecture)
    write_metadata(writer, architecture, config, head_dim)
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        to = gguf_name(key, architecture)
        if architecture in INTERLEAVED and (".attn_q." in to or ".attn_k." in to):
            tensor = interleave(tensor, head_dim)
        if tensor.dim() == 1:
            shift = 1.0 if architecture == "gemma3" else 0.0
            writer.add_tensor(to, (tensor + shift).numpy())
        else:
            bits = tensor.bfloat16().contiguous().view(torch.uint8).numpy()
            writer.add_tensor(to, bits, raw_dtype=GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    logits = model(torch.tensor([TOKENS])).logits[0].double().tolist()
    rounded = [[float(f"{x:.7g}") for x in row] for row in logits]
    (OUT / f"{name}.json").write_text(json.dumps({"tokens": TOKENS, "logits": rounded}))
    print(name)


if __name__ == "__main__":
    for fixture, (kind, settings) in FIXTURES.items():
        make(fixture, kind, settings)
