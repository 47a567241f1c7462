"""The Python example runs as it is, against what `npm start` serves."""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class Examples(unittest.TestCase):
    def test_openai_sdk_streams_an_answer_and_its_usage(self) -> None:
        env = os.environ | {"ANABRANCH_PORT": "0"}
        start = subprocess.Popen(
            ["node", str(ROOT / "scripts/run.mjs"), "start"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        try:
            line = start.stdout.readline()
            self.assertTrue(line.startswith("ready "), line)
            ready = json.loads(line.removeprefix("ready "))
            key = json.loads(Path(ready["key_file"]).read_text())["key"]
            example = subprocess.run(
                [sys.executable, str(ROOT / "examples/openai_sdk.py")],
                env=env | {"GATEWAY": ready["gateway"], "KEY": key},
                capture_output=True,
                text=True,
                check=True,
            )
            self.assertRegex(example.stdout, r"\w[\s\S]*visible tokens in \d+ steps")
        finally:
            start.terminate()
            start.wait()
            start.stdout.close()


if __name__ == "__main__":
    unittest.main()
