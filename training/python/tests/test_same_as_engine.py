"""The trainer's logits are the engine's, so that a model is served as it was trained."""

import sys
import sysconfig
import tempfile
import unittest
from pathlib import Path

import torch

from anabranch_training.batches import collate
from anabranch_training.compare import BOUND, engine_logits, errors, trainer_logits
from anabranch_training.loop import Objective
from anabranch_training.model import Model
from anabranch_training.pretrained import load_model, load_vocabulary

from . import tiny


class SameAsEngine(unittest.TestCase):
    def agree(self, folder: Path, *models) -> None:
        """Three samples with five stages in all, under both resume rules, packed and one by one."""
        tasks = tiny.tasks()
        chosen = [tasks[0], tasks[-1], tasks[2]]
        for resume in ("sum", "max"):
            encoder = load_vocabulary(folder, resume).encoder
            row = [encoder.sample(task) for task in chosen]
            engine = [engine_logits(folder, sample, resume) for sample in row]
            for model in models:
                alone = [logits for sample in row for logits in trainer_logits(model, [sample])]
                for how, trainer in [("packed", trainer_logits(model, row)), ("alone", alone)]:
                    found = errors(trainer, engine, row)
                    self.assertEqual(set(found), {"serial", "branch", "joined"})
                    figures = ", ".join(f"{kind} {error:.1e}" for kind, error in found.items())
                    what = f"{folder.name}, {type(model).__name__}, {resume}, {how}: NMSE {figures}"
                    print(what, file=sys.stderr)
                    self.assertLessEqual(max(found.values()), BOUND, what)

    def test_tiny_checkpoints(self):
        for kind in tiny.CLASSES:
            with self.subTest(kind), tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / kind
                tiny.make_checkpoint(kind, folder, tied=kind == "qwen2", markers=True)
                load_vocabulary(folder).dialect.save(folder)
                self.agree(folder, load_model(folder, torch.float32, "cpu"))

    @unittest.skipUnless(
        Path(sysconfig.get_path("include"), "Python.h").exists(), "torch.compile needs Python.h"
    )
    def test_flex_attention(self):
        """Its forward pass, compiled for the CPU; its backward pass exists on CUDA alone."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            tiny.make_checkpoint("qwen2", folder, tied=False, markers=True)
            vocabulary = load_vocabulary(folder)
            row = [vocabulary.encoder.sample(task) for task in tiny.tasks()[:3]]
            batch = collate([row], vocabulary.pad, width=640)
            losses = []
            for flex, attention in ((False, "sdpa"), (True, "flex_attention")):
                model = load_model(folder, torch.float32, "cpu", attention).requires_grad_(False)
                losses.append(Objective(vocabulary.dialect, "cpu", flex=flex)(model, batch).item())
            self.assertAlmostEqual(losses[0] / losses[1], 1, 6)

    def test_demo(self):
        own = Model.load(tiny.DEMO)
        self.agree(tiny.DEMO, own, load_model(tiny.DEMO, torch.float32, "cpu"))
