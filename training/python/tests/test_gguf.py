"""GGUF files load with what requirements.txt names, and compute what the engine is held to."""

import json
import unittest

import torch
from anabranch_training.compare import ROOT
from anabranch_training.pretrained import load_model

FIXTURES = ROOT / "native/test/gguf/fixtures"


class GgufFiles(unittest.TestCase):
    @torch.no_grad()
    def test_a_file_gives_the_logits_of_the_engine_tests(self):
        expected = json.loads((FIXTURES / "logits.json").read_text())
        model = load_model(FIXTURES / "model.gguf", torch.float32, "cpu")
        ids = torch.tensor([expected["tokens"]])
        positions = torch.arange(ids.shape[1])[None]
        mask = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()[None]
        logits = model.logits(model(ids, positions, mask))[0]
        torch.testing.assert_close(logits, torch.tensor(expected["logits"]), atol=1e-4, rtol=1e-4)


if __name__ == "__main__":
    unittest.main()
