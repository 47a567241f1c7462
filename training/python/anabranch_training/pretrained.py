"""Loads Hugging Face checkpoints, adds the tokens of markers to them, and exports them."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jinja2 import TemplateError
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from .batches import Encoder
from .dialect import Dialect, tags_of
from .lora import TRAINED_ROWS, adapter_tensors
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

    folder: Path  # the checkpoint, or its GGUF file
    tokenizer: Tokenizer
    dialect: Dialect
    encoder: Encoder
    pad: int
    own_tokens: int  # markers with ids from here on are new to the checkpoint
    reuses_tokens: bool  # markers are tokens that the checkpoint has and nobody uses
    own_rows: int = 0  # of its embedding matrix

    @property
    def new_ids(self) -> list[int]:
        return [i for i in self.dialect.markers if i >= self.own_tokens]

    @property
    def untrained_ids(self) -> list[int]:
        """Markers whose rows say nothing yet."""
        return list(self.dialect.markers) if self.reuses_tokens else self.new_ids

    def save(self, folder: Path) -> None:
        """Writes the checkpoint's own tokenizer files, changed only by the markers."""
        if is_gguf(self.folder):
            AutoTokenizer.from_pretrained(**_hub_arguments(self.folder)).save_pretrained(folder)
            self.tokenizer.save(str(folder / "tokenizer.json"))
            return
        self.tokenizer.save(str(folder / "tokenizer.json"))
        for name in ("chat_template.jinja", "special_tokens_map.json"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, folder / name)
        config = json.loads((self.folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        if "added_tokens_decoder" in config:
            config["added_tokens_decoder"] = added_tokens(self.tokenizer)
        text = json.dumps(config, indent=2, ensure_ascii=False)
        (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def is_gguf(base: Path) -> bool:
    return base.suffix == ".gguf"


def _hub_arguments(base: Path) -> dict:
    """How transformers is told of a folder or a GGUF file."""
    if is_gguf(base):
        return {"pretrained_model_name_or_path": base.parent, "gguf_file": base.name}
    return {"pretrained_model_name_or_path": base}


def _tokenizer_of(base: Path) -> Tokenizer:
    if is_gguf(base):
        return AutoTokenizer.from_pretrained(**_hub_arguments(base)).backend_tokenizer
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if not (base / name).exists():
            raise SystemExit(f"{base} has no {name}: a checkpoint with a fast tokenizer is needed")
    return Tokenizer.from_file(str(base / "tokenizer.json"))


def _check_tokens(tokenizer: Tokenizer, tokens: Sequence[str], tags: Sequence[str]) -> None:
    """Tokens that become markers must be special ones: ordinary text never has them."""
    special = {t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special}
    wrong = [token for token in tokens if token not in special]
    if wrong:
        raise SystemExit(
            f"{', '.join(wrong)}: no special tokens of this tokenizer; it has "
            f"{', '.join(sorted(special))}"
        )
    if len(set(tokens)) != len(tags):
        raise SystemExit(
            f"--marker-tokens takes {len(tags)} different tokens, for {' '.join(tags)}"
        )


def load_vocabulary(
    base: Path,
    resume: str | None = None,
    dialect: str = "aspd",
    marker_tokens: Sequence[str] = (),
) -> Vocabulary:
    """Reads the tokenizer and dialect of a checkpoint: a folder or a GGUF file.

    If the checkpoint has no aspd.json, the markers of `dialect` are added, or `marker_tokens`,
    which the tokenizer has and nobody uses, become the markers. `resume` replaces the dialect's
    resume rule.
    """
    tokenizer = _tokenizer_of(base)
    own_tokens = tokenizer.get_vocab_size()
    has_own = (base / "aspd.json").exists()
    if marker_tokens and not has_own:
        _check_tokens(tokenizer, marker_tokens, tags_of(dialect))
    new = () if has_own or marker_tokens else tags_of(dialect)
    tokenizer.add_special_tokens([AddedToken(tag, special=True, normalized=False) for tag in new])
    for text in (": ", "a", " b", "\n\n- **c**", "é 🎨"):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if tokenizer.decode(ids, skip_special_tokens=False) != text:
            raise SystemExit(f"the tokenizer changes {text!r}: a byte-level tokenizer is needed")
    own_dialect = Dialect.load(base) if has_own else Dialect.of(tokenizer, dialect, marker_tokens)
    if resume:
        own_dialect = own_dialect.changed(resume=resume)

    template = AutoTokenizer.from_pretrained(**_hub_arguments(base))
    if not template.chat_template:
        raise SystemExit(f"{base} has no chat template: take the instruction-tuned checkpoint")

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
    reuses = bool(marker_tokens) and not has_own
    return Vocabulary(base, tokenizer, own_dialect, encoder, pad, own_tokens, reuses)


def _turn_end(tokenizer: Tokenizer, template: PreTrainedTokenizerBase) -> int:
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
        **_hub_arguments(folder), dtype=dtype, attn_implementation=attention
    )
    if is_gguf(folder):
        # The weights are dequantized: what is saved is an ordinary checkpoint.
        causal.hf_quantizer = None
        if hasattr(causal.config, "quantization_config"):
            del causal.config.quantization_config
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
    """Sets the rows of markers without one: the mean of all rows plus a tenth of their deviation.

    The deviation is noise, so that the markers differ.

    Matrices that are already larger than the tokenizer keep their size.
    """
    causal, new = model.causal, vocabulary.untrained_ids
    rows = vocabulary.own_rows = causal.get_input_embeddings().weight.shape[0]
    if not new:
        return
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


def stored_dtype(base: Path) -> torch.dtype:
    """The type of a checkpoint's weights; bf16 for a GGUF file, whose weights are in blocks."""
    dtype = None if is_gguf(base) else AutoConfig.from_pretrained(base).dtype
    return dtype or torch.bfloat16


def export_adapter(
    model: Pretrained,
    vocabulary: Vocabulary,
    folder: Path,
    dtype: torch.dtype,
    rank: int,
    alpha: float,
) -> None:
    """Writes a folder as PEFT's save_pretrained does, with the dialect.

    The markers' rows are part of it. If their tokens are new, so is the tokenizer; PEFT then needs
    rows for them in the base.
    """
    causal = model.causal
    rows = causal.get_input_embeddings().base.weight.shape[0]
    new = vocabulary.new_ids
    if new and rows > vocabulary.own_rows:
        raise SystemExit(
            "the base has no rows for new tokens: give --marker-tokens, or --out instead of "
            "--adapter-out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.to("cpu", dtype).contiguous()
        for name, tensor in adapter_tensors(causal).items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    targets = sorted({name.split(".")[-3] for name in tensors if ".lora_A." in name})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": vocabulary.folder.stem,
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": targets,
        "trainable_token_indices": {
            name.removesuffix(TRAINED_ROWS).rpartition(".")[2]: list(vocabulary.dialect.markers)
            for name in tensors
            if name.endswith(TRAINED_ROWS)
        },
        "bias": "none",
        "inference_mode": True,
    }
    text = json.dumps(config, indent=2)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    vocabulary.dialect.save(folder)
    if new:
        vocabulary.save(folder)
