"""Fine-tunes a tiny checkpoint without markers: it learns, resumes exactly, and can be served."""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch
from anabranch_training.batches import Batch, is_parallel
from anabranch_training.compare import BOUND, engine_logits, errors, trainer_logits
from anabranch_training.dialect import MARKERS
from anabranch_training.loop import Objective
from anabranch_training.lora import TARGETS
from anabranch_training.packing import Packed
from anabranch_training.pretrained import load_model, load_vocabulary
from safetensors.torch import load_file

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
            *[
                sys.executable,
                "-m",
                "anabranch_training.finetune",
                "--json",
                "--device",
                "cpu",
                "--precision",
                "fp32",
            ],
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

    def test_adapter_with_tokens_of_the_base_as_markers(self):
        unused = tuple(f"<unused_{n}>" for n in range(6))
        tiny.make_checkpoint("llama", self.base, tied=True, markers=unused)
        adapter = self.folder / "adapter"
        lora = ["--lora", "--rank", "4", "--alpha", "8", "--export-dtype", "fp32"]
        lora += ["--marker-tokens", *unused]
        first, _ = self.finish("lora", *lora, "--adapter-out", str(adapter))

        # Another run goes on from it, with the same rank and alpha alone.
        on = [*lora, "--adapter", str(adapter), "--max-steps", "2"]
        again, _ = self.finish("again", *on)
        self.assertAlmostEqual(again["heldout_loss_at_start"], first["heldout_loss"], 5)
        for option, value, message in [
            ("--rank", "2", r"lora_A.weight is \[4, \d+\], with --rank"),
            ("--alpha", "4", "has alpha 8"),
        ]:
            other = subprocess.run(
                self.command("no", *on, option, value), capture_output=True, text=True
            )
            self.assertNotEqual(other.returncode, 0)
            self.assertRegex(other.stderr, message)

        # No token is new, so the adapter needs no tokenizer; the markers are the base's tokens.
        files = ["adapter_config.json", "adapter_model.safetensors", "aspd.json"]
        self.assertEqual(sorted(file.name for file in adapter.iterdir()), files)
        config = json.loads((adapter / "adapter_config.json").read_text())
        self.assertEqual(config["target_modules"], sorted(TARGETS))
        vocabulary = load_vocabulary(self.base, marker_tokens=unused)
        ids = config["trainable_token_indices"]["embed_tokens"]
        self.assertEqual([vocabulary.tokenizer.id_to_token(i) for i in ids], list(unused))

        # The base with the adapter is the merged model.
        base, merged = (
            dict(load_model(folder, torch.float32, "cpu").causal.named_parameters())
            for folder in (self.base, self.folder / "lora/out")
        )
        tensors = load_file(adapter / "adapter_model.safetensors")
        scale = config["lora_alpha"] / config["r"]
        for name, a in tensors.items():
            if not name.endswith(".lora_A.weight"):
                continue
            at = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight") + ".weight"
            change = tensors[name.replace("lora_A", "lora_B")] @ a * scale
            self.assertTrue(torch.allclose(base[at] + change, merged[at], atol=1e-6), at)
        rows = tensors["base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"]
        embedding = merged["model.embed_tokens.weight"]
        self.assertTrue(torch.equal(rows, embedding[ids]))

    def test_hold_keeps_other_answers_as_the_base_writes_them(self):
        unused = tuple(f"<unused_{n}>" for n in range(6))
        tiny.make_checkpoint("llama", self.base, tied=True, markers=unused)
        tasks = tiny.tasks()
        plain = [task for task in tasks if not is_parallel(task)]
        rows = [task for task in tasks if is_parallel(task)] + 12 * plain
        self.data.write_text("".join(json.dumps(task) + "\n" for task in rows))
        lora = ["--lora", "--rank", "8", "--alpha", "16", "--lr", "1e-2", "--max-steps", "80"]
        lora += ["--checkpoint-minutes", "1", "--marker-tokens", *unused]
        held, _ = self.finish("held", *lora, "--hold")
        self.assertLess(held["heldout_loss"], held["heldout_loss_at_start"])
        free, _ = self.finish("free", *lora)
        self.assertLess(free["heldout_loss"], held["heldout_loss"])

        # Mean divergence from the base on the tokens of samples that don't branch.
        vocabulary = load_vocabulary(self.base, marker_tokens=unused)
        packed = Packed(plain, vocabulary.encoder, vocabulary.pad, ROW_TOKENS, fill=False)
        objective = Objective(vocabulary.dialect, "cpu")

        def log_probabilities(folder: Path, batch: Batch) -> torch.Tensor:
            model = load_model(folder, torch.float32, "cpu")
            with torch.no_grad():
                return objective.log_probabilities(model, batch)

        divergence = {}
        for run in ("held", "free"):
            total, count = 0.0, 0
            for batch in packed.in_order():
                self.assertTrue(batch.held.all())
                base = log_probabilities(self.base, batch)
                own = log_probabilities(self.folder / run / "out", batch)
                allowed = base.isfinite()
                total += (base.exp() * (base - own))[allowed].sum().item()
                count += len(batch.targets)
            divergence[run] = total / count
        print(f"nats a token from the base: {divergence}", file=sys.stderr)
        self.assertLess(divergence["held"], 0.2 * divergence["free"])

    def test_refuses_markers_that_ordinary_text_has(self):
        tiny.make_checkpoint("llama", self.base, tied=True)
        options = ["--lora", "--marker-tokens", *"abcdef"]
        ended = subprocess.run(self.command("no", *options), capture_output=True, text=True)
        self.assertNotEqual(ended.returncode, 0)
        self.assertIn("no special tokens of this tokenizer", ended.stderr)
