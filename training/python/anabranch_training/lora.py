"""LoRA: low-rank updates of frozen matrices, and trained embedding rows of the markers.

W' = W + (alpha / rank) B A, where A [rank, in] starts at random and B [out, rank] at zero. The
markers are new to the model, so their rows are trained in full. All other rows stay frozen.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

# PEFT's name of trained rows of an embedding or a head, after the module's.
TRAINED_ROWS = ".token_adapter.trainable_tokens_delta"

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LoraLinear(nn.Module):
    def __init__(self, base: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base, self.scale, self.enabled = base, alpha / rank, True
        device = base.weight.device
        self.a = nn.Parameter(torch.empty(rank, base.in_features, device=device))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=device))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        if not self.enabled:
            return self.base(x)
        return self.base(x) + F.linear(F.linear(x, self.a), self.b) * self.scale

    def merged(self) -> nn.Linear:
        self.base.weight += (self.b @ self.a * self.scale).to(self.base.weight.dtype)
        return self.base


class MarkerEmbedding(nn.Module):
    """An embedding whose rows `ids` [6] are trained as `rows` [6, d]."""

    def __init__(self, base: nn.Embedding, ids: Tensor, rows: nn.Parameter):
        super().__init__()
        self.base, self.rows, self.enabled = base, rows, True
        self.register_buffer("ids", ids, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """[b, n] -> [b, n, d]"""
        if not self.enabled:
            return self.base(tokens)
        is_marker = tokens[..., None] == self.ids
        out = self.base(tokens)
        own = F.embedding(is_marker.int().argmax(-1), self.rows).to(out.dtype)
        return torch.where(is_marker.any(-1, keepdim=True), own, out)

    def merged(self) -> nn.Embedding:
        self.base.weight[self.ids] = self.rows.to(self.base.weight.dtype)
        return self.base


class MarkerHead(nn.Module):
    """An output matrix whose rows `ids` [6] are trained as `rows` [6, d]."""

    def __init__(self, base: nn.Linear, ids: Tensor, rows: nn.Parameter):
        super().__init__()
        self.base, self.rows, self.enabled = base, rows, True
        self.register_buffer("ids", ids, persistent=False)

    @property
    def weight(self) -> Tensor:
        return self.base.weight

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., d] -> [..., vocabulary]"""
        logits = self.base(hidden)
        if not self.enabled:
            return logits
        return logits.index_copy(-1, self.ids, F.linear(hidden, self.rows).to(logits.dtype))

    merged = MarkerEmbedding.merged


def _each(model: nn.Module, kind):
    """(parent, name, module) of each submodule of a kind, listed so that they can be replaced."""
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, kind)
    ]


def add_lora(causal, markers: tuple[int, ...], rank: int, alpha: float, targets) -> None:
    """Freezes a Hugging Face causal LM and adds the trained parameters, in fp32."""
    causal.requires_grad_(False)
    targeted = [found for found in _each(causal, nn.Linear) if found[1] in targets]
    missing = set(targets) - {name for _, name, _ in targeted}
    if missing:
        known = sorted({name for _, name, _ in _each(causal, nn.Linear)})
        raise SystemExit(f"no layer is named {', '.join(sorted(missing))}; the layers are {known}")
    for parent, name, linear in targeted:
        setattr(parent, name, LoraLinear(linear, rank, alpha))
    embedding, head = causal.get_input_embeddings(), causal.get_output_embeddings()
    ids = torch.tensor(markers, device=embedding.weight.device)
    rows = nn.Parameter(embedding.weight[ids].float())
    tied = head.weight is embedding.weight
    head_rows = rows if tied else nn.Parameter(head.weight[ids].float())
    causal.set_input_embeddings(MarkerEmbedding(embedding, ids, rows))
    causal.set_output_embeddings(MarkerHead(head, ids, head_rows))


@contextmanager
def without_lora(model: nn.Module) -> Iterator[None]:
    """Within it, the model computes what its base does."""
    added = [m for m in model.modules() if isinstance(m, LoraLinear | MarkerEmbedding | MarkerHead)]
    try:
        for module in added:
            module.enabled = False
        yield
    finally:
        for module in added:
            module.enabled = True


def adapter_tensors(causal) -> dict[str, Tensor]:
    """The trained parameters under PEFT's names."""
    out: dict[str, Tensor] = {}
    for name, module in causal.named_modules():
        at = f"base_model.model.{name}"
        if isinstance(module, LoraLinear):
            out[f"{at}.lora_A.weight"], out[f"{at}.lora_B.weight"] = module.a, module.b
        elif isinstance(module, MarkerEmbedding):
            out[f"{at}{TRAINED_ROWS}"] = module.rows
        elif isinstance(module, MarkerHead):
            # A head that is the embedding has no rows of its own.
            if module.rows is not causal.get_input_embeddings().rows:
                out[f"{at}{TRAINED_ROWS}"] = module.rows
    return {name: tensor.detach() for name, tensor in out.items()}


@torch.no_grad()
def load_adapter(causal, folder: Path, markers: tuple[int, ...], alpha: float) -> None:
    """Sets the trained parameters to those of an adapter that `export_adapter` wrote."""
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if config["lora_alpha"] != alpha:
        raise SystemExit(f"{folder} has alpha {config['lora_alpha']:g}: give it with --alpha")
    if any(ids != list(markers) for ids in config["trainable_token_indices"].values()):
        raise SystemExit(f"{folder} has other markers: give them with --marker-tokens")
    tensors, own = load_file(folder / "adapter_model.safetensors"), adapter_tensors(causal)
    for name in sorted(own.keys() | tensors.keys()):
        shapes = [list(each[name].shape) if name in each else "none" for each in (tensors, own)]
        if shapes[0] != shapes[1]:
            raise SystemExit(
                f"{folder}: {name} is {shapes[0]}, with --rank and --targets it is {shapes[1]}"
            )
        own[name].copy_(tensors[name])


@torch.no_grad()
def merge_lora(causal) -> None:
    """Merges the trained parameters into the model's matrices and removes the modules above."""
    for parent, name, added in _each(causal, (LoraLinear, MarkerEmbedding, MarkerHead)):
        setattr(parent, name, added.merged())
