"""The demo's trainer: a few seconds of it, then again from its checkpoint."""

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
    def test_trains_resumes_and_is_served(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            rows = [{**task, "response": plain_text(task["parts"])} for task in tiny.tasks()]
            data, out = folder / "data.jsonl", folder / "out"
            data.write_text("".join(json.dumps(row) + "\n" for row in rows))
            command = [
                *[sys.executable, "-m", "anabranch_training.train", "--json", "--device", "cpu"],
                *["--data", str(data), "--heldout", str(data), "--run", str(folder / "run")],
                *["--out", str(out), "--vocabulary", "300", "--hidden", "128", "--layers", "2"],
            ]
            summaries = []
            for minutes in ("0.03", "0.06"):
                ended = subprocess.run(
                    [*command, "--minutes", minutes], capture_output=True, text=True
                )
                self.assertEqual(ended.returncode, 0, ended.stderr)
                summaries.append(json.loads(ended.stdout))
            self.assertIn("resumed at step", ended.stderr)
            self.assertLess(summaries[1]["heldout_loss"], summaries[0]["heldout_loss"])
            sample = load_vocabulary(out).encoder.sample(tiny.tasks()[0])
            engine_logits(out, sample, "sum")
