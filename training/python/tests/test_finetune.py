"""Fine-tunes a tiny checkpoint without markers: it learns, resumes exactly, and can be served."""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch
from anabranch_training.compare import BOUND, engine_logits, errors, trainer_logits
from anabranch_training.dialect import MARKERS
from anabranch_training.loop import Objective
from anabranch_training.packing import Packed
from anabranch_training.pretrained import load_model, load_vocabulary

from . import tiny

ROW_TOKENS = 700
STEPS = 12


class Finetune(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = Path(self.temporary.name)
        self.base = self.folder / "base"
        self.data = self.folder / "data.jsonl"
        self.data.write_text("".join(json.dumps(task) + "\n" for task in tiny.tasks()))

    def command(self, run: str, *options: str) -> list[str]:
        return [
            *[sys.executable, "-m", "anabranch_training.finetune", "--json", "--device", "cpu"],
            *["--base", str(self.base), "--out", str(self.folder / run / "out")],
            *["--data", str(self.data), "--heldout", str(self.data)],
            *["--run", str(self.folder / run), "--checkpoint-minutes", "0"],
            *["--row-tokens", str(ROW_TOKENS), "--accumulate", "2", "--warmup-steps", "2"],
            *["--max-steps", str(STEPS), "--epochs", "100", "--lr", "3e-3", *options],
        ]

    def finish(self, run: str, *options: str) -> tuple[dict, str]:
        ended = subprocess.run(self.command(run, *options), capture_output=True, text=True)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return json.loads(ended.stdout), ended.stderr

    def kill_after(self, step: int, run: str, *options: str) -> None:
        with subprocess.Popen(self.command(run, *options), stderr=subprocess.PIPE, text=True) as p:
            for line in p.stderr:
                if f"checkpoint at step {step}," in line:
                    p.kill()

    def tune(self, kind: str, tied: bool, *options: str) -> dict:
        tiny.make_checkpoint(kind, self.base, tied=tied)
        summary, _ = self.finish("whole", *options)
        self.assertLess(summary["heldout_loss"], 0.9 * summary["heldout_loss_at_start"])

        self.kill_after(3, "broken", *options)
        _, said = self.finish("broken", *options)
        resumed = re.search(r"resumed at step (\d+)", said)
        self.assertIn(int(resumed[1]), range(3, STEPS), "killed too late for this test")
        whole, broken = (self.folder / run / "out" for run in ("whole", "broken"))
        for name in ("model.safetensors", "tokenizer.json", "aspd.json"):
            self.assertEqual((whole / name).read_bytes(), (broken / name).read_bytes(), name)

        # The export holds the trained weights, and the engine computes the same logits.
        model, vocabulary = load_model(whole, torch.float32, "cpu"), load_vocabulary(whole)
        self.assertEqual(vocabulary.new_ids, [])
        before, after = (
            json.loads((folder / "tokenizer.json").read_text()) for folder in (self.base, whole)
        )
        self.assertEqual(len(after.pop("added_tokens")), len(before.pop("added_tokens")) + 6)
        self.assertEqual(before, after)
        tasks = tiny.tasks()
        packed = Packed(tasks, vocabulary.encoder, vocabulary.pad, ROW_TOKENS, fill=False)
        loss = Objective(vocabulary.dialect, "cpu").mean(model, packed.in_order())
        self.assertAlmostEqual(loss, summary["heldout_loss"], 4)
        row = [vocabulary.encoder.sample(task) for task in (tasks[0], tasks[-1])]
        engine = [engine_logits(whole, sample, "sum") for sample in row]
        found = errors(trainer_logits(model, row), engine, row)
        print(f"{kind} {summary['mode']}: {summary}, {found}", file=sys.stderr)
        self.assertLessEqual(max(found.values()), BOUND)
        return summary

    def test_full(self):
        self.tune("qwen2", False)

    def test_full_tied(self):
        tiny.make_checkpoint("llama", self.base, tied=True)
        self.finish("tied", "--max-steps", "2", "--gradient-checkpointing")
        vocabulary = load_vocabulary(self.folder / "tied/out")
        engine_logits(self.folder / "tied/out", vocabulary.encoder.sample(tiny.tasks()[0]), "sum")

    def test_lora(self):
        summary = self.tune("qwen2", True, "--lora", "--rank", "4", "--alpha", "8", "--lr", "1e-2")
        self.assertLess(summary["trained_parameters"], 20_000)
        before, after = (
            load_model(folder, torch.float32, "cpu").causal.get_input_embeddings().weight
            for folder in (self.base, self.folder / "whole/out")
        )
        # Only the rows of the markers are new in the embedding matrix.
        self.assertEqual(len(after), len(before) + len(MARKERS))
        self.assertTrue(torch.equal(before, after[: len(before)]))
