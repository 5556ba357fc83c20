"""A machine that is not well: a slow disk, no descriptors left, no memory, a
clock that jumps, a database of another version."""
import hashlib
import os
import pathlib
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

import conftest
from conftest import BIN, ROOT, SHOPS_YAML, Server, Shops, eventually, shops_csv
from kill_loop import Shim
from test_verify import verify

RELEASE = os.environ.get("SLIPWAY_RELEASE_BIN", str(ROOT / "build" / "slipway"))
SHIM = pathlib.Path(RELEASE).parent / "tests" / "shim.so"
DAY_MS = 86400000
needs_shim = pytest.mark.skipif(not SHIM.exists(),
                                reason="the release build has no tests/shim.so")


@pytest.fixture
def release(monkeypatch):
    """A sanitizer has to be loaded first, so the shim goes with the release
    build."""
    monkeypatch.setattr(conftest, "BIN", RELEASE)
    monkeypatch.setenv("SLIPWAY_LIBS", str(ROOT / ".deps" / "engines"))


@pytest.fixture
def shim(tmp_path, release):
    (tmp_path / "data").mkdir()
    return Shim(SHIM, tmp_path / "data")


# ---- a slow disk ----

@needs_shim
def test_on_a_slow_disk_health_and_predictions_are_answered_at_once(tmp_path,
                                                                    shim):
    with Shops(tmp_path, env=shim.env()) as s:
        s.applied(SHOPS_YAML)
        s.added("sales", shops_csv())
        s.train().deploy(1)
        s.idle()
        shim.set(classes=3, sync_us=300000, write_us=3000)
        stop, logged = threading.Event(), []

        def log():
            while not stop.is_set():
                logged.append(s.post("/api/2.0/mlflow/runs/create", {
                    "experiment_id": "0"})["run"]["info"]["run_id"])

        threads = [threading.Thread(target=log) for _ in range(4)]
        for t in threads:
            t.start()
        took = []
        for _ in range(40):
            for path in ("/health", None):
                began = time.monotonic()
                if path:
                    assert s.call("GET", path).status == 200
                else:
                    s.infer("next-amount", "shop", "A")
                took.append(time.monotonic() - began)
        stop.set()
        for t in threads:
            t.join(60)
        shim.set(classes=0, sync_us=0, write_us=0)
        took.sort()
        assert took[len(took) // 2] < 0.05, took
        assert took[-1] < 1.0, took
        # What was acknowledged was waited for, and the disk was slow.
        assert 4 <= len(logged) < 200, len(logged)
        for run in logged:
            s.get(f"/api/2.0/mlflow/runs/get?run_id={run}")
    assert verify(s.data)["ok"]


# ---- descriptors and connections ----

def limit_files(server, count):
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE,
                     (count, resource.prlimit(server.process.pid,
                                              resource.RLIMIT_NOFILE)[1]))


def idle_connections(server, count):
    host, port = server.url.removeprefix("http://").split(":")
    taken = []
    for _ in range(count):
        c = socket.socket()
        c.settimeout(2)
        try:
            c.connect((host, int(port)))
            taken.append(c)
        except OSError:
            c.close()
    return taken


def test_without_descriptors_it_refuses_and_then_goes_on(shops):
    used = len(os.listdir(f"/proc/{shops.process.pid}/fd"))
    limit_files(shops, used + 12)
    taken = idle_connections(shops, 200)
    seen = set()
    for _ in range(4):
        try:
            seen.add(shops.call("POST", "/api/v1/uploads", os.urandom(300000),
                                timeout=3).status)
        except OSError:
            seen.add("no connection")
    assert shops.process.poll() is None, shops.log_text()[-2000:]
    assert seen - {201}, "nothing was refused"
    assert seen <= {"no connection", 201, 500, 503, 507}, seen
    for c in taken:
        c.close()
    limit_files(shops, 1024)
    eventually(lambda: shops.call("POST", "/api/v1/uploads", b"x").status ==
               201, 20, "uploads to work again")
    row = shops.add("sales", shops_csv(days=331))
    assert row["state"] == "succeeded", row
    assert verify(shops.data)["ok"]


def test_a_job_that_finds_no_descriptor_is_started_again(shops):
    # Enough for requests, too few to start a child.
    upload = shops.upload(shops_csv(days=332).encode())
    used = len(os.listdir(f"/proc/{shops.process.pid}/fd"))
    limit_files(shops, used + 1)
    job = None
    try:
        answer = shops.call("POST", "/api/v1/datasets/sales/versions", {
            "uploads": [{"upload": upload, "name": "rows.csv"}]}, timeout=10)
        job = answer.json["job"] if answer.status == 202 else None
    except OSError:
        pass
    time.sleep(0.3)
    limit_files(shops, 1024)
    if job is None:
        job = shops.post("/api/v1/datasets/sales/versions", {
            "uploads": [{"upload": upload, "name": "rows.csv"}]})["job"]
    row = shops.job(job)
    assert row["state"] == "succeeded", row


# ---- memory ----

# Asks for more addresses than a job has; touches none of them.
EATER = """import mmap
mmap.mmap(-1, 17 << 30)
print("ate it all")
"""


def test_a_script_that_eats_memory_fails_alone_and_says_so(tmp_path, release):
    """A job has at most 16 GiB of addresses, its script too."""
    with Shops(tmp_path) as s:
        (tmp_path / "eat.py").write_text(EATER)
        yaml = SHOPS_YAML.replace(
            "      xgboost:", "      script: {run: "
            f"\"{sys.executable} eat.py\"}}\n      xgboost:")
        answer = s.call("PUT", "/api/v1/project?file=slipway.yaml&dir="
                        + str(tmp_path), yaml.encode(),
                        {"Content-Type": "application/yaml"})
        assert answer.status == 200, answer.text
        row = s.job(s.post("/api/v1/models/next-amount/train")["job"])
        assert "Cannot allocate memory" in str(row), row
        assert s.call("GET", "/health").status == 200
        status = pathlib.Path(f"/proc/{s.process.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0])
        assert peak < 400_000, "the server itself grew"


# ---- the clock ----

def at_work(s, job):
    """The pid of the child that trains."""
    def look():
        row = s.get(f"/api/v1/jobs/{job}")
        assert row["state"] in ("queued", "running"), row
        return row["progress"] > 0 and s.children()
    return eventually(look, 60, "training to begin")[0]


@needs_shim
def test_a_clock_that_jumps_starts_no_storm_of_leases_or_triggers(tmp_path,
                                                                  shim):
    yaml = SHOPS_YAML + """
retrain:
  next-amount: {on: ["every: 1d"], cooldown: 12h}
"""
    shim.set(clock_ms=20 * DAY_MS)
    with Server(tmp_path, env=shim.env()) as s:
        today = time.strftime("%Y-%m-%d", time.gmtime(
            time.time() - (329 - 20) * 86400))
        s.applied(SHOPS_YAML.replace("ttl: 7d", "ttl: 30d"))
        s.added("sales", shops_csv(start=today))
        s.applied(yaml.replace("ttl: 7d", "ttl: 30d"))
        s.idle()
        job = s.post("/api/v1/models/next-amount/train", {"trials": 25})["job"]
        at_work(s, job)
        shim.set(clock_ms=25 * DAY_MS)
        row = s.job(job)
        assert (row["state"], row["attempt"]) == ("succeeded", 1), row
        # The schedule is due once, not once for each day that was skipped.
        eventually(lambda: s.get("/api/v1/flows")["flows"], 30,
                   "the schedule to fire")
        s.idle()
        fired = [d for d in s.get("/api/v1/decisions")["decisions"]
                 if d["fired"]]
        assert len(fired) == 1, fired
        # Back by three days while a retry waits: it waits no three days.
        job = s.post("/api/v1/models/next-amount/train", {"trials": 25})["job"]
        child = at_work(s, job)
        os.kill(child, signal.SIGKILL)
        shim.set(clock_ms=22 * DAY_MS)
        row = s.job(job, 60)
        assert (row["state"], row["attempt"]) == ("succeeded", 2), row
        s.idle()
        assert len([d for d in s.get("/api/v1/decisions")["decisions"]
                    if d["fired"]]) == 1
        assert s.get("/api/v1/events/verify")["whole"]
        # Started on a machine whose clock is wrong, and set right later.
        job = s.post("/api/v1/models/next-amount/train", {"trials": 25})["job"]
        at_work(s, job)
        s.kill()
        shim.set(clock_ms=21 * DAY_MS)
        s.start()
        row = s.job(job, 60)
        assert (row["state"], row["attempt"]) == ("succeeded", 2), row
    shim.set(clock_ms=0)
    report = verify(s.data)
    assert report["ok"] and not report["notes"], report


def test_a_clock_by_hand_may_jump_by_years(shops):
    shops.train()
    for now in ("2024-02-29T00:00:00Z", "2031-01-01T00:00:00Z"):
        shops.post("/api/v1/clock", {"now": now})
        shops.idle()
    answer = shops.call("POST", "/api/v1/clock",
                        {"now": "2024-01-01T00:00:00Z"})
    assert answer.status == 409
    row = shops.add("sales", shops_csv(days=335))
    assert row["state"] == "succeeded", row
    assert verify(shops.data)["ok"]


# ---- schemas of other versions ----

def migrations():
    return sorted((ROOT / "src" / "store" / "migrations").glob("*.sql"))


def old_database(path, count):
    """As a Slipway that knew the first `count` migrations left it."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = 8192")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA application_id = 0x534c5750")
    for m in migrations()[:count]:
        db.executescript(m.read_text())
        db.execute("INSERT INTO schema_migration VALUES (?, ?, ?)", (
            int(m.name[:4]), m.name,
            hashlib.sha256(m.read_bytes()).hexdigest()))
    if count >= 5:
        db.execute("INSERT INTO track_experiment VALUES (7, 'kept',"
                   " 'mlflow-artifacts:/7', 0, 5, 5)")
    db.commit()
    db.close()


@pytest.mark.parametrize("count", [1, 5, len(migrations()) - 1])
def test_an_older_database_is_copied_and_then_migrated(tmp_path, count):
    (tmp_path / "data").mkdir()
    old_database(tmp_path / "data" / "slipway.db", count)
    with Server(tmp_path) as s:
        if count >= 5:
            found = s.post("/api/2.0/mlflow/experiments/search",
                           {"max_results": 100})["experiments"]
            assert "kept" in [e["name"] for e in found]
        s.upload(b"something")
    assert verify(s.data)["ok"]
    copies = list((s.data / "backup").iterdir())
    assert [c.name for c in copies] == [f"before-{count + 1:04}.db"]
    db = sqlite3.connect(copies[0])
    assert db.execute("SELECT count(*) FROM schema_migration").fetchone()[0] \
        == count
    if count >= 5:
        assert db.execute("SELECT name FROM track_experiment WHERE id = 7"
                          ).fetchone() == ("kept",)
    db.close()
    # The second start finds nothing to do.
    with s:
        pass
    assert len(list((s.data / "backup").iterdir())) == 1


def test_a_newer_database_is_refused_and_left_alone(tmp_path):
    with Server(tmp_path) as s:
        s.upload(b"something")
    path = s.data / "slipway.db"
    db = sqlite3.connect(path)
    db.execute("INSERT INTO schema_migration VALUES (99, '0099_later.sql',"
               " 'ab')")
    db.commit()
    db.close()
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    for args in (["up", "--listen", "127.0.0.1:0"], ["verify"],
                 ["backup", str(tmp_path / "kept")]):
        done = subprocess.run([BIN, *args, "--data", str(s.data)],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done
        assert "newer Slipway" in done.stderr, done.stderr
        assert "0099_later.sql" in done.stderr
        assert done.stderr.strip().count("\n") == 0, done.stderr
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert not list((s.data / "backup").iterdir())
