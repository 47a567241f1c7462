"""Loads Hugging Face checkpoints, adds the tokens of markers to them, and exports them."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from jinja2 import TemplateError
from tokenizers import AddedToken, Tokenizer
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from .batches import Encoder
from .dialect import Dialect, tags_of
from .tokenizer import added_tokens

KINDS = ("llama", "mistral", "qwen2", "qwen3")


class Pretrained(nn.Module):
    """A Hugging Face causal LM with the methods that the training loop calls."""

    def __init__(self, causal):
        super().__init__()
        self.causal = causal

    def forward(self, ids: Tensor, positions: Tensor, mask) -> Tensor:
        """ids, positions [b, n]; mask [b, n, n] bool or a BlockMask. -> [b, n, d]"""
        return self.causal.base_model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask[:, None] if isinstance(mask, Tensor) else mask,
            use_cache=False,
        ).last_hidden_state

    def logits(self, hidden: Tensor) -> Tensor:
        return self.causal.get_output_embeddings()(hidden)


@dataclass
class Vocabulary:
    """A checkpoint's tokenizer with the markers added, and what depends on it."""

    folder: Path  # the checkpoint
    tokenizer: Tokenizer
    dialect: Dialect
    encoder: Encoder
    pad: int
    own_tokens: int  # markers with ids from here on are new to the checkpoint

    @property
    def new_ids(self) -> list[int]:
        return [i for i in self.dialect.markers if i >= self.own_tokens]

    def save(self, folder: Path) -> None:
        """Writes the checkpoint's own tokenizer files, changed only by the markers."""
        self.tokenizer.save(str(folder / "tokenizer.json"))
        for name in ("chat_template.jinja", "special_tokens_map.json"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, folder / name)
        config = json.loads((self.folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        if "added_tokens_decoder" in config:
            config["added_tokens_decoder"] = added_tokens(self.tokenizer)
        text = json.dumps(config, indent=2, ensure_ascii=False)
        (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def load_vocabulary(folder: Path, resume: str | None = None, dialect: str = "aspd") -> Vocabulary:
    """Reads a checkpoint's tokenizer and dialect.

    If the checkpoint has no aspd.json, the markers of `dialect` are added. `resume` replaces the
    dialect's resume rule.
    """
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if not (folder / name).exists():
            raise SystemExit(
                f"{folder} has no {name}: a checkpoint with a fast tokenizer is needed"
            )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own_tokens = tokenizer.get_vocab_size()
    has_own = (folder / "aspd.json").exists()
    tags = () if has_own else tags_of(dialect)
    tokenizer.add_special_tokens([AddedToken(tag, special=True, normalized=False) for tag in tags])
    for text in (": ", "a", " b", "\n\n- **c**", "é 🎨"):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if tokenizer.decode(ids, skip_special_tokens=False) != text:
            raise SystemExit(f"the tokenizer changes {text!r}: a byte-level tokenizer is needed")
    own_dialect = Dialect.load(folder) if has_own else Dialect.of(tokenizer, dialect)
    if resume:
        own_dialect = own_dialect.changed(resume=resume)

    template = PreTrainedTokenizerFast.from_pretrained(folder)
    if not template.chat_template:
        raise SystemExit(f"{folder} has no chat template: take the instruction-tuned checkpoint")

    def render(messages: list[dict]) -> str:
        try:
            return template.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise ValueError(f"the chat template rejects it: {error}") from error

    end = _turn_end(tokenizer, template)
    pad = end if template.pad_token is None else tokenizer.token_to_id(template.pad_token)
    encoder = Encoder(tokenizer, own_dialect, end, render)
    return Vocabulary(folder, tokenizer, own_dialect, encoder, pad, own_tokens)


def _turn_end(tokenizer: Tokenizer, template: PreTrainedTokenizerFast) -> int:
    """The token that the chat template puts after an answer, or else the tokenizer's end token."""
    messages = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "ANSWER"}]
    text = template.apply_chat_template(messages, tokenize=False).rpartition("ANSWER")[2]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    if ids and ids[0] in tokenizer.get_added_tokens_decoder():
        return ids[0]
    if template.eos_token is None:
        raise SystemExit("neither the chat template nor the tokenizer says how an answer ends")
    return tokenizer.token_to_id(template.eos_token)


def load_model(
    folder: Path, dtype: torch.dtype, device: str, attention: str = "sdpa"
) -> Pretrained:
    causal = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention
    )
    if causal.config.model_type not in KINDS:
        raise SystemExit(
            f"{causal.config.model_type} models can't be served: {', '.join(KINDS)} can"
        )
    if getattr(causal.config, "use_sliding_window", False):
        raise SystemExit(
            "sliding-window attention is not supported: set use_sliding_window to false"
        )
    # Mistral has no such switch: its window is absent only if the field is null.
    if getattr(causal.config, "sliding_window", None) is not None:
        raise SystemExit("sliding-window attention is not supported: sliding_window must be null")
    return Pretrained(causal.to(device).eval())


@torch.no_grad()
def add_marker_rows(model: Pretrained, vocabulary: Vocabulary, seed: int) -> None:
    """Adds rows for the new markers: the mean of all rows plus noise of a tenth of their deviation.

    Matrices that are already larger than the tokenizer keep their size.
    """
    causal, new = model.causal, vocabulary.new_ids
    if not new:
        return
    rows = causal.get_input_embeddings().weight.shape[0]
    if max(new) >= rows:
        causal.resize_token_embeddings(max(new) + 1, mean_resizing=False)
    generator = torch.Generator().manual_seed(seed)
    done = set()
    for matrix in (causal.get_input_embeddings().weight, causal.get_output_embeddings().weight):
        if matrix.data_ptr() in done:  # tied
            continue
        done.add(matrix.data_ptr())
        own = matrix[: min(rows, vocabulary.own_tokens)].float()
        noise = torch.randn(len(new), matrix.shape[1], generator=generator).to(matrix.device)
        matrix[new] = (own.mean(0) + 0.1 * own.std(0) * noise).to(matrix.dtype)


def export(model: Pretrained, vocabulary: Vocabulary, folder: Path, dtype: torch.dtype) -> None:
    """Writes a Hugging Face folder that the engine can load."""
    causal = model.causal.to(dtype)
    ends = causal.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    causal.generation_config.eos_token_id = list(dict.fromkeys([*ends, vocabulary.encoder.end]))
    causal.save_pretrained(folder)
    vocabulary.save(folder)
    vocabulary.dialect.save(folder)
