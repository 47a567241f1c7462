"""The training loop of the demo's trainer and of fine-tuning."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batches import Batch
from .dialect import Dialect
from .lora import without_lora
from .optimizer import MuonAndAdamW
from .sample import RULES, allowed_markers

Optimizer = torch.optim.Optimizer | MuonAndAdamW

PROGRESS_SECONDS = 10


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Objective:
    """Loss summed over the sampled tokens, with markers masked as in the engine.

    It is the cross-entropy. With `hold`, tokens of samples that don't branch have the divergence
    KL(base || model) in its place, where the base is the model without its LoRA modules.
    A model has `forward(ids, positions, mask) -> hidden [b, n, d]` and `logits(hidden)`.
    """

    def __init__(
        self,
        dialect: Dialect,
        device: str,
        autocast: bool = False,
        flex: bool = False,
        hold: bool = False,
    ):
        self.device, self.autocast, self.flex, self.hold = device, autocast, flex, hold
        self.markers = torch.tensor(dialect.markers, device=device)
        self.bias = marker_bias(dialect).to(device)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        batch = batch.to(self.device)
        if not self.hold or not batch.held.any():
            return self._cross_entropy(model, batch)
        held, taught = batch.held, ~batch.held
        with torch.no_grad(), without_lora(model):
            base = self.log_probabilities(model, batch, held)
        own = self.log_probabilities(model, batch)
        cross_entropy = F.nll_loss(own[taught], batch.targets[taught], reduction="sum")
        # Markers that are not allowed are -inf on both sides.
        difference = torch.where(base.isfinite(), base - own[held], 0.0)
        return cross_entropy + (base.exp() * difference).sum()

    def _cross_entropy(self, model: nn.Module, batch: Batch) -> Tensor:
        return F.nll_loss(self.log_probabilities(model, batch), batch.targets, reduction="sum")

    def log_probabilities(self, model: nn.Module, batch: Batch, of: Tensor | None = None) -> Tensor:
        """[m, vocabulary] in fp32, of all sampled tokens or those that the bool tensor names."""
        sources, rules = batch.sources, batch.rules
        if of is not None:
            sources, rules = sources[of], rules[of]
        kind = torch.device(self.device).type
        # A cache would keep a bf16 copy of every weight, which recomputation hardly reuses.
        with torch.autocast(kind, torch.bfloat16, enabled=self.autocast, cache_enabled=False):
            hidden = model(batch.ids, batch.positions, batch.mask(self.flex))
            logits = model.logits(hidden.reshape(-1, hidden.shape[-1])[sources])
        logits = logits.float().index_add_(1, self.markers, self.bias[rules])
        return logits.log_softmax(-1)

    @torch.no_grad()
    def mean(self, model: nn.Module, batches: list[Batch]) -> float | None:
        """Mean cross-entropy over all sampled tokens of `batches`; None if there are none."""
        count = sum(len(batch.targets) for batch in batches)
        if not count:
            return None
        device = self.device
        return sum(self._cross_entropy(model, b.to(device)).item() for b in batches) / count


def marker_bias(dialect: Dialect) -> Tensor:
    """[rules, markers]: -inf for markers that the engine does not allow."""
    bias = torch.zeros(RULES, len(dialect.markers))
    for rule in range(RULES):
        allowed = allowed_markers(rule, dialect)
        for i, marker in enumerate(dialect.markers):
            if marker not in allowed:
                bias[rule, i] = float("-inf")
    return bias


def learning_rate(peak: float, step: int, done: float, warmup: int, plateau: float = 0.0) -> float:
    """Warm-up for `warmup` steps, the peak until `plateau` of the run, then a cosine to 3%."""
    if step < warmup:
        return peak * (step + 1) / warmup
    if done <= plateau:
        return peak
    x = min(1.0, (done - plateau) / (1 - plateau))
    return peak * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * x)))


@dataclass
class State:
    """Progress of a run."""

    step: int = 0
    tasks: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Checkpoint:
    """The file of a run: trained parameters, optimizer, progress, and the settings of the run."""

    def __init__(self, path: Path, settings: dict):
        self.path, self.settings = path, settings

    def save(self, model: nn.Module, optimizer: Optimizer, state: State) -> None:
        trained = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
        content = {"trained": trained, "optimizer": optimizer.state_dict()}
        unfinished = self.path.with_suffix(".tmp")
        torch.save({**content, "state": asdict(state), "settings": self.settings}, unfinished)
        unfinished.replace(self.path)

    def load(self, model: nn.Module, optimizer: Optimizer) -> State:
        """A new state if there is no file yet."""
        if not self.path.exists():
            return State()
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, value in self.settings.items():
            was = content["settings"].get(name)
            if was != value:
                raise SystemExit(
                    f"{self.path.parent} was started with {name} {was}, not {value}: "
                    "give the same settings to continue, or another --run to start again"
                )
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, value in content["trained"].items():
                parameters[name].copy_(value)
        optimizer.load_state_dict(content["optimizer"])
        state = State(**content["state"])
        log(f"resumed at step {state.step}, {state.seconds / 60:.1f} minutes in")
        return state


def fit(
    model: nn.Module,
    optimizer: Optimizer,
    objective: Objective,
    batches: Iterator[Batch],
    state: State,
    *,
    done: Callable[[State], float],
    rate: Callable[[int, float], float],
    checkpoint: Callable[[], None],
    checkpoint_minutes: float,
    accumulate: int = 1,
) -> None:
    """Trains until `done` returns 1 or the batches end. A step is `accumulate` batches."""
    clock = last_save = window_clock = time.monotonic()
    loss_sum, loss_count, window_tokens = 0.0, 0, 0
    while (progress := done(state)) < 1 and (step := list(islice(batches, accumulate))):
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate(state.step, progress)
        count = sum(len(batch.targets) for batch in step)
        for batch in step:
            loss = objective(model, batch)
            (loss / count).backward()
            loss_sum += loss.item()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens = sum(batch.tokens for batch in step)
        now = time.monotonic()
        state.seconds, clock = state.seconds + now - clock, now
        state.step += 1
        state.tokens += tokens
        state.tasks += sum(batch.tasks for batch in step)
        loss_count += count
        window_tokens += tokens
        if now - window_clock >= PROGRESS_SECONDS:
            share = done(state)
            left = state.seconds * (1 - share) / share / 60 if share else math.inf
            log(
                f"step {state.step} loss {loss_sum / loss_count:.4f} "
                f"lr {optimizer.param_groups[0]['lr']:.2e} "
                f"{window_tokens / (now - window_clock):.0f} tokens/s "
                f"{state.tokens / 1e6:.2f}M tokens {100 * share:.0f}% {left:.1f} min left"
            )
            loss_sum, loss_count, window_tokens, window_clock = 0.0, 0, 0, now
        if now - last_save >= checkpoint_minutes * 60:
            checkpoint()
            last_save = time.monotonic()
