"""The tokenizer for ordinary text, trained on a few lines."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from anabranch_training.dialect import MARKERS
from tokenizers import Tokenizer


class Ordinary(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        rows = [
            {"prompt": "Which color?", "response": "a warm color, a cold color"},
            {"turns": ["Hello"]},
        ]
        texts = self.folder / "texts.jsonl"
        texts.write_text("".join(json.dumps(row) + "\n" for row in rows * 4))
        command = [sys.executable, "-m", "anabranch_training.ordinary", "--vocabulary", "400"]
        subprocess.run([*command, "--texts", texts, "--out", self.folder], check=True)
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def tokens(self, text: str) -> list[str]:
        return self.tokenizer.encode(text).tokens

    def test_knows_a_word_with_a_space_before_it_and_bare(self):
        self.assertEqual(self.tokens("color color"), ["color", "Ġcolor"])

    def test_learns_from_turns(self):
        self.assertEqual(self.tokens("Hello"), ["Hello"])

    def test_has_markers_and_the_dialect_in_its_own_ids(self):
        dialect = json.loads((self.folder / "aspd.json").read_text())
        for marker in MARKERS:
            self.assertEqual(self.tokens(marker), [marker])
        self.assertEqual(dialect["fork"]["ids"], self.tokenizer.encode("<|para|>").ids)


if __name__ == "__main__":
    unittest.main()
