"""`scripts/check app-clients`: programs that nobody here wrote get what they expect from a coordinator: OpenAI's clients in Python and JavaScript, Triton's, a verifier of Standard
Webhooks, a tester of OpenAPI documents, a browser; and every command of docs/applications.md does what it says.

The tests of `test_app_clients`, with more of the tester's requests. `scripts/test` runs them, too. Here a program that is missing is a failure, and the pictures of the page stay.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time
import unittest

import test_app_clients


def main():
    parser = argparse.ArgumentParser(prog="scripts/check app-clients", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="WORD", help="only the tests whose name holds one of these words")
    parser.add_argument("--pictures", type=pathlib.Path, help="where the pictures of the page go (default: a folder of their own, which is named)")
    parser.add_argument("--examples", type=int, default=100, help="how many requests of each kind the tester of the OpenAPI document makes up (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=300, help="for how long it does so at most (default: %(default)s)")
    args = parser.parse_args()
    if min(args.examples, args.seconds) < 1:
        parser.error("--examples and --seconds are at least 1")
    pictures = args.pictures or pathlib.Path(tempfile.gettempdir(), f"cuckoo-page-{os.getpid()}")
    os.environ["CUCKOO_PICTURES"] = str(pictures.resolve())
    test_app_clients.EXAMPLES, test_app_clients.SECONDS = args.examples, args.seconds

    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{name}*" for name in args.names] or None
    began = time.monotonic()
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(loader.loadTestsFromModule(test_app_clients))
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    for test, why in result.skipped:
        print(f"error: {test.id().rpartition('.')[2]} could not be run: {why}", file=sys.stderr)
    print()
    for name, value in sorted(test_app_clients.FIGURES.items()):
        print(f"{name.replace('_', ' ') + ':':28} {value}")
    if any(pictures.glob("*.png")):
        print(f"{'pictures of the page:':28} {pictures}")
    figures = " ".join(f"{name}={value}" for name, value in sorted(test_app_clients.FIGURES.items()))
    seconds = time.monotonic() - began
    print(f"app-clients: tests={result.testsRun} failed={failed} skipped={skipped} {figures} seconds={seconds:.0f}", flush=True)
    return 0 if result.testsRun and not failed and not skipped else 1


if __name__ == "__main__":
    sys.exit(main())
