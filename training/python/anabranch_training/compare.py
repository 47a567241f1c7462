"""Compares the trainer with the engine.

    python -m anabranch_training.compare --model DIR --data FILE

Packs rows of data into one row, computes its logits in fp32 with transformers and with the engine
(`npm run score`), and prints the normalised mean squared error for serial text, branches and text
after a join. Exits with status 1 if one of them is above 1e-8.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .batches import collate, read_tasks
from .pretrained import load_model, load_vocabulary
from .sample import Sample

BOUND = 1e-8
ROOT = Path(__file__).resolve().parents[3]


def runs_of(sample: Sample) -> list[dict]:
    """The runs that the engine scores: [{"serial": ids}, {"parallel": [ids, ids]}, …]."""
    runs: list[dict] = []
    before = None
    for token, lane, stage in zip(sample.ids, sample.lanes, sample.stages, strict=True):
        if before is None or stage != before[1]:
            runs.append({"parallel": []} if stage else {"serial": []})
        if stage and (lane, stage) != before:
            runs[-1]["parallel"].append([])
        (runs[-1]["parallel"][-1] if stage else runs[-1]["serial"]).append(token)
        before = (lane, stage)
    return runs


def engine_logits(folder: Path, sample: Sample, resume: str) -> Tensor:
    """[n, vocabulary] fp32, in serialised order."""
    with tempfile.TemporaryDirectory() as temporary:
        given, written = Path(temporary) / "runs.json", Path(temporary) / "logits.safetensors"
        given.write_text(json.dumps(runs_of(sample)))
        command = ["npm", "run", "--silent", "score", "--", "--json", "--in", str(given)]
        command += ["--model", str(folder.resolve()), "--dtype", "fp32", "--device", "cpu"]
        command += ["--resume", resume, "--logits", str(written)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if ended.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr}")
        return load_file(written)["logits"]


@torch.no_grad()
def trainer_logits(model: nn.Module, row: list[Sample]) -> list[Tensor]:
    """[n, vocabulary] fp32 for each sample of one packed row."""
    batch = collate([row], pad=0)
    logits = model.logits(model(batch.ids, batch.positions, batch.mask()))[0].float()
    return list(logits.split([len(sample) for sample in row]))


def kinds_of(sample: Sample) -> dict[str, Tensor]:
    """[n] bool for each kind of token; kinds without tokens are left out."""
    branch = torch.tensor(sample.stages) > 0
    after = branch.int().cumsum(0) > 0
    kinds = {"serial": ~after, "branch": branch, "joined": after & ~branch}
    return {kind: where for kind, where in kinds.items() if where.any()}


def nmse(value: Tensor, reference: Tensor) -> float:
    value, reference = value.double(), reference.double()
    return ((value - reference).square().sum() / reference.square().sum()).item()


def errors(trainer: list[Tensor], engine: list[Tensor], row: list[Sample]) -> dict[str, float]:
    """The largest error over the samples of a row, by kind of token."""
    worst: dict[str, float] = {}
    for ours, theirs, sample in zip(trainer, engine, row, strict=True):
        for kind, where in kinds_of(sample).items():
            worst[kind] = max(worst.get(kind, 0.0), nmse(theirs[where], ours[where]))
    return worst


def main() -> None:
    p = argparse.ArgumentParser(
        prog="anabranch_training.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--model", type=Path, required=True, help="Hugging Face folder")
    p.add_argument("--data", type=Path, required=True, help="JSONL whose rows have parts")
    p.add_argument("--limit", type=int, default=3, help="rows to pack (default %(default)s)")
    p.add_argument("--json", action="store_true", help="print JSON on one line")
    args = p.parse_args()
    vocabulary = load_vocabulary(args.model)
    row = [vocabulary.encoder.sample(task) for task in read_tasks(args.data)[: args.limit]]
    model = load_model(args.model, torch.float32, "cpu")
    trainer = trainer_logits(model, row)
    del model  # the engine needs its memory
    resume = vocabulary.dialect.resume
    found = errors(trainer, [engine_logits(args.model, s, resume) for s in row], row)
    print(json.dumps({"nmse": found}, indent=None if args.json else 2))
    sys.exit(max(found.values()) > BOUND)


if __name__ == "__main__":
    main()
