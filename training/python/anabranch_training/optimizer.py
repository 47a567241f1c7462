"""Optimizers: AdamW, and Muon for the matrices of a model trained from scratch."""

import torch
from torch import Tensor, nn


def adamw(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over the trained parameters, without weight decay of norms and biases."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return _adamw(
        [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() <= 1], lr, weight_decay
    )


def _adamw(matrices, vectors, lr: float, weight_decay: float) -> torch.optim.AdamW:
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), fused=True)


class Muon(torch.optim.Optimizer):
    """Orthogonalized momentum (Jordan et al. 2024), scaled to AdamW's step size (Liu et al. 2025,
    arXiv:2502.16982). Unlike torch.optim.Muon, its products are of type `dtype`, because a CPU
    without bf16 units takes forty times as long in bf16. Matrices of equal shape are batched.
    """

    def __init__(
        self,
        matrices: list[Tensor],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                by_shape.setdefault(p.shape, []).append(p)
            for (rows, columns), matrices in by_shape.items():
                momenta = torch.stack([self._nesterov(p, group) for p in matrices])
                updates = orthogonal(momenta.to(self.dtype)).to(momenta.dtype)
                size = 0.2 * max(rows, columns) ** 0.5
                for p, update in zip(matrices, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-group["lr"] * size)

    def _nesterov(self, p: Tensor, group: dict) -> Tensor:
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        average = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
        return p.grad.lerp(average, group["momentum"])


def orthogonal(x: Tensor, steps: int = 5) -> Tensor:
    """[n, rows, columns] -> about the nearest (semi-)orthogonal matrices, by Newton-Schulz."""
    if x.shape[-2] > x.shape[-1]:
        return orthogonal(x.mT, steps).mT
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


class MuonAndAdamW:
    """One optimizer: Muon for matrices of the layers, AdamW for embeddings and vectors."""

    def __init__(
        self, model: nn.Module, lr: float, weight_decay: float, dtype: torch.dtype = torch.float32
    ):
        named = list(model.named_parameters())
        inner = [p for name, p in named if p.dim() > 1 and "embed" not in name]
        outer = [p for name, p in named if p.dim() > 1 and "embed" in name]
        vectors = [p for _, p in named if p.dim() <= 1]
        muon = Muon(inner, lr, weight_decay, dtype=dtype)
        self.each = [muon, _adamw(outer, vectors, lr, weight_decay)]
        self.param_groups = [group for one in self.each for group in one.param_groups]

    def step(self) -> None:
        for one in self.each:
            one.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for one in self.each:
            one.zero_grad(set_to_none)

    def state_dict(self) -> dict:
        return {"each": [one.state_dict() for one in self.each]}

    def load_state_dict(self, state: dict) -> None:
        for one, its in zip(self.each, state["each"], strict=True):
            one.load_state_dict(its)
        self.param_groups = [group for one in self.each for group in one.param_groups]
