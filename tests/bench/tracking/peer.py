"""The peer of `make bench-tracking`: MLflow's own server, with SQLite and its
defaults, and its database filled as seed.c fills ours.

Rows go straight into MLflow's tables, made by its own store: through its REST
interface ten thousand runs take the better part of an hour.
"""
import contextlib
import http.client
import logging
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time

ENV = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
       "GIT_PYTHON_REFRESH": "quiet"}
GOLDEN = 0.6180339887498949


def database(folder, runs=0, metrics=20, params=20, points=0):
    """A new database; the id of the run that has the points, or None."""
    os.environ.update(ENV)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    file = pathlib.Path(folder) / "mlflow.db"
    store = SqlAlchemyStore(f"sqlite:///{file}", str(folder))
    experiment = int(store.create_experiment("bench"))
    store._dispose_engine()
    db = sqlite3.connect(file)

    def run(i, run_id, name):
        return (run_id, name, "LOCAL", "", "", "bench", "FINISHED", i * 1000,
                i * 1000 + 500, "", "active",
                f"mlflow-artifacts:/{experiment}/{run_id}/artifacts",
                experiment)

    def many(table, columns, rows):
        marks = ",".join("?" * (columns.count(",") + 1))
        db.executemany(f"INSERT INTO {table}({columns}) VALUES({marks})", rows)

    ids = [f"{i + 1:032x}" for i in range(runs)]
    run_columns = ("run_uuid,name,source_type,source_name,entry_point_name,"
                   "user_id,status,start_time,end_time,source_version,"
                   "lifecycle_stage,artifact_uri,experiment_id")
    many("runs", run_columns,
         (run(i, r, f"run-{i}") for i, r in enumerate(ids)))

    def values():
        for i, r in enumerate(ids):
            for k in range(metrics):
                yield (f"metric_{k}", (i * GOLDEN + k / metrics) % 1, i * 1000,
                       1, 0, r)
    for table in ("metrics", "latest_metrics"):
        many(table, "key,value,timestamp,step,is_nan,run_uuid", values())
    many("params", "key,value,run_uuid",
         ((f"param_{k}", str((i * 7 + k) % 10), r)
          for i, r in enumerate(ids) for k in range(params)))
    many("tags", "key,value,run_uuid",
         (t for i, r in enumerate(ids) for t in (
             ("mlflow.user", "bench", r), ("mlflow.source.name", "train.py", r),
             ("mlflow.runName", f"run-{i}", r))))
    long = None
    if points:
        long = "f" * 32
        many("runs", run_columns, [run(0, long, "long")])
        many("metrics", "key,value,timestamp,step,is_nan,run_uuid",
             (("loss", i * GOLDEN % 1, i, i, 0, long) for i in range(points)))
    db.commit()
    db.close()
    return long


def tree(pid):
    """A process and its descendants."""
    found, look = [], [pid]
    while look:
        p = look.pop()
        found.append(p)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{p}/task"):
                text = pathlib.Path(
                    f"/proc/{p}/task/{task}/children").read_text()
                look += map(int, text.split())
    return found


def resident_mb(pid):
    total = 0
    for p in tree(pid):
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{p}/status").read_text()
            total += int(re.search(r"VmRSS:\s+(\d+)", text).group(1))
    return total / 1024


@contextlib.contextmanager
def server(folder, workers):
    """MLflow's server on the database of that folder; (port, pid)."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    log = open(pathlib.Path(folder) / f"mlflow-{workers}.log", "wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
         "--port", str(port), "--workers", str(workers),
         "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
         "--artifacts-destination", f"{folder}/artifacts"],
        stdout=log, stderr=log, start_new_session=True,
        env={**os.environ, **ENV})
    try:
        until = time.monotonic() + 120
        while True:
            try:
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                c.request("GET", "/health")
                if c.getresponse().status == 200:
                    break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    sys.exit("bench: MLflow's server does not start; see "
                             f"{log.name}")
                time.sleep(0.2)
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
