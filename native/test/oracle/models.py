"""The tiny models of the oracle: name -> config.json, dtype stored, shards."""

import torch

VOCABULARY = 192


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
