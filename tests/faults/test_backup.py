"""slipway backup and restore: consistent while everything is written, whole
or not there, and refused where a byte is wrong."""
import json
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

import conftest
from conftest import Server, Shops
from test_verify import verify


def run(*args, code=0):
    done = subprocess.run([conftest.BIN, *map(str, args)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == code, (args, done.stdout, done.stderr)
    return done


def backup(data, to):
    return json.loads(run("backup", to, "--data", data, "--json").stdout)


def restore(source, to, *more):
    return json.loads(run("restore", source, "--data", to, "--json",
                          *more).stdout)


def refused(*args):
    done = run(*args, code=1)
    assert done.stderr.startswith("slipway: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder with a deployed model, and its first backup."""
    folder = tmp_path_factory.mktemp("stopped")
    with Shops(folder) as s:
        s.train().deploy(1)
        s.idle()
        answer = s.infer("next-amount", "shop", "A", "B", "C")[0]
    backup(s.data, folder / "kept")
    return folder, answer


@pytest.fixture
def place(stopped, tmp_path):
    shutil.copytree(stopped[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_restored_folder_serves_what_the_old_one_did(place, stopped):
    done = restore(place / "kept", place / "new")
    assert done["data"] == str(place / "new")
    assert verify(place / "new")["ok"]
    shutil.rmtree(place / "data")
    (place / "new").rename(place / "data")
    with Shops(place) as s:
        assert s.infer("next-amount", "shop", "A", "B", "C")[0] == stopped[1]
        assert s.get("/api/v1/events/verify")["whole"]
    assert verify(place / "data")["counts"]["predictions"] == 6


def test_a_second_backup_adds_only_what_is_new(place):
    kept = place / "kept"
    second = backup(place / "data", kept)
    assert second["new_blob_files"] == 0 and second["shared_files"] >= 3
    with Shops(place) as s:
        s.upload(os.urandom(200000))
        third = backup(s.data, kept)
    assert 1 <= third["new_blob_files"] <= 15
    assert 200000 <= third["new_bytes"] < 3_000_000
    sets = sorted(p.name for p in (kept / "sets").iterdir())
    assert len(sets) == 3 and sets[-1] == third["set"]
    # Each of them is whole, the first too.
    for name in sets:
        assert restore(kept, place / name, "--set", name)["set"] == name


def test_a_backup_under_load_has_all_that_was_acknowledged_before(tmp_path):
    rng = random.Random(31)
    acknowledged = []
    stop = threading.Event()

    def log(s):
        while not stop.is_set():
            run_id = s.post("/api/2.0/mlflow/runs/create",
                            {"experiment_id": "0"})["run"]["info"]["run_id"]
            s.post("/api/2.0/mlflow/runs/log-metric", {
                "run_id": run_id, "key": "m", "value": 1, "timestamp": 1})
            acknowledged.append(run_id)

    def infer(s):
        while not stop.is_set():
            s.infer("next-amount", "shop", "A")

    def add(s):
        days = 40
        while not stop.is_set():
            s.added("other", conftest.shops_csv(days=days))
            days += 1

    with Shops(tmp_path) as s:
        s.train().deploy(1)
        s.idle()
        s.post("/api/v1/sources/other", {"entity": "shop",
                                         "event_time": "day"}, "PUT")
        s.added("other", conftest.shops_csv(days=39))
        threads = [threading.Thread(target=fn, args=(s,), daemon=True)
                   for fn in (log, log, infer, add)]
        for t in threads:
            t.start()
        before = []
        for _ in range(4):
            time.sleep(0.2 + rng.random())
            there = list(acknowledged)
            versions = s.get("/api/v1/datasets/other")["versions"]
            made = backup(s.data, tmp_path / "kept")
            before.append((made["set"], there, [v["hash"] for v in versions]))
        stop.set()
        for t in threads:
            t.join(60)
    for name, runs, hashes in before:
        data = tmp_path / name
        restore(tmp_path / "kept", data, "--set", name)
        report = verify(data)
        assert report["ok"], report
        db = sqlite3.connect(data / "slipway.db")
        there = {r[0] for r in db.execute("SELECT id FROM track_run")}
        have = {r[0] for r in db.execute("SELECT hash FROM data_dataset")}
        db.close()
        assert set(runs) <= there and set(hashes) <= have
        shutil.rmtree(data)


def test_a_backup_that_was_killed_is_never_taken_for_one(place):
    kept, rng = place / "kept", random.Random(4)
    first = sorted(p.name for p in (kept / "sets").iterdir())
    data = place / "data"
    took = time.monotonic()
    backup(data, kept)
    took = time.monotonic() - took
    killed = 0
    for _ in range(8):
        shutil.rmtree(place / "fresh", ignore_errors=True)
        for to in (kept, place / "fresh"):
            p = subprocess.Popen([conftest.BIN, "backup", to, "--data", data],
                                 stdout=subprocess.DEVNULL)
            time.sleep(rng.random() * took * 1.2)
            p.kill()
            killed += p.wait() == -9
        for to in (kept, place / "fresh"):
            sets = to / "sets"
            whole = [n for n in (os.listdir(sets) if sets.exists() else [])
                     if not n.endswith(".partial")]
            if whole:
                run("restore", to, "--check")
            else:
                assert "no whole backup" in refused("restore", to, "--check") \
                    or not to.exists()
    assert killed >= 5, "too fast to be killed"
    made = backup(data, kept)
    names = sorted(p.name for p in (kept / "sets").iterdir())
    assert not [n for n in names if n.endswith(".partial")]
    assert set(first) <= set(names) and names[-1] == made["set"]
    restore(kept, place / "new")
    assert verify(place / "new")["ok"]


def damaged(path, at=-1):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("what", ["slipway.db", "manifest.json", "blobs.txt",
                                  "predictions", "blob", "gone"])
def test_a_wrong_byte_anywhere_stops_the_restore(place, what):
    kept = place / "kept"
    made = kept / "sets" / os.listdir(kept / "sets")[0]
    blobs = sorted(p for p in (kept / "blobs").rglob("*") if p.is_file())
    if what == "gone":
        blobs[1].unlink()
    elif what == "blob":
        damaged(blobs[1])
    elif what == "predictions":
        damaged(next(made.rglob("*.seg")), 300)
    else:
        damaged(made / what, 40)
    for more in (["--data", place / "new"], ["--check"]):
        said = refused("restore", kept, *more)
        assert "damaged" in said or "missing" in said, said
    assert not (place / "new").exists()
    assert not list(place.glob("new.restoring*"))
    # The next backup puts lost blobs back where it can see that they are.
    if what == "gone":
        backup(place / "data", kept)
        restore(kept, place / "new")


def test_a_backup_of_damaged_data_says_so_when_restored(place):
    blobs = sorted(p for p in (place / "data" / "blobs").rglob("*")
                   if p.is_file())
    for b in blobs:
        damaged(b)
    backup(place / "data", place / "other")
    said = refused("restore", place / "other", "--data", place / "new")
    assert "damaged before" in said
    assert not (place / "new").exists()
    restore(place / "other", place / "new", "--as-is")
    assert not verify(place / "new")["ok"]


def test_what_must_not_be_overwritten_is_not(place):
    kept = place / "kept"
    assert "not empty" in refused("restore", kept, "--data", place / "data")
    (place / "empty").mkdir()
    restore(kept, place / "empty")
    with Server(place) as s:
        assert "server is running" in refused("restore", kept, "--data",
                                              s.data)
    assert "data folder" in refused("backup", place / "data" / "sub", "--data",
                                    place / "data")
    (place / "photos").mkdir()
    (place / "photos" / "one.jpg").write_bytes(b"jpg")
    assert "something else" in refused("backup", place / "photos", "--data",
                                       place / "data")
    assert os.listdir(place / "photos") == ["one.jpg"]
    assert "no folder" in refused("restore", place / "nowhere", "--check")
    assert "newest is" in refused("restore", kept, "--check", "--set", "x")
    assert "--check" in run("restore", kept, code=2).stderr


def test_two_backups_at_once_into_one_folder_take_turns_or_refuse(place):
    two = [subprocess.Popen([conftest.BIN, "backup", place / "kept", "--data",
                             place / "data"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE) for _ in range(2)]
    codes = [(p.wait(60), p.stderr.read().decode()) for p in two]
    assert sorted(c for c, _ in codes)[0] == 0, codes
    for code, said in codes:
        assert code == 0 or "another backup" in said, codes
    run("restore", place / "kept", "--check")
