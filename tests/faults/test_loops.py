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

needs_shim = pytest.mark.skipif(
    not (pathlib.Path(RELEASE).parent / "tests" / "shim.so").exists(),
    reason="the release build has no tests/shim.so")


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


@needs_shim
def test_killed_between_any_two_commits_of_a_new_day_nothing_is_done_twice():
    """The end of the session: refresh, labels, windows, triggers."""
    said = run("disk_loop.py", "--bin", RELEASE, "--kinds", "dead at a sync",
               "--what", "session", "--last", "14", "--every", "1")
    assert " 0 broken" in said, said


@needs_shim
def test_a_disk_that_fails_at_some_calls_of_a_session():
    said = run("disk_loop.py", "--bin", RELEASE, "--every", "150")
    assert " 0 broken" in said, said
