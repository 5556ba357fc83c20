#!/usr/bin/env python3
"""How quick the page and what it asks for are with 10,000 runs of 20 columns
and a metric of a million points; prints milliseconds, asserts nothing.

  .deps/test-venv/bin/python tests/bench/page/page.py [--bin build/slipway]
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))
import demo  # noqa: E402

RUNS, COLUMNS, POINTS = 10_000, 10, 1_000_000
BASE = "/api/2.0/mlflow/"


def seed(server):
    for i in range(RUNS):
        run = server.post(BASE + "runs/create", {
            "experiment_id": "0", "run_name": f"run-{i}",
            "start_time": 1690000000000 + i * 1000})["run"]["info"]["run_id"]
        server.post(BASE + "runs/log-batch", {
            "run_id": run,
            "metrics": [{"key": f"m{k}", "timestamp": 1690000000000, "step": 0,
                         "value": ((i + 97 * k) * 7919 % RUNS) / RUNS}
                        for k in range(COLUMNS)],
            "params": [{"key": f"p{k}", "value": str(i * (31 + k) % 97 / 10)}
                       for k in range(COLUMNS)]})
    for at in range(0, POINTS, 1000):
        server.post(BASE + "runs/log-batch", {
            "run_id": run, "metrics": [
                {"key": "loss", "value": 1 / (1 + i) + i % 13 / 100, "step": i,
                 "timestamp": 1690000000000 + i}
                for i in range(at, at + 1000)]})
    return run


def timed(server, path, times=9):
    spent, size = [], 0
    for _ in range(times):
        begin = time.perf_counter()
        server.connection.request("GET", path)
        answer = server.connection.getresponse()
        size = len(answer.read())
        spent.append((time.perf_counter() - begin) * 1e3)
        assert answer.status == 200, path
    return {"median_ms": round(statistics.median(spent), 1),
            "least_ms": round(min(spent), 1), "bytes": size}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=str(ROOT / "build" / "slipway"))
    binary = str(pathlib.Path(parser.parse_args().bin).resolve())
    node = shutil.which("node", path=f"{ROOT}/.deps/tools/bin:"
                                     f"{os.environ['PATH']}")
    cols = ",".join(f"metrics.m{k},params.p{k}" for k in range(COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        server = demo.Server(binary, pathlib.Path(folder) / "data",
                             "2023-08-31T22:00:00Z")
        try:
            run = seed(server)
            history = f"/api/v1/runs/history?run={run}&metric=loss&points=600"
            told = {name: timed(server, path) for name, path in (
                ("rows of a page", f"/api/v1/runs?limit=200&cols={cols}"),
                ("rows, sorted by a metric",
                 f"/api/v1/runs?limit=200&cols={cols}&sort=metrics.m1"),
                ("values of all runs",
                 f"/api/v1/runs/values?limit=10000&cols={cols}"),
                ("history of 1 M points", history),
                ("history, smoothed", history + "&smooth=0.6"))}
            print(json.dumps(told, indent=1), flush=True)
            subprocess.run([node, pathlib.Path(__file__).parent / "page.mjs"],
                           check=True, env={**os.environ, "URL": server.url})
        finally:
            server.stop()


main()
