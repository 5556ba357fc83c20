"""The page in a real browser: Debian's Chromium, driven by Playwright in Node.

Two servers with the example's data (the two acts of the demo), an empty one,
one with runs to draw, and one with 10,000 runs and 1,000 versions; the checks themselves are in the
*.test.mjs beside this file, run by Node's own test runner.
"""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import BIN, ROOT, Server

HERE = pathlib.Path(__file__).resolve().parent
MODULES = ROOT / ".deps" / "ui" / "node_modules"
TOOLS = ROOT / ".deps" / "tools" / "bin"
# The stories train models: the released binary, not the sanitized one.
RELEASE = os.environ.get("SLIPWAY_RELEASE_BIN", BIN)

sys.path.insert(0, str(ROOT / "tools"))
import demo  # noqa: E402

NODE = shutil.which("node", path=f"{TOOLS}:{os.environ['PATH']}")


def node_test(name, **env):
    """Run one file of checks; its whole report when something failed."""
    done = subprocess.run(
        [NODE, "--test", "--test-reporter=tap", str(HERE / name)],
        capture_output=True, text=True, timeout=1500,
        env={**os.environ, "PAGE_MODULES": str(MODULES),
             "PAGE_CSS": str(ROOT / "ui" / "src" / "style.css"), **env})
    report = done.stdout + done.stderr
    assert done.returncode == 0, report[-12000:]
    assert "\n# pass 0\n" not in report, "no check was run"


def esbuild(source, out):
    subprocess.run(
        [MODULES / "@esbuild" / "linux-x64" / "bin" / "esbuild", source,
         "--bundle", "--format=esm", "--tsconfig-raw={}",
         "--log-level=error", f"--outfile={out}"],
        check=True, env={**os.environ, "NODE_PATH": str(MODULES)})


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """Both acts of the demo, told at the same time."""
    folder = tmp_path_factory.mktemp("stories")
    one = demo.Server(RELEASE, folder / "one", "2023-08-31T22:00:00Z")
    two = demo.Server(RELEASE, folder / "two", "2019-12-31T22:00:00Z")
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for told in [pool.submit(demo.act_one, one),
                         pool.submit(demo.act_two, two)]:
                told.result()
        yield {"ONE": one.url, "TWO": two.url}
    finally:
        codes = [server.stop() for server in (one, two)]
    assert codes == [0, 0]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("empty")) as server:
        yield {"EMPTY": server.url}


@pytest.fixture(scope="module")
def plots(tmp_path_factory):
    """A server to which plots.test.mjs logs what is drawn."""
    with Server(tmp_path_factory.mktemp("plots")) as server:
        yield {"PLOTS": server.url}


RUNS, VERSIONS = 10_000, 1_000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """10,000 runs with a metric and parameters each, and 1,000 versions."""
    folder = tmp_path_factory.mktemp("many")
    server = demo.Server(RELEASE, folder / "many", "2023-08-31T22:00:00Z")
    try:
        base = "/api/2.0/mlflow/"
        for i in range(RUNS):
            made = server.post(base + "runs/create", {
                "experiment_id": "0", "run_name": f"run-{i}",
                "start_time": 1690000000000 + i * 1000})
            run = made["run"]["info"]["run_id"]
            server.post(base + "runs/log-batch", {
                "run_id": run, "metrics": [
                    {"key": "mae", "value": (i * 7919 % RUNS + 1) / RUNS,
                     "timestamp": 1690000000000, "step": 0}],
                "params": [{"key": "depth", "value": str(i % 7)},
                           {"key": "kind", "value": "ab"[i % 2]}]})
        server.post(base + "registered-models/create", {"name": "many"})
        for _ in range(VERSIONS):
            server.post(base + "model-versions/create", {
                "name": "many", "source": f"runs:/{run}/model",
                "run_id": run})
        yield {"MANY": server.url}
    finally:
        code = server.stop()
    assert code == 0


def test_sentences_numbers_and_addresses(tmp_path):
    units = tmp_path / "units.mjs"
    esbuild(HERE / "units.ts", units)
    node_test("words.test.mjs", UNITS=str(units))


def test_types_are_sound():
    subprocess.run([ROOT / "tools" / "build_ui.sh", "--check"], check=True)


def test_journeys_of_a_person(stories, empty):
    node_test("journeys.test.mjs", **stories, **empty)


def test_accessibility_and_layout(stories, empty):
    node_test("access.test.mjs", **stories, **empty)


def test_runs_and_searches_drawn(plots):
    node_test("plots.test.mjs", **plots)


def test_many_runs_and_versions(many):
    node_test("many.test.mjs", **many)
