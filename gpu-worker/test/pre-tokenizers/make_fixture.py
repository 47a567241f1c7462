"""Writes fixture.json beside it: ids by Hugging Face's tokenizers with GGUF files' pre-tokenizers.

The vocabulary is one for all: bytes, and merges learned without any pre-tokenizer, so that they go
across words and show where a text was split. Needs tokenizers 0.23.

    python gpu-worker/test/pre-tokenizers/make_fixture.py
"""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

TEXTS = [
    "Hello world, it's 2026 and I'M HERE, THEY'LL come; we'd see'em.",
    "12345678 1,234.50 in year 1999 for 3rd 42nd x86_64 0x1F",
    "  two  spaces\n\n\tand a tab \r\n  end   ",
    "camelCaseWords HTTPServer getURLFor McDonald iPhone ABCdef",
    "naïve café Straße ÉCOLE élève Ωmega ПриветМир",
    "नमस्ते दुनिया 你好，世界！ こんにちは 안녕하세요 ١٢٣٤٥",
    "a/b//c/\n/d path/to/file.txt https://example.com/x?y=1&z=2",
    "e\u0301 combining, ﬁ ligature, Ⅷ roman, ½ half, ² squared",
    "emoji 😀😀 ok!!! ???\n!!!\r\n  'quoted' \"double\" don''t 'S 'Re",
    "def f(x):\n    return x**2  # comment\n\n\n",
    "\u00a0nbsp\u2003em space\u200bzero width",
    "unseen word lowest newest",
]
TRAINED = TEXTS + [
    "the year 1999 and 2026 and 1234 and 12345",
    "it's they'll I'm we'd HTTPServer getURLFor " * 3,
    "lower lowest newer newest wider unseen",
]

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (
    CONTRACTIONS
    + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+SUFFIX"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*SUFFIX"
    r"|NUMBER| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = CASED.replace("SUFFIX", "").replace("NUMBER", r"\p{N}")
GPT4O = CASED.replace("SUFFIX", CONTRACTIONS + "?").replace("NUMBER", r"\p{N}{1,3}")


def by_regex(regex: str):
    split = pre_tokenizers.Split(Regex(regex), behavior="isolated")
    return pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
STARCODER = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2])
# As the families' own tokenizer.json have them, and ignore_merges.
PRE_TOKENIZERS = {
    "default": (GPT2, False),
    "gpt-2": (GPT2, False),
    "olmo": (GPT2, False),
    "smollm": (STARCODER, False),
    "starcoder": (STARCODER, False),
    "refact": (STARCODER, False),
    "qwen2": (by_regex(QWEN2), False),
    "llama-bpe": (by_regex(LLAMA3), True),
    "smaug-bpe": (by_regex(LLAMA3), False),
    "dbrx": (by_regex(LLAMA3), False),
    "tekken": (by_regex(TEKKEN), True),
    "gpt-4o": (by_regex(GPT4O), False),
}


def trained():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINED, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(merge) for merge in model["merges"]]
    # A word that no merges make: only ignore_merges takes it whole.
    vocab["Ġunseen"] = vocab.get("Ġunseen", len(vocab))
    merges = [merge for merge in merges if "".join(merge) not in ("Ġunseen", "unseen")]
    return vocab, merges


def main():
    vocab, merges = trained()
    ids = {}
    for name, (pre_tokenizer, ignore_merges) in PRE_TOKENIZERS.items():
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoders.ByteLevel()
        if name == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        ids[name] = [tokenizer.encode(text).ids for text in TEXTS]
    assert len({json.dumps(each) for each in ids.values()}) == 7, (
        "pre-tokenizers that are not alike"
    )
    tokens = sorted(vocab, key=vocab.get)
    out = {
        "tokens": tokens,
        "merges": [" ".join(merge) for merge in merges],
        "texts": TEXTS,
        "ids": ids,
    }
    path = Path(__file__).with_name("fixture.json")
    path.write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
