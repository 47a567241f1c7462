"""Samples, masks, loss and allowed markers, compared with values written by hand."""

import json
import unittest

import torch
from anabranch_training.batches import collate
from anabranch_training.dialect import Dialect
from anabranch_training.loop import marker_bias
from anabranch_training.packing import Packed
from anabranch_training.pretrained import load_vocabulary
from anabranch_training.sample import (
    AFTER_JOIN,
    AFTER_TITLE,
    ANYTHING,
    BRANCH,
    IN_TITLE,
    NO_MARKERS,
    TAIL,
    TRUNK,
    encode_parts,
    plain_text,
    servable,
)
from anabranch_training.serialised_answers import make_fixture

from . import tiny

# Ids: markers 10 to 15, separator 20 21, end 9; text is encoded as the codes of its letters.
DIALECT = Dialect(
    {
        "title_open": {"ids": [10]},
        "title_close": {"ids": [11]},
        "fork": {"ids": [12]},
        "opening": [{"ids": [13]}, "title", {"ids": [20, 21]}],
        "branch_close": {"ids": [14]},
        "join": {"ids": [15]},
        "resume": "sum",
    }
)
# Tags 30 to 39 (one of three tokens: 39, 38, 37), line end 60, colon 61, numbers 71 and 72.
TAGS = Dialect(
    {
        "plan_open": [{"ids": [30]}, {"ids": [60]}],
        "title_open": [{"ids": [31]}, "index", {"ids": [61]}],
        "title_close": [{"ids": [32]}, {"ids": [60]}],
        "fork": [{"ids": [33]}, {"ids": [60]}],
        "opening": [{"ids": [34]}, "index", {"ids": [61]}],
        "branch_close": [{"ids": [39, 38, 37]}, {"ids": [60]}],
        "join": [{"ids": [35]}, {"ids": [60]}],
        "tail_close": [{"ids": [36]}, {"ids": [60]}],
        "index": [{"ids": [71]}, {"ids": [72]}],
        "resume": "max",
        "caps": {"branches": 2},
    }
)
# As DIALECT, but a branch's text begins with its title.
LEADS = DIALECT.changed(opening=[{"ids": [13]}, "title"], visible=["serial", "opening", "body"])
PARTS = [
    {"serial": "s"},
    {"parallel": [{"title": "A", "body": "ab"}, {"title": "B", "body": "c"}]},
    {"serial": "t"},
]


def letters(text: str) -> list[int]:
    return [ord(c) for c in text]


def sample(parts=PARTS, dialect=DIALECT, **options):
    return encode_parts([1, 2], parts, letters, dialect, end=9, **options)


class Samples(unittest.TestCase):
    def test_hand_written(self):
        s = sample()
        A, B, a, b, c, S, T = (ord(x) for x in "ABabcst")
        trunk = [1, 2, S, 10, A, 11, 10, B, 11, 12]
        branches = [13, A, 20, 21, a, b, 14, 13, B, 20, 21, c, 14]
        self.assertEqual(s.ids, [*trunk, *branches, 15, T, 9])
        # Both branches start at 10; lengths 7 and 6; the trunk resumes at 10 + 13.
        self.assertEqual(s.positions, [*range(10), *range(10, 17), *range(10, 16), 23, 24, 25])
        self.assertEqual(s.lanes, [0] * 10 + [1] * 7 + [2] * 6 + [0] * 3)
        self.assertEqual(s.stages, [0] * 10 + [1] * 13 + [0] * 3)
        x = ANYTHING
        plan = [TRUNK, IN_TITLE, IN_TITLE, AFTER_TITLE, IN_TITLE, IN_TITLE, AFTER_TITLE]
        bodies = [x, x, x, x, BRANCH, BRANCH, BRANCH, x, x, x, x, BRANCH, BRANCH]
        self.assertEqual(s.rules, [x, x, TRUNK, *plan, *bodies, x, AFTER_JOIN, TRUNK])
        self.assertEqual(s.sampled, [r != x for r in s.rules])

    def test_leads(self):
        parts = [{"parallel": [{"title": "A", "body": "Aab"}, {"title": "B", "body": "Bc"}]}]
        s = sample(parts, dialect=LEADS)
        A, B, a, b, c = (ord(x) for x in "ABabc")
        branches = [13, A, a, b, 14, 13, B, c, 14]
        self.assertEqual(s.ids, [1, 2, 10, A, 11, 10, B, 11, 12, *branches, 15, 9])
        # The openings are forced: the plan has said them.
        self.assertEqual(s.sampled[9:18], [False, False, *[True] * 3, False, False, True, True])
        self.assertEqual(plain_text(parts), "AabBc")
        with self.assertRaisesRegex(ValueError, "does not begin with its title"):
            sample(PARTS, dialect=LEADS)

    def test_resume_at_the_longest_branch(self):
        maximum = sample(dialect=DIALECT.changed(resume="max"))
        self.assertEqual(maximum.positions[-3:], [17, 18, 19])

    def test_tags_with_forced_tokens_after_them(self):
        parts = [PARTS[0], {**PARTS[1], "tail": "w"}, PARTS[2]]
        s = sample(parts, TAGS)
        A, B, a, b, c, S, T, W = (ord(x) for x in "ABabcstw")
        plan = [30, 60, 31, 71, 61, A, 32, 60, 31, 72, 61, B, 32, 60, 33, 60]
        first, second = [34, 71, 61, a, b, 39, 38, 37, 60], [34, 72, 61, c, 39, 38, 37, 60]
        tail = [35, 60, W, 36, 60, T, 9]
        self.assertEqual(s.ids, [1, 2, S, *plan, *first, *second, *tail])
        start = 3 + len(plan)
        self.assertEqual(
            s.positions,
            [*range(start + 9), *range(start, start + 8), *range(start + 9, start + 16)],
        )
        x, t = ANYTHING, IN_TITLE
        # Tags are sampled and what follows them is forced. So is the fork if no title may follow.
        plan_rules = [TRUNK, x, x, x, x, t, t, x, AFTER_TITLE, x, x, t, t, x, x, x]
        body = [x, x, x, *[BRANCH] * 5, x]
        tail_rules = [x, x, TAIL, TAIL, x, TRUNK, TRUNK]
        rules = [x, x, TRUNK, *plan_rules, *body, *body[:3], *body[4:], *tail_rules]
        self.assertEqual(s.rules, rules)
        self.assertEqual(s.sampled, [r != x for r in rules])

    def test_serial_twin(self):
        twin = sample(serial=True)
        self.assertEqual(twin.ids, [1, 2, *letters("sabct"), 9])
        self.assertEqual(twin.rules, [ANYTHING] * 2 + [NO_MARKERS] * 6)

    def test_stages_that_the_engine_would_reject_are_serial_text(self):
        def stage(*titles, body="ab"):
            return {"parallel": [{"title": t, "body": body} for t in titles]}

        def served(*parts):
            return servable(list(parts), letters, DIALECT)

        good, text = stage("A", "B"), {"serial": "s"}
        self.assertEqual(served(text, good, text), [text, good, text])
        for bad in (stage("A"), stage("A", "A"), stage("A", ""), stage("A", "B" * 17)):
            joined = {"serial": f"s{plain_text([bad])}s"}
            self.assertEqual(served(text, bad, text, good), [joined, good])
        # <|branch|>, title, two tokens of separator, body, <|/branch|>: at most 512 tokens.
        self.assertIn("parallel", served(stage("A", "B", body="x" * 507))[0])
        self.assertIn("serial", served(stage("A", "B", body="x" * 508))[0])
        # No plan directly after a join.
        self.assertEqual(served(good, {"serial": ""}, good), [good, {"serial": "abab"}])
        self.assertEqual(sum("parallel" in p for p in served(*[text, good] * 9)), 8)

    def test_shared_fixture_of_serialised_answers(self):
        fixture = json.loads(tiny.FIXTURE.read_text())
        self.assertEqual(fixture, make_fixture(tiny.DEMO, fixture["samples"]))
        # A checkpoint's own tokenizer and chat template, as in fine-tuning, give the same ids.
        encoder = load_vocabulary(tiny.DEMO).encoder
        for task, expected in zip(tiny.tasks(), fixture["samples"], strict=True):
            self.assertEqual(encoder.sample(task).ids, expected["ids"])


class Batches(unittest.TestCase):
    def test_packed_row(self):
        one, two = sample(), sample(PARTS[:1])
        batch = collate([[one, two], [two]], pad=0)
        mask = batch.mask()
        n = len(one)
        for i in range(n + len(two)):
            for j in range(n + len(two)):
                first, second = 10 <= j <= 16, 17 <= j <= 22
                sibling = (17 <= i <= 22 and first) or (10 <= i <= 16 and second)
                sees = j <= i and (i < n) == (j < n) and not sibling
                self.assertEqual(mask[0, i, j].item(), sees, (i, j))
        self.assertEqual(batch.positions[0, n : n + 4].tolist(), [0, 1, 2, 3])
        self.assertEqual(batch.targets[:3].tolist(), [ord("s"), 10, ord("A")])
        sources = batch.ids.reshape(-1)[batch.sources].tolist()
        self.assertEqual(sources[:3], [2, ord("s"), 10])
        self.assertEqual(batch.targets[-2:].tolist(), [ord("s"), 9])

    def test_block_mask_is_the_same_mask(self):
        from torch.nn.attention.flex_attention import create_mask

        batch = collate([[sample(), sample(PARTS[:2])], [sample()]], pad=0)
        blocks = batch.mask(flex=True)
        b, n = batch.ids.shape
        dense = create_mask(blocks.mask_mod, b, 1, n, n, device="cpu")[:, 0]
        self.assertTrue(torch.equal(dense, batch.mask()))

    def test_other_markers_are_masked(self):
        bias = marker_bias(DIALECT)
        legal = [[m for m, x in zip(DIALECT.markers, row, strict=True) if x == 0] for row in bias]
        every = [10, 11, 12, 13, 14, 15]
        self.assertEqual(legal, [every, [10], [], [11], [10, 12], [14], [], []])
        bias = marker_bias(TAGS)
        legal = [[m for m, x in zip(TAGS.markers, row, strict=True) if x == 0] for row in bias]
        every = [30, 31, 32, 33, 34, 35, 36]
        self.assertEqual(legal, [every, [30], [], [32], [31, 33], [], [], [36]])

    def test_rows_that_cannot_be_trained_on_are_left_out(self):
        vocabulary = load_vocabulary(tiny.DEMO)
        marked = {"prompt": "p", "parts": [{"serial": "a <|branch|> b"}]}
        long = {"prompt": "p", "parts": [{"serial": "word " * 200}]}
        messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]
        good = {"messages": messages, "parts": [{"serial": "a b"}]}
        packed = Packed([marked, good, long, {"prompt": "p"}], vocabulary.encoder, 0, 100, False)
        self.assertEqual([batch.tasks for batch in packed.in_order()], [4])
        self.assertEqual(sorted(packed.left_out), [0, 2, 3])

    def test_the_order_continues_where_it_stopped(self):
        vocabulary = load_vocabulary(tiny.DEMO)
        packed = Packed(tiny.tasks(), vocabulary.encoder, 0, 400, False)
        whole = list(packed.shuffled(epochs=3, seed=1))
        self.assertEqual(sum(batch.tasks for batch in whole), 3 * len(packed.tasks))
        start = 0
        for i, batch in enumerate(whole):
            again = next(packed.shuffled(3, 1, start))
            self.assertTrue(torch.equal(again.ids, batch.ids), i)
            start += batch.tasks


if __name__ == "__main__":
    unittest.main()
