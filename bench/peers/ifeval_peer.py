"""Compares our IFEval checks with those of lm-eval on the same answers.

    npm run evaluate -- --answers FILE --scores scores.jsonl
    pip install lm-eval==0.4.13 langdetect nltk immutabledict packaging
    python bench/peers/ifeval_peer.py --scores scores.jsonl

lm-eval detects languages with random draws, and draws a letter where a prompt names none, so it
can say different things of one answer. Each answer is therefore checked under several seeds. Ours
agrees if lm-eval says the same under one of them; instructions of which it says both are counted
as `undecided`. NLTK needs its `punkt_tab` data (it downloads them, or NLTK_DATA names their
folder). Prints one JSON value; exits with 1 if a verdict differs.
"""

import argparse
import importlib
import importlib.metadata
import json
import logging
import random
import sys
import types

import langdetect

LEVELS = ("strict", "loose")


def lm_eval_checks() -> types.ModuleType:
    """The modules of the task alone: lm-eval as a whole would also import PyTorch."""
    root = importlib.metadata.distribution("lm_eval").locate_file("lm_eval")
    for name in ("lm_eval", "lm_eval.tasks", "lm_eval.tasks.ifeval"):
        module = types.ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
    return importlib.import_module("lm_eval.tasks.ifeval.utils")


def verdicts(checks: types.ModuleType, row: dict, seed: int) -> dict[str, list[bool]]:
    random.seed(seed)
    langdetect.DetectorFactory.seed = seed
    fields = ("prompt", "instruction_id_list", "kwargs")
    doc = {"key": row["id"], **{name: row[name] for name in fields}}
    result = checks.process_results(doc, [row["response"]])
    return {level: result[f"inst_level_{level}_acc"] for level in LEVELS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", required=True, help="what `npm run evaluate -- --scores` wrote")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    logging.disable(logging.ERROR)
    checks = lm_eval_checks()
    counted = ("instructions", "agree", "undecided", "followed")
    report: dict[str, dict[str, int]] = {level: dict.fromkeys(counted, 0) for level in LEVELS}
    kinds: dict[str, dict[str, int]] = {}
    answers, prompts_agree, differ = 0, 0, []
    for line in open(args.scores, encoding="utf-8"):
        row = json.loads(line)
        if not row["instruction_id_list"]:
            continue
        answers += 1
        theirs = [verdicts(checks, row, seed) for seed in range(args.seeds)]
        agreed = True
        for level in LEVELS:
            for i, kind in enumerate(row["instruction_id_list"]):
                said = {bool(each[level][i]) for each in theirs}
                ours = row[level][i]
                counts = report[level]
                counts["instructions"] += 1
                counts["agree"] += ours in said
                counts["undecided"] += len(said) > 1
                counts["followed"] += ours
                if level == "strict":
                    of_kind = kinds.setdefault(kind, {"followed": 0, "not": 0, "differ": 0})
                    of_kind["followed" if ours else "not"] += 1
                    of_kind["differ"] += ours not in said
                    agreed = agreed and ours in said
                if ours not in said:
                    where = {"id": row["id"], "side": row["side"], "instruction": kind}
                    differ.append({**where, "level": level, "ours": ours})
        prompts_agree += agreed
    report["prompts"] = {"answers": answers, "agree_strict": prompts_agree}
    version = importlib.metadata.version("lm_eval")
    print(json.dumps({"lm_eval": version, **report, "kinds": kinds, "differ": differ}))
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
