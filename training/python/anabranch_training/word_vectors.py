"""Makes vectors of common words out of a language model's token embeddings.

    python -m anabranch_training.word_vectors --base FOLDER_OR_GGUF --words FILE --out FILE

The prompt classifier is fitted on them: so it has an opinion of a word that no labelled prompt has.
Words are the first lower-case ones of the tokenizer's vocabulary, which a byte-level BPE learned in
about the order of how common they are. A word's vector is its token's embedding, centred and of
length 1, on the first principal components, each scaled to the same variance.
"""

import argparse
import base64
import json
import re
from pathlib import Path

import torch
from torch import Tensor

from .pretrained import load_model, load_vocabulary

WORD = re.compile(r"Ġ([a-z][a-z']*)")


def common_words(vocabulary: dict[str, int], count: int) -> dict[str, int]:
    """Words with their token's id, in the order of ids."""
    words: dict[str, int] = {}
    for token, index in sorted(vocabulary.items(), key=lambda entry: entry[1]):
        found = WORD.fullmatch(token)
        if found and len(words) < count:
            words[found.group(1)] = index
    return words


def components(rows: Tensor, dims: int) -> Tensor:
    """rows [n, d], fp32 -> [n, dims]: each column has mean square 1 / dims."""
    rows = rows - rows.mean(0)
    rows = rows / rows.norm(dim=1, keepdim=True)
    left, _, _ = torch.linalg.svd(rows, full_matrices=False)
    return left[:, :dims] * (len(rows) / dims) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", type=Path, required=True, help="the checkpoint: a folder or GGUF")
    parser.add_argument("--words", type=Path, required=True, help="gets the words, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="gets their vectors, as JSON")
    parser.add_argument("--count", type=int, default=12_000, help="of words (default 12000)")
    parser.add_argument("--dims", type=int, default=40, help="of a vector (default 40)")
    args = parser.parse_args()
    words = common_words(load_vocabulary(args.base).tokenizer.get_vocab(), args.count)
    embeddings = load_model(args.base, torch.float32, "cpu").causal.get_input_embeddings().weight
    vectors = components(embeddings[list(words.values())].detach(), args.dims)
    scale = float(vectors.abs().max()) / 127
    values = (vectors / scale).round().to(torch.int8).numpy().tobytes()
    args.words.write_text(json.dumps({"words": " ".join(words)}, indent=2) + "\n")
    coded = base64.b64encode(values).decode()
    file = {"dims": args.dims, "scale": float(f"{scale:.6g}"), "bytes": coded}
    args.out.write_text(json.dumps(file, indent=2) + "\n")
    print(f"{len(words)} words, {args.dims} values each")


if __name__ == "__main__":
    main()
