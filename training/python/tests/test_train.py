"""Runs the demo's trainer for a few seconds, then again from its checkpoint."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from anabranch_training.compare import engine_logits
from anabranch_training.pretrained import load_vocabulary
from anabranch_training.sample import plain_text

from . import tiny


class Train(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        rows = [{**task, "response": plain_text(task["parts"])} for task in tiny.tasks()]
        (self.folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def train(self, run: str, *options: str) -> subprocess.CompletedProcess:
        data = str(self.folder / "data.jsonl")
        command = [
            *[sys.executable, "-m", "anabranch_training.train", "--json", "--device", "cpu"],
            *["--data", data, "--heldout", data, "--run", str(self.folder / run)],
            *["--vocabulary", "300", "--hidden", "128", "--layers", "2", *options],
        ]
        return subprocess.run(command, capture_output=True, text=True)

    def loss(self, ended: subprocess.CompletedProcess) -> float:
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return json.loads(ended.stdout)["heldout_loss"]

    def test_trains_resumes_and_is_served(self):
        out = self.folder / "out"
        ended = [self.train("run", "--out", str(out), "--minutes", m) for m in ("0.03", "0.06")]
        losses = [self.loss(each) for each in ended]
        self.assertIn("resumed at step", ended[1].stderr)
        self.assertLess(losses[1], losses[0])
        encoder = load_vocabulary(out).encoder
        engine_logits(out, min(map(encoder.sample, tiny.tasks()), key=len), "sum")

    def test_a_model_and_its_serial_twin_begin_from_one_base(self):
        missing = self.train("early", "--base", str(self.folder / "base"), "--minutes", "0.01")
        self.assertEqual(missing.returncode, 1)
        self.assertIn("has no checkpoint and no model.safetensors", missing.stderr)

        first = ["--first", str(self.folder / "data.jsonl"), "--first-minutes", "0.02"]
        base = self.loss(
            self.train("base", "--serial", "--decay", "0", "--minutes", "0.05", *first)
        )
        begun = ["--base", str(self.folder / "base"), "--decay", "1", "--minutes", "0.02"]
        self.assertLess(self.loss(self.train("twin", "--serial", *begun)), base)
        self.loss(self.train("model", *begun))
        folder = ["--base", str(self.folder / "base/export"), "--minutes", "0.01"]
        self.assertAlmostEqual(
            self.loss(self.train("same", "--serial", "--lr", "0", *folder)), base, delta=0.01 * base
        )
        larger = ["--layers", "5", "--intermediate", "1000"]
        self.assertAlmostEqual(
            self.loss(self.train("grown", "--serial", "--lr", "0", *larger, *folder)),
            base,
            delta=0.01 * base,
        )
        shallow = self.train("shallow", "--layers", "1", *folder)
        self.assertIn("num_hidden_layers=1", shallow.stderr)
        other = self.train("other", "--intermediate", "64", *folder)
        self.assertEqual(other.returncode, 1)
        self.assertIn("intermediate_size=64", other.stderr)
        tokenizers = [
            (self.folder / run / "export/tokenizer.json").read_text()
            for run in ("base", "twin", "model")
        ]
        self.assertEqual(len(set(tokenizers)), 1)
        self.assertFalse((self.folder / "twin/export/aspd.json").exists())
        self.assertTrue((self.folder / "model/export/aspd.json").exists())
