"""The trainer and the engine compute the same logits, so that a model is served as trained."""

import sys
import sysconfig
import tempfile
import unittest
from pathlib import Path

import torch
from anabranch_training.batches import collate
from anabranch_training.compare import BOUND, engine_logits, errors, trainer_logits
from anabranch_training.decode import Decoder
from anabranch_training.dialect import MARKERS, Dialect, tags_of
from anabranch_training.loop import Objective
from anabranch_training.model import Model
from anabranch_training.pretrained import load_model, load_vocabulary
from anabranch_training.sample import plain_text
from tokenizers import Tokenizer

from . import tiny


class SameAsEngine(unittest.TestCase):
    def agree(self, folder: Path, *models, tasks=None) -> None:
        """Compares three samples with five stages, under both resume rules, packed and alone."""
        tasks = tasks or tiny.tasks()
        selected = [tasks[0], tasks[-1], tasks[2]]
        for resume in ("sum", "max"):
            encoder = load_vocabulary(folder, resume).encoder
            row = [encoder.sample(task) for task in selected]
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

    def test_other_dialects(self):
        """With tags as single tokens, as in published checkpoints, and as several tokens."""
        tasks = tiny.tasks()
        for task in tasks:
            for part in task["parts"]:
                if "parallel" in part:
                    part["tail"] = "So far so good."
        for name in ("multiverse", "npr"):
            for how, tags in (("single", tags_of(name)), ("several", ())):
                with self.subTest(name, tags=how), tempfile.TemporaryDirectory() as temporary:
                    folder = Path(temporary) / f"{name}-{how}"
                    tiny.make_checkpoint("qwen3", folder, tied=True, markers=tags)
                    Dialect.of(Tokenizer.from_file(str(folder / "tokenizer.json")), name).save(
                        folder
                    )
                    model = load_model(folder, torch.float32, "cpu")
                    self.agree(folder, model, tasks=tasks)
                    vocabulary = load_vocabulary(folder)
                    self.assertEqual(vocabulary.dialect.resume, "max")
                    self.assertEqual(len(vocabulary.dialect.markers), len(tags))
                    for task in (tasks[0], tasks[-1]):
                        self.decodes(vocabulary, model, task)

    def decodes(self, vocabulary, model, task) -> None:
        """Given the tokens of a sample, the decoder allows each and serialises the same answer."""
        test, sample = self, vocabulary.encoder.sample(task)
        sampled_tokens: dict[int, list[int]] = {}
        for token, lane, sampled in zip(sample.ids, sample.lanes, sample.sampled, strict=True):
            if sampled:
                sampled_tokens.setdefault(lane, []).append(token)

        class Scripted(Decoder):
            def _sample(self, lane, logits, banned=frozenset(), allowed=frozenset()):
                token = sampled_tokens[lane].pop(0)
                test.assertNotIn(token, banned)
                test.assertTrue(not allowed or token in allowed)
                return token

        encoder = vocabulary.encoder
        decoder = Scripted(model, vocabulary.tokenizer, vocabulary.dialect, {encoder.end})
        prompt = encoder.render([{"role": "user", "content": task["prompt"]}])
        answer = decoder.decode(prompt, max_steps=2000)
        self.assertTrue(answer.ended)
        self.assertEqual(answer.text, plain_text(task["parts"]))
        n = len(sample) - 1  # the end token is sampled but never a model input
        for name in ("ids", "positions", "lanes", "stages"):
            self.assertEqual(getattr(decoder, name), getattr(sample, name)[:n], name)

    def test_tiny_checkpoints(self):
        for kind in tiny.CLASSES:
            with self.subTest(kind), tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / kind
                tiny.make_checkpoint(kind, folder, tied=kind == "qwen2", markers=MARKERS)
                load_vocabulary(folder).dialect.save(folder)
                self.agree(folder, load_model(folder, torch.float32, "cpu"))

    @unittest.skipUnless(
        Path(sysconfig.get_path("include"), "Python.h").exists(), "torch.compile needs Python.h"
    )
    def test_flex_attention(self):
        """The forward pass, compiled for the CPU. The backward pass exists only on CUDA."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            tiny.make_checkpoint("qwen2", folder, tied=False, markers=MARKERS)
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
