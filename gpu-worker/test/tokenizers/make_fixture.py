"""Writes fixture.json beside it: small tokenizers with features that few models use, and the ids
that Hugging Face's tokenizers gives their texts. Needs tokenizers 0.22 or later.

    python gpu-worker/test/tokenizers/make_fixture.py
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = [
    "Hello world, hello again.",
    "  two  spaces, and  three   here ",
    "▁under a ▁bar",
    "",
    " ",
    "unseen: żółw 東京 😀 end",
    "ab abab aba b a ab",
    "one\nline\n two\tthree",
    "word " * 6,
]
CORPUS = TEXTS * 3 + [
    "Hello world again and again, hello all the world.",
    "two spaces and three spaces here, one line and two lines",
    "ab abab aba",
]


def bpe(pre_tokenizer) -> Tokenizer:
    """Its merges go over spaces, which shows where a text was cut."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    trainer = trainers.BpeTrainer(vocab_size=220, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def unigram(byte_fallback: bool, pre_tokenizer=None, ties: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    vocab = [tuple(each) for each in json.loads(tokenizer.to_str())["model"]["vocab"]]
    if ties:
        # All pieces of a length are worth the same, so that many cuts are.
        vocab = [(piece, 0.0 if piece == "<unk>" else -float(len(piece))) for piece, _ in vocab]
    if byte_fallback:
        vocab += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    again = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=byte_fallback))
    again.pre_tokenizer = pre_tokenizer or pre_tokenizers.Metaspace(split=True)
    again.decoder = decoders.Metaspace()
    return again


def with_tokens() -> Tokenizer:
    tokenizer = bpe(pre_tokenizers.Metaspace(prepend_scheme="first", split=False))
    tokenizer.add_tokens(
        [
            AddedToken("ab", single_word=True, normalized=False),
            AddedToken("again", single_word=True, normalized=True),
            AddedToken("<t>", single_word=True, normalized=False),
            AddedToken("<t>x", normalized=False),
        ]
    )
    return tokenizer


SINGLE = [
    "ab abab ab, (ab) ab_ xab äb ab東 ab",
    "again, again! againagain un-again again2",
    "a<t>b <t> <t><t> <t>x <t>y x<t>",
    "ab",
    "abab",
    "ab\nab\u200dab ab\u0301",
]

CASES = {
    "BPE, Metaspace that splits": (bpe(pre_tokenizers.Metaspace()), TEXTS),
    "BPE, Metaspace that doesn't split": (bpe(pre_tokenizers.Metaspace(split=False)), TEXTS),
    "BPE, Metaspace that never prepends": (
        bpe(pre_tokenizers.Metaspace(prepend_scheme="never")),
        TEXTS,
    ),
    "BPE, Metaspace in a sequence": (
        bpe(pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.Metaspace()])),
        TEXTS + ["a1 b22 c"],
    ),
    "added tokens that are single words": (with_tokens(), TEXTS + SINGLE),
    "Unigram": (unigram(False), TEXTS),
    "Unigram over spaces": (unigram(False, pre_tokenizers.Metaspace(split=False)), TEXTS),
    "Unigram with bytes": (unigram(True), TEXTS),
    "Unigram with ties": (unigram(False, ties=True), TEXTS + ["abababab", "aaaabbbb"]),
}

out = {
    name: {
        "tokenizer": json.loads(tokenizer.to_str()),
        "cases": [
            {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids}
            for text in texts
        ],
    }
    for name, (tokenizer, texts) in CASES.items()
}
Path(__file__).with_name("fixture.json").write_text(json.dumps(out, ensure_ascii=False) + "\n")
