"""npm run test:training [-- -k PATTERN] [-v]: the Python package's tests, the engine among them."""

import argparse
import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    p = argparse.ArgumentParser(prog="npm run test:training --", description=__doc__)
    p.add_argument(
        "-k", metavar="PATTERN", action="append", help="only tests whose name has PATTERN"
    )
    p.add_argument("-v", action="store_true", help="name every test")
    args = p.parse_args()
    sys.path.insert(0, str(HERE.parent))
    os.environ["PYTHONPATH"] = str(HERE.parent)  # for the commands that tests start
    os.environ["OMP_NUM_THREADS"] = "1"  # more threads slow tiny models down
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    loader = unittest.TestLoader()
    if args.k:
        loader.testNamePatterns = [f"*{pattern}*" for pattern in args.k]
    suite = loader.discover(str(HERE), top_level_dir=str(HERE.parent))
    result = unittest.TextTestRunner(verbosity=2 if args.v else 1).run(suite)
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)


if __name__ == "__main__":
    main()
