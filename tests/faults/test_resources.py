"""No space, no engine, no memory: a sentence, and the server lives."""
import ctypes
import os
import resource
import shutil
import subprocess

import pytest

from conftest import BIN, ROOT, Server, Shops, eventually, shops_csv

MEGABYTE = 1 << 20
MLFLOW = "/api/2.0/mlflow/"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MB, or skip."""
    where = tmp_path / "disk"
    where.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none",
                           str(where)], capture_output=True)
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root: the next test stands in")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def refused_for_space(answer):
    assert answer.status in (507, 500), (answer.status, answer.text)
    assert "space" in answer.text or "too large" in answer.text, answer.text


def test_a_full_disk_refuses_with_a_sentence_and_recovers(tmp_path,
                                                          small_disk):
    with Server(tmp_path, "--clock", "2023-12-01") as s:
        s.stop()
        shutil.copytree(s.data, small_disk / "data")
        s.data = small_disk / "data"
        s.start()
        s.post("/api/v1/sources/sales", {"entity": "shop",
                                         "event_time": "day"}, "PUT")
        one = s.added("sales", shops_csv(days=50))
        run = s.post(MLFLOW + "runs/create", {"experiment_id": "0"})[
            "run"]["info"]["run_id"]
        for step in range(3):
            s.post(MLFLOW + "runs/log-metric", {
                "run_id": run, "key": "loss", "value": 9 - step,
                "timestamp": 5, "step": step})
        filler = small_disk / "filler"
        with open(filler, "wb") as f:
            try:
                while True:
                    f.write(bytes(65536))
                    f.flush()
            except OSError:
                pass
        refused_for_space(s.call("POST", "/api/v1/uploads",
                                 os.urandom(4 * MEGABYTE)))
        assert s.tmp_files() == []
        for _ in range(5):
            answer = s.call("PUT", "/api/v1/sources/other",
                            {"event_time": "x" * 100000})
            assert answer.status in (200, 507, 500, 503), answer.text
        assert s.call("GET", "/health").status == 200
        for _ in range(5):  # newest values are entered when somebody reads
            answer = s.call("GET", MLFLOW + f"runs/get?run_id={run}")
            assert answer.status == 200, answer.text
            points = s.get(MLFLOW + "metrics/get-history?metric_key=loss"
                           f"&run_id={run}")["metrics"]
            assert [p["value"] for p in points] == [9, 8, 7]
        assert s.get("/api/v1/datasets/sales")["versions"][0]["hash"] == \
            one["hash"]
        filler.unlink()
        newest = s.get(MLFLOW + f"runs/get?run_id={run}")["run"]["data"]
        assert [m["value"] for m in newest["metrics"]] == [7]
        two = s.added("sales", shops_csv(days=60))
        assert two["version"] == 2
        assert s.get("/api/v1/events/verify")["whole"] is True


def test_a_limit_on_the_size_of_files_is_no_death(tmp_path):
    """As a disk that fills up, for machines where none can be mounted."""
    with Server(tmp_path) as s:
        limit = 24 * MEGABYTE
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        answer = s.call("POST", "/api/v1/uploads", os.urandom(30 * MEGABYTE))
        assert answer.status >= 500, answer.status
        assert answer.json["error"]
        assert s.call("GET", "/health").status == 200
        assert s.call("POST", "/api/v1/uploads", b"small").status == 201
        eventually(lambda: s.tmp_files() == [], 10, "no temporary file")


@pytest.fixture
def lone_binary(tmp_path):
    """A copy of the program with engines of its own choice beside it."""
    home = tmp_path / "home"
    (home / "engines").mkdir(parents=True)
    shutil.copy(BIN, home / "slipway")
    beside = os.path.join(os.path.dirname(os.path.realpath(BIN)), "engines")
    for name in ("duckdb", "libsvm", "openblas"):
        os.symlink(os.path.join(beside, name + ".so"),
                   home / "engines" / (name + ".so"))
    return home / "slipway"


def test_training_without_its_engine_fails_with_the_remedy(tmp_path,
                                                           lone_binary,
                                                           monkeypatch):
    monkeypatch.setattr("conftest.BIN", str(lone_binary))
    with Shops(tmp_path, env={"SLIPWAY_LIBS": str(ROOT / ".deps" / "engines"),
                              "SLIPWAY_ENGINES": ""}) as s:
        started = s.post("/api/v1/models/next-amount/train")
        row = s.job(started["job"])
        assert row["state"] == "failed", row
        assert "xgboost" in row["error"]["message"] and "doctor" in row["error"]["message"], row
        assert s.get("/api/v1/models/next-amount")["versions"] == []
        assert s.call("GET", "/health").status == 200


def test_without_duckdb_data_are_refused_with_the_remedy(tmp_path, lone_binary,
                                                         monkeypatch):
    (lone_binary.parent / "engines" / "duckdb.so").unlink()
    monkeypatch.setattr("conftest.BIN", str(lone_binary))
    with Server(tmp_path, env={"SLIPWAY_ENGINES": ""}) as s:
        s.post("/api/v1/sources/sales", {"entity": "shop",
                                         "event_time": "day"}, "PUT")
        row = s.add("sales", shops_csv(days=3))
        assert row["state"] == "failed"
        assert "duckdb" in row["error"]["message"] and "doctor" in row["error"]["message"], row
        assert s.call("GET", "/health").status == 200


@pytest.mark.parametrize("expression", [
    "len(list(range)) FROM range(2000000000)",
    "len(string_agg(repeat('x', 100000), '')) FROM range(100000)"])
def test_sql_that_wants_all_the_memory_fails_alone(shops, expression):
    part = expression if "FROM" in expression else expression + " FROM range(1)"
    answer = shops.call("PUT", "/api/v1/features/greedy", {
        "entity": "shop", "event_time": "day",
        "sql": f"SELECT shop, day, (SELECT {part}) AS n FROM sales"})
    assert answer.status == 200, answer.text
    answer = shops.call("POST", "/api/v1/features/historical", {
        "views": ["greedy"], "rows": [{"shop": "A",
                                       "event_time": "2023-09-10"}]})
    assert answer.status >= 400, answer.text[:300]
    assert answer.json["error"]
    assert shops.call("GET", "/health").status == 200
    status = open(f"/proc/{shops.process.pid}/status").read()
    assert "VmRSS" in status
    assert eventually(lambda: not shops.children(), 20, "the child to end")
