"""Checks the batches and the model against what is written out by hand, and against transformers.

python -m anabranch_training.selfcheck [--model DIR] [--pieces FILE]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from .batches import collate, marker_bias
from .dialect import Dialect
from .model import Model, Shape
from .pieces import make_fixture
from .sample import (
    AFTER_JOIN,
    AFTER_TITLE,
    ANYTHING,
    BRANCH,
    IN_TITLE,
    NO_MARKERS,
    TRUNK,
    encode_parts,
    visible,
)

# Ids: markers 10 to 15, separator 20 21, end 9; a text's ids are its letters' codes.
DIALECT = Dialect(10, 11, 12, 13, 14, 15, separator=(20, 21))
PARTS = [
    {"serial": "s"},
    {"parallel": [{"title": "A", "body": "ab"}, {"title": "B", "body": "c"}]},
    {"serial": "t"},
]


def letters(text: str) -> list[int]:
    return [ord(c) for c in text]


def hand_written_sample() -> None:
    s = encode_parts([1, 2], PARTS, letters, DIALECT, end=9)
    A, B, a, b, c, S, T = (ord(x) for x in "ABabcst")
    assert s.ids == [1, 2, S, 10, A, 11, 10, B, 11, 12, 13, A, 20, 21, a, b, 14, 13, B, 20, 21, c, 14, 15, T, 9]
    # Both branches start at 10; lengths 7 and 6; the trunk resumes at 10 + 13.
    assert s.positions == [*range(10), *range(10, 17), *range(10, 16), 23, 24, 25]
    assert s.lanes == [0] * 10 + [1] * 7 + [2] * 6 + [0] * 3
    assert s.stages == [0] * 10 + [1] * 13 + [0] * 3
    x = ANYTHING
    assert s.rules == [
        *[x, x, TRUNK, TRUNK, IN_TITLE, IN_TITLE, AFTER_TITLE, IN_TITLE, IN_TITLE, AFTER_TITLE],
        *[x, x, x, x, BRANCH, BRANCH, BRANCH],
        *[x, x, x, x, BRANCH, BRANCH],
        *[x, AFTER_JOIN, TRUNK],
    ]
    assert s.sampled == [r != ANYTHING for r in s.rules]
    maximum = Dialect(10, 11, 12, 13, 14, 15, separator=(20, 21), resume="max")
    assert encode_parts([1, 2], PARTS, letters, maximum, end=9).positions[-3:] == [17, 18, 19]
    twin = encode_parts([1, 2], PARTS, letters, DIALECT, end=9, serial=True)
    assert twin.ids == [1, 2, S, a, b, c, T, 9]
    assert twin.rules == [x, x, *[NO_MARKERS] * 6]


def branches_see_trunk_and_themselves() -> None:
    s = encode_parts([1, 2], PARTS, letters, DIALECT, end=9)
    mask = visible(np.array(s.lanes), np.array(s.stages))
    for i in range(len(s)):
        for j in range(len(s)):
            in_first, in_second = 10 <= j <= 16, 17 <= j <= 22
            sees = j <= i and not (17 <= i <= 22 and in_first) and not (10 <= i <= 16 and in_second)
            assert mask[i, j] == sees, (i, j)
    batch = collate([s, encode_parts([1], PARTS[:1], letters, DIALECT, end=9)], pad=0)
    assert torch.equal(batch.mask[0], torch.from_numpy(mask))
    assert batch.targets.tolist()[:3] == [ord("s"), 10, ord("A")]
    assert batch.ids.reshape(-1)[batch.sources].tolist()[:3] == [2, ord("s"), 10]
    assert batch.targets.tolist()[-2:] == [ord("s"), 9]


def only_legal_markers_take_part() -> None:
    bias = marker_bias(DIALECT, 32)
    legal = [[i for i in DIALECT.markers if bias[rule, i] == 0] for rule in range(7)]
    assert legal == [[10, 11, 12, 13, 14, 15], [10], [], [11], [10, 12], [14], []]
    assert bias[:, 16:].eq(0).all() and bias[:, :10].eq(0).all()


def same_as_transformers(folder: Path | None) -> float:
    """Largest NMSE of our logits against Qwen3ForCausalLM's over a branching sequence, fp32."""
    from transformers import Qwen3ForCausalLM

    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary)
            torch.manual_seed(0)
            shape = Shape(vocab_size=256, hidden_size=128, num_hidden_layers=2, intermediate_size=96)
            Model(shape).save(folder, eos=[1], pad=0)
        ours = Model.load(folder)
        theirs = Qwen3ForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
    s = encode_parts([1, 2], PARTS, letters, DIALECT, end=9)
    batch = collate([s], pad=0)
    additive = torch.zeros(batch.mask.shape).masked_fill(~batch.mask, torch.finfo(torch.float32).min)
    with torch.no_grad():
        mine = ours.logits(ours(batch.ids, batch.positions, batch.mask))
        reference = theirs(
            input_ids=batch.ids, position_ids=batch.positions, attention_mask=additive[:, None]
        ).logits
    error = ((mine - reference).square().sum() / reference.square().sum()).item()
    assert error < 1e-9, error
    return error


def fixture_agrees(model: Path, pieces: Path) -> int:
    """The committed fixture of piecewise ids still says what this code does."""
    fixture = json.loads(pieces.read_text())
    assert fixture == make_fixture(model, fixture["samples"])
    return len(fixture["samples"])


def main() -> None:
    p = argparse.ArgumentParser(prog="anabranch_training.selfcheck", description=__doc__)
    p.add_argument("--model", type=Path, help="also check this model against transformers")
    p.add_argument("--pieces", type=Path, help="also check the committed fixture of pieces")
    p.add_argument("--json", action="store_true")
    args = p.parse_args()
    hand_written_sample()
    branches_see_trunk_and_themselves()
    only_legal_markers_take_part()
    report: dict = {"nmse_random": same_as_transformers(None)}
    if args.model:
        report["nmse_model"] = same_as_transformers(args.model)
        if args.pieces:
            report["pieces"] = fixture_agrees(args.model, args.pieces)
    print("selfcheck passed", file=sys.stderr)
    if args.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
