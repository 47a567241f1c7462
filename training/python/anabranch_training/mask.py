"""The attention mask, for training, the simple decoder and all tests.

A token sees itself and earlier tokens of its sample, except those of sibling branches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def visible(samples: Tensor, lanes: Tensor, stages: Tensor) -> Tensor:
    """[b, n, n] bool, true where row may see column; each argument [b, n] in serialised order.

    `samples` numbers the samples packed in one row, `lanes` the branches, and `stages` the parallel
    stages of a sample (0 in the trunk).
    """
    n = samples.shape[1]
    row, column = lambda x: x[:, :, None], lambda x: x[:, None, :]
    same_sample = row(samples) == column(samples)
    siblings = (row(stages) == column(stages)) & (row(stages) != 0) & (row(lanes) != column(lanes))
    return same_sample.new_ones(n, n).tril() & same_sample & ~siblings


def block_mask(samples: Tensor, lanes: Tensor, stages: Tensor):
    """The same mask as a BlockMask of FlexAttention, which skips blocks that are fully masked."""
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(b, head, i, j):
        siblings = (
            (stages[b, i] == stages[b, j]) & (stages[b, i] != 0) & (lanes[b, i] != lanes[b, j])
        )
        return (i >= j) & (samples[b, i] == samples[b, j]) & ~siblings

    b, n = samples.shape
    return create_block_mask(sees, b, None, n, n, device=str(samples.device))


def flex_attention_problem(device: str) -> str | None:
    """Compares FlexAttention with SDPA on `device`, forward and backward. None if they agree."""
    try:
        from torch.nn.attention.flex_attention import flex_attention

        lanes = torch.tensor([[0] * 60 + [1] * 70 + [2] * 80 + [0] * 46], device=device)
        stages, samples = (lanes > 0).long(), torch.ones_like(lanes)
        generator = torch.Generator().manual_seed(0)
        q, k, v = (
            torch.randn(1, 2, 256, 64, generator=generator).to(device, torch.bfloat16)
            for _ in range(3)
        )
        q.requires_grad_()
        blocks, dense = block_mask(samples, lanes, stages), visible(samples, lanes, stages)
        flex = torch.compile(flex_attention)(q, k, v, block_mask=blocks)
        sdpa = F.scaled_dot_product_attention(q, k, v, attn_mask=dense[:, None])
        gradients = [torch.autograd.grad(out.float().square().sum(), q)[0] for out in (flex, sdpa)]
        for ours, reference in ((flex, sdpa), gradients):
            error = (ours - reference).float().square().sum() / reference.float().square().sum()
            if not error < 1e-3:
                return f"its NMSE against SDPA is {error.item():.1e}"
    except Exception as error:  # a missing compiler, an unsupported GPU, a fault in its compiler
        return str(error).strip().split("\n")[0] or type(error).__name__
    return None
