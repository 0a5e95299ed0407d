"""`scripts/check miner-faults`: whatever goes wrong around a miner costs no task that could be done, and is said.

The tests of `test_miner`, and of `test_faults` those on a chain: programs that are killed at each step of a task, and machines that vanish and come back. `scripts/test` runs them, too.
"""

import argparse
import sys
import time
import unittest

import test_faults
import test_miner


def chosen(names):
    """The tests of both modules as they run there; only those whose name holds one of these words, if there are any."""
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{name}*" for name in names] or None
    crashes = [loader.loadTestsFromTestCase(case) for case in (test_faults.Crashes, test_faults.Absences)]
    return unittest.TestSuite([loader.loadTestsFromModule(test_miner), test_faults.load_tests(loader, crashes, None)])


def main():
    parser = argparse.ArgumentParser(prog="scripts/check miner-faults", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only the tests whose name holds one of these words")
    began = time.monotonic()
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(chosen(parser.parse_args().names))
    failed = len(result.failures) + len(result.errors)
    seconds = time.monotonic() - began
    print(f"miner-faults: tests={result.testsRun} failed={failed} skipped={len(result.skipped)} seconds={seconds:.0f}", flush=True)
    return 0 if result.testsRun and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
