"""The demo's tokenizer: byte-level BPE, single digits, ChatML and the six markers.

It uses only pre-tokenizers that all loaders of `tokenizer.json` support (Split, ByteLevel), so that
the npm package @huggingface/tokenizers computes the same ids.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .dialect import END_OF_TEXT, MARKERS, TURN_CLOSE, TURN_OPEN

# Qwen2's pattern: words with their leading space, single digits, punctuation, line ends, spaces.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+| ?\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


SPECIAL = (END_OF_TEXT, TURN_OPEN, TURN_CLOSE, *MARKERS)


def train_tokenizer(texts: Iterable[str], vocabulary: int, special=SPECIAL) -> Tokenizer:
    """Special tokens have the first ids, so that these do not depend on the vocabulary's size."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=4,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def added_tokens(tokenizer: Tokenizer) -> dict:
    """The `added_tokens_decoder` of tokenizer_config.json: id -> token and how it matches."""
    fields = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        str(i): {field: getattr(token, field) for field in fields}
        for i, token in sorted(tokenizer.get_added_tokens_decoder().items())
    }


def save_tokenizer(tokenizer: Tokenizer, folder: Path, pretty: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 512,
        "added_tokens_decoder": added_tokens(tokenizer),
        "bos_token": None,
        "eos_token": TURN_CLOSE,
        "pad_token": END_OF_TEXT,
        "unk_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def chat_prompt(messages: list[dict]) -> str:
    """Renders messages as CHAT_TEMPLATE does, with the generation prompt."""
    turns = "".join(f"{TURN_OPEN}{m['role']}\n{m['content']}{TURN_CLOSE}\n" for m in messages)
    return f"{turns}{TURN_OPEN}assistant\n"
