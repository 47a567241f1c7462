"""Tiny random Hugging Face checkpoints, and answers with stages to test them."""

import json
from pathlib import Path

import torch
from anabranch_training.compare import ROOT
from anabranch_training.dialect import END_OF_TEXT, TURN_CLOSE, TURN_OPEN
from anabranch_training.tokenizer import save_tokenizer, train_tokenizer
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

DEMO = ROOT / "models/small"
FIXTURE = ROOT / "shared/fixtures/pieces.json"

CLASSES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def tasks() -> list[dict]:
    """{prompt, parts} of the shared fixture. The first three and the last have stages."""
    samples = json.loads(FIXTURE.read_text())["samples"]
    turn = f"{TURN_OPEN}user\n"
    return [
        {
            "prompt": s["prompt"].split(turn)[1].split(TURN_CLOSE)[0],
            "parts": s["parts"],
        }
        for s in samples
    ]


@torch.no_grad()
def make_checkpoint(kind: str, folder: Path, tied: bool, markers: tuple[str, ...] = ()) -> None:
    """Writes a checkpoint with fp32 weights and with `markers` as tokens.

    Every part matters to the result. Large queries and keys make attention sharp, so that a wrong
    mask or position shows. Untied matrices are larger than the tokenizer, as in Qwen2.5-7B.
    """
    config_class, model_class = CLASSES[kind]
    texts = [part["serial"] for task in tasks() for part in task["parts"] if "serial" in part]
    special = (END_OF_TEXT, TURN_OPEN, TURN_CLOSE, *markers)
    tokenizer = train_tokenizer(texts, 300, special)
    config = config_class(
        vocab_size=tokenizer.get_vocab_size() + (0 if tied else 64),
        hidden_size=64,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(TURN_CLOSE),
        pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
        **({"sliding_window": None} if kind == "mistral" else {}),
    )
    torch.manual_seed(sum(map(ord, kind)))
    model = model_class(config)
    for name, p in model.named_parameters():
        noise = torch.randn_like(p)
        if "norm" in name:
            p.copy_(1 + 0.2 * noise)
        elif name.endswith("bias"):
            p.copy_(0.3 * noise)
        elif name.endswith(("q_proj.weight", "k_proj.weight")):
            p.copy_(0.3 * noise)
        else:
            p.copy_(0.12 * noise)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
