"""The two long programs of this folder, shortened; `make faults` runs them at
length."""
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import BIN, ROOT

HERE = pathlib.Path(__file__).resolve().parent
RELEASE = os.environ.get("SLIPWAY_RELEASE_BIN", str(ROOT / "build" / "slipway"))


def run(program, *args, seconds=600):
    done = subprocess.run([sys.executable, HERE / program, *args],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_a_few_kills_of_the_whole_loop_under_load():
    said = run("kill_loop.py", "--bin", BIN, "--shim", "", "--kills", "8",
               "--life", "8", "--seed", "7")
    assert "nothing acknowledged was lost" in said, said


def test_a_disk_that_fails_at_some_calls_of_a_session():
    if not (pathlib.Path(RELEASE).parent / "tests" / "shim.so").exists():
        pytest.skip("the release build has no tests/shim.so")
    said = run("disk_loop.py", "--bin", RELEASE, "--every", "150")
    assert " 0 broken" in said, said
