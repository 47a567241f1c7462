"""Qwen3's decoder in PyTorch, with Hugging Face's names of its parameters.

Training needs logits only at the sampled tokens, and one mask for all layers, hence this module.
`transformers.Qwen3ForCausalLM` loads a folder that `save` wrote and computes the same logits.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    vocab_size: int = 2048
    hidden_size: int = 256
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    intermediate_size: int = 704
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 1024

    def fits_into(self, other: "Shape") -> bool:
        """Whether a model of this shape can be grown to the other shape."""
        layers, width = other.num_hidden_layers, other.intermediate_size
        same = replace(self, num_hidden_layers=layers, intermediate_size=width) == other
        return same and self.num_hidden_layers <= layers and self.intermediate_size <= width


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.s = s
        q = s.num_attention_heads * s.head_dim
        kv = s.num_key_value_heads * s.head_dim
        self.q_proj = nn.Linear(s.hidden_size, q, bias=False)
        self.k_proj = nn.Linear(s.hidden_size, kv, bias=False)
        self.v_proj = nn.Linear(s.hidden_size, kv, bias=False)
        self.o_proj = nn.Linear(q, s.hidden_size, bias=False)
        self.q_norm = RMSNorm(s.head_dim, s.rms_norm_eps)
        self.k_norm = RMSNorm(s.head_dim, s.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        s, (b, n, _) = self.s, x.shape
        q = self.q_norm(self.q_proj(x).view(b, n, -1, s.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(b, n, -1, s.head_dim)).transpose(1, 2)
        v = self.v_proj(x).view(b, n, -1, s.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        groups = s.num_attention_heads // s.num_key_value_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(out.transpose(1, 2).reshape(b, n, -1))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-split RoPE. x [b, heads, n, d]; cos and sin [b, 1, n, d/2]."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class MLP(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.gate_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.up_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.down_proj = nn.Linear(s.intermediate_size, s.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.input_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.self_attn = Attention(s)
        self.post_attention_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.mlp = MLP(s)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.shape = s
        self.embed_tokens = nn.Embedding(s.vocab_size, s.hidden_size)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.num_hidden_layers))
        self.norm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        frequency = s.rope_theta ** (-torch.arange(0, s.head_dim, 2).float() / s.head_dim)
        self.register_buffer("frequency", frequency, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() > 1:
                out = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, std=0.02 / (2 * s.num_hidden_layers) ** 0.5 if out else 0.02)

    def forward(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """ids, positions [b, n]; mask [b, n, n], true where row may see column. -> [b, n, d]"""
        angle = positions[:, None, :, None].float() * self.frequency
        cos, sin = angle.cos(), angle.sin()
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, cos, sin, mask[:, None])
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embed_tokens.weight)

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    @torch.no_grad()
    def grown(self, shape: Shape) -> "Model":
        """A model with more layers and wider MLPs that computes the same function.

        After a layer comes a copy of it whose output projections are zero, so that it adds nothing
        yet (block expansion, LLaMA Pro, arXiv:2401.02415). New rows of an MLP are random, and the
        columns that would add their output are zero.
        """
        have, width = self.shape.num_hidden_layers, self.shape.intermediate_size
        larger = Model(shape)
        for name in ("embed_tokens", "norm"):
            getattr(larger, name).load_state_dict(getattr(self, name).state_dict())
        last = -1
        for i, layer in enumerate(larger.layers):
            source = i * have // shape.num_hidden_layers
            old, new = self.layers[source], layer.mlp
            for name in ("input_layernorm", "self_attn", "post_attention_layernorm"):
                getattr(layer, name).load_state_dict(getattr(old, name).state_dict())
            new.gate_proj.weight[:width] = old.mlp.gate_proj.weight
            new.up_proj.weight[:width] = old.mlp.up_proj.weight
            new.down_proj.weight.zero_()
            if source == last:
                layer.self_attn.o_proj.weight.zero_()
            else:
                new.down_proj.weight[:, :width] = old.mlp.down_proj.weight
            last = source
        return larger

    def save(self, folder: Path, name: str, eos: list[int], pad: int) -> None:
        """Writes a Hugging Face folder with bf16 weights. Clients call the model `name`."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"model.{name}": p.detach().to("cpu", torch.bfloat16).contiguous()
            for name, p in self.named_parameters()
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        config = {
            "_name_or_path": name,
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            **asdict(self.shape),
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "rope_scaling": None,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "bos_token_id": None,
            "eos_token_id": eos[0],
            "pad_token_id": pad,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        generation = {"do_sample": False, "eos_token_id": eos, "pad_token_id": pad}
        (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Loads a folder that `save` wrote, in fp32."""
        config = json.loads((Path(folder) / "config.json").read_text())
        model = cls(Shape(**{k: config[k] for k in Shape.__dataclass_fields__}))
        tensors = load_file(Path(folder) / "model.safetensors")
        model.load_state_dict({k.removeprefix("model."): v.float() for k, v in tensors.items()})
        return model.eval()
