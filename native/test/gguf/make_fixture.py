"""Makes the GGUF fixture: a tiny random llama with one matrix in each block format, and its logits.

    .anabranch/venv/bin/pip install gguf
    .anabranch/venv/bin/python native/test/gguf/make_fixture.py

The blocks are random. Hugging Face's own reader of the format, gguf-py, says what they mean, and
transformers computes the logits in fp32. Writes fixtures/model.gguf and fixtures/logits.json.
"""

import json
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter, dequantize
from gguf.constants import GGML_QUANT_SIZES
from transformers import LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).resolve().parent / "fixtures"
HIDDEN, LAYERS, HEADS, KV_HEADS, VOCABULARY, CONTEXT = 256, 2, 4, 2, 96, 128
HEAD_DIM = HIDDEN // HEADS
TOKENS = [5, 17, 3, 80, 41, 9, 66, 2, 30, 12]

# One format for each matrix, layer by layer.
FORMATS = [
    dict(q="Q4_0", k="Q4_1", v="Q5_0", o="Q5_1", gate="Q8_0", up="Q4_K", down="Q5_K"),
    dict(q="Q6_K", k="IQ4_NL", v="BF16", o="F16", gate="Q4_1", up="Q6_K", down="Q4_K"),
]
rng = np.random.default_rng(7)


def random_blocks(rows: int, columns: int, kind: Type) -> np.ndarray:
    """Random bytes with scales of a sensible size, [rows, bytes]."""
    if kind in (Type.F16, Type.BF16):
        values = rng.normal(0, 0.06, (rows, columns)).astype(np.float32)
        if kind == Type.F16:
            return values.astype(np.float16).view(np.uint8)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)

    def put(at: int, low: float, high: float) -> None:
        halves = rng.uniform(low, high, len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = halves.view(np.uint8).reshape(-1, 2)

    name = kind.name
    if name == "Q6_K":
        blocks[:, 192:208] = rng.integers(-20, 20, (len(blocks), 16)).astype(np.int8).view(np.uint8)
        put(208, 1e-4, 3e-4)
    elif name in ("Q4_K", "Q5_K"):
        put(0, 1e-4, 4e-4)
        put(2, 1e-3, 2e-3)
    else:
        scale = {"Q8_0": 0.0008, "IQ4_NL": 0.0008}.get(name, 0.01)
        put(0, scale / 2, scale)
        if name in ("Q4_1", "Q5_1"):
            put(2, -0.12, -0.06)
    return blocks.reshape(rows, -1)


def interleave(weight: np.ndarray) -> np.ndarray:
    """Hugging Face's order of a head's rows from GGUF's, for the llama architecture."""
    heads = weight.shape[0] // HEAD_DIM
    return weight.reshape(heads, HEAD_DIM // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape[0], -1)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(str(OUT / "model.gguf"), "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    # The 95 printable characters and a control token; every character is a token.
    tokens = [chr(33 + i) for i in range(94)] + ["Ġ", "<|im_end|>"]
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 95 + [3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(95)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}")

    state: dict[str, torch.Tensor] = {}

    def matrix(gguf: str, hf: str, rows: int, format: str, rotated: bool = False) -> None:
        kind = Type[format]
        raw = random_blocks(rows, HIDDEN, kind)
        writer.add_tensor(gguf + ".weight", raw, raw_dtype=kind)
        weight = dequantize(raw, kind).reshape(rows, HIDDEN).astype(np.float32)
        state[hf + ".weight"] = torch.from_numpy(interleave(weight) if rotated else weight)

    def norm(gguf: str, hf: str) -> None:
        values = rng.uniform(0.5, 1.5, HIDDEN).astype(np.float32)
        writer.add_tensor(gguf + ".weight", values)
        state[hf + ".weight"] = torch.from_numpy(values)

    matrix("token_embd", "model.embed_tokens", VOCABULARY, "Q8_0")
    for i, format in enumerate(FORMATS):
        blk, hf = f"blk.{i}.", f"model.layers.{i}."
        norm(blk + "attn_norm", hf + "input_layernorm")
        norm(blk + "ffn_norm", hf + "post_attention_layernorm")
        matrix(blk + "attn_q", hf + "self_attn.q_proj", HIDDEN, format["q"], rotated=True)
        kv = KV_HEADS * HEAD_DIM
        matrix(blk + "attn_k", hf + "self_attn.k_proj", kv, format["k"], rotated=True)
        matrix(blk + "attn_v", hf + "self_attn.v_proj", kv, format["v"])
        matrix(blk + "attn_output", hf + "self_attn.o_proj", HIDDEN, format["o"])
        matrix(blk + "ffn_gate", hf + "mlp.gate_proj", HIDDEN, format["gate"])
        matrix(blk + "ffn_up", hf + "mlp.up_proj", HIDDEN, format["up"])
        matrix(blk + "ffn_down", hf + "mlp.down_proj", HIDDEN, format["down"])
    norm("output_norm", "model.norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=HIDDEN,
            intermediate_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=KV_HEADS,
            vocab_size=VOCABULARY,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
        )
    ).eval()
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS])).logits[0].double().tolist()
    rounded = [[float(f"{x:.7g}") for x in row] for row in logits]
    (OUT / "logits.json").write_text(json.dumps({"tokens": TOKENS, "logits": rounded}))


if __name__ == "__main__":
    main()
