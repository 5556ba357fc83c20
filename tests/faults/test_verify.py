"""slipway verify: what is whole is said to be whole, and whatever is damaged,
lost or contradictory is named."""
import json
import os
import random
import shutil
import sqlite3
import subprocess

import pyarrow
import pytest

import conftest
from conftest import Shops


def verify(data):
    """The report about a folder, and the exit code."""
    done = subprocess.run([conftest.BIN, "verify", "--data", str(data),
                           "--json"], capture_output=True, text=True)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0), done.returncode
    assert report["ok"] == (report["fault_count"] == 0)
    return report


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A stopped folder with something of everything, and its hashes."""
    folder = tmp_path_factory.mktemp("whole")
    with Shops(folder) as s:
        s.added("sales", conftest.shops_csv(days=335) + "A,2023-12-01,-5\n")
        rows = random.Random(5)
        s.post("/api/v1/sources/wide", {"entity": "k", "event_time": "t"},
               "PUT")
        s.added("wide", "k,t,v\n" + "".join(
            f"{i},2023-01-01,{rows.random()}\n" for i in range(30000)))
        s.train(2).deploy(1)
        s.deploy(2)
        for _ in range(30):
            s.infer("next-amount", "shop", "A", "B")
        run = s.post("/api/2.0/mlflow/runs/create",
                     {"experiment_id": "0"})["run"]["info"]
        for step in range(3):
            s.post("/api/2.0/mlflow/runs/log-metric", {
                "run_id": run["run_id"], "key": "m", "value": step,
                "timestamp": 5, "step": step})
        s.get(f"/api/2.0/mlflow/runs/get?run_id={run['run_id']}")
        path = run["artifact_uri"].split(":/")[1].lstrip("/")
        answer = s.call("PUT", "/api/2.0/mlflow-artifacts/artifacts/"
                        f"{path}/notes.bin", os.urandom(300000))
        assert answer.status == 200, answer.text
        s.idle()
        report = s.get("/api/v1/verify")
        assert report["ok"], report
        assert "everything is as it was stored" in s.cli("verify").stdout
        assert s.cli("verify", "--data", s.data).returncode == 0
    return s.data


@pytest.fixture
def data(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "data")
    return tmp_path / "data"


def change(data, sql, *values):
    with sqlite3.connect(data / "slipway.db") as db:
        assert db.execute(sql, values).rowcount != 0, sql
    db.close()


def value(data, sql):
    db = sqlite3.connect(data / "slipway.db")
    found = db.execute(sql).fetchone()[0]
    db.close()
    return found


def blob(data, digest):
    return data / "blobs" / digest[:2] / digest[2:]


def flip(path, at=-1):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0x40
    path.write_bytes(raw)


def faults(data):
    return [f["room"] + ": " + f["what"] for f in verify(data)["faults"]]


def only(data, room, *words):
    found = faults(data)
    assert found, "nothing was found"
    assert any(f.startswith(room + ": ") and all(w in f for w in words)
               for f in found), found
    return found


def test_a_whole_folder_is_whole_and_everything_is_counted(data):
    report = verify(data)
    counts = report["counts"]
    assert report["ok"], report
    for what in ("events", "jobs", "dataset versions", "runs", "artifacts",
                 "releases", "model versions", "predictions", "recipes",
                 "blob files", "online entities"):
        assert counts[what] > 0, (what, counts)
    assert counts["predictions"] == 60
    # What was uploaded is needed by nothing once it is a dataset.
    assert counts["blob files nothing needs"] > 0


def test_a_damaged_chunk_is_named_once_with_what_needs_it(data):
    digest = value(data, "SELECT hash FROM data_dataset WHERE name = 'wide'")
    recipe = blob(data, digest).read_bytes()
    assert recipe[5] == 2, "a recipe"
    flip(blob(data, recipe[72:104].hex()))
    found = only(data, "store", "damaged", "wide@1")
    assert len(found) == 1, found


def test_a_missing_chunk_is_named(data):
    digest = value(data, "SELECT hash FROM data_dataset WHERE name = 'wide'")
    chunk = blob(data, digest).read_bytes()[32:64].hex()
    blob(data, chunk).unlink()
    only(data, "data", chunk[:12], "wide@1", "missing")


def crc32c(raw):
    crc = 0xffffffff
    for byte in raw:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def test_a_recipe_in_another_order_is_found_by_the_hash_of_the_whole(data):
    """Each chunk is good, the file is well-formed: only the sum tells."""
    digest = value(data, "SELECT hash FROM data_dataset WHERE name = 'wide'")
    raw = bytearray(blob(data, digest).read_bytes())
    raw[32:72], raw[72:112] = raw[72:112], raw[32:72]
    raw[24:28] = crc32c(raw[32:]).to_bytes(4, "little")
    raw[28:32] = crc32c(raw[:28]).to_bytes(4, "little")
    blob(data, digest).write_bytes(raw)
    only(data, "store", "do not add up", "wide@1")


def test_lost_artifacts_models_and_releases_are_named(data):
    artifact = value(data, "SELECT blob FROM track_artifact"
                           " WHERE path LIKE '%notes.bin'")
    release = value(data, "SELECT champion FROM serve_deployment")
    blob(data, artifact).unlink()
    blob(data, release).unlink()
    only(data, "track", "notes.bin", "missing")
    only(data, "registry", "release of next-amount version 2", "missing")
    only(data, "serve", "champion", "missing")


def test_what_a_release_pins_is_looked_at(data):
    release = value(data, "SELECT champion FROM serve_deployment")
    packed = pyarrow.BufferReader(blob(data, release).read_bytes()[32:])
    with pyarrow.CompressedInputStream(packed, "zstd") as plain:
        profile = json.loads(plain.read())["profile"]["blob"]
    blob(data, profile).unlink()
    only(data, "registry", "profile", "missing")


@pytest.mark.parametrize("sql,room,words", [
    ("UPDATE store_event SET payload = '{}' WHERE id = 3",
     "store", ["event 3", "changed"]),
    ("DELETE FROM store_event WHERE id = 4", "store", ["event 4", "removed"]),
    ("DELETE FROM store_event WHERE id = (SELECT max(id) FROM store_event)",
     "store", ["removed from the end"]),
    ("UPDATE data_dataset SET row_count = row_count + 1 WHERE name = 'wide'",
     "data", ["wide@1", "30001", "30000"]),
    ("UPDATE data_dataset SET quarantined_count = 7"
     " WHERE quarantine_hash <> ''", "data", ["quarantine", "7 rows"]),
    ("DELETE FROM data_dataset WHERE name = 'sales' AND version = 1",
     "data", ["versions are missing"]),
    ("UPDATE registry_alias SET version = 99", "registry", ["alias"]),
    ("UPDATE registry_model SET next_version = 1", "registry", ["handed out"]),
    ("UPDATE features_view SET def = def || ' '", "features", ["hash"]),
    ("DELETE FROM features_online WHERE entity = 'A'",
     "features", ["recent", "online"]),
    ("UPDATE features_online SET packed = x'0000'", "features", ["width"]),
    ("DELETE FROM track_run WHERE number = 1", "track", ["no longer runs"]),
    ("UPDATE track_metric SET step = step + 1 WHERE key = (SELECT id FROM"
     " track_key WHERE name = 'm')", "track", ["not their newest point"]),
    ("UPDATE track_artifact SET size = size + 1", "track", ["bytes by its"]),
    ("UPDATE train_model SET def = '{}'", "train", ["next-amount"]),
    ("UPDATE serve_deployment SET champion_version = 1",
     "serve", ["champion", "another release"]),
    ("UPDATE jobs_job SET result = ''", "jobs", ["no result"]),
    ("UPDATE jobs_job SET state = 'failed', error_rc = 'io' WHERE id = 1",
     "jobs", ["job 1", "another state"]),
    ("UPDATE flow_project SET yaml = yaml || ' '", "flow", ["project"]),
    ("INSERT INTO flow_run(model, deployment, trigger, state, spec,"
     " when_refused, version, job_id, rollout_step, reason, started_at_ms,"
     " ended_at_ms) VALUES('m', '', 'drift', 'train', '{}', 'keep', 0, 999,"
     " -1, '', 1, 0)", "flow", ["waits for job 999"]),
    ("DROP INDEX flow_run_moving", "store", ["flow_run_moving", "missing"]),
    ("CREATE TABLE mine (a) ", "store", ["mine", "none of Slipway's"]),
])
def test_rows_that_contradict_something_are_faults(data, sql, room, words):
    db = sqlite3.connect(data / "slipway.db")
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute(sql)
    db.commit()
    db.close()
    only(data, room, *words)


def test_a_dangling_reference_is_a_fault(data):
    change(data, "UPDATE registry_version SET model_id = 77")
    only(data, "store", "registry_version", "not there")


def test_a_damaged_database_is_a_fault_or_an_error_and_never_whole(data):
    path = data / "slipway.db"
    size = path.stat().st_size
    rng = random.Random(8)
    with open(path, "r+b") as f:
        for _ in range(40):
            f.seek(rng.randrange(8192, size - 600))
            f.write(os.urandom(500))
    done = subprocess.run([conftest.BIN, "verify", "--data", str(data)],
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "damaged" in done.stdout + done.stderr, done


def segment(data):
    return next((data / "predictions" / "next-amount").glob("*.seg"))


def test_a_damaged_record_of_the_prediction_log_is_a_fault(data):
    flip(segment(data), 256 + 40)
    only(data, "serve", "damaged behind its record 0", "59 whole ones")


def test_a_torn_last_record_is_only_a_note_and_the_next_start_clears_it(data):
    raw = bytearray(segment(data).read_bytes())
    end = len(raw)
    while raw[end - 8:end] == bytes(8):
        end -= 8
    raw[end:end + 4] = (200).to_bytes(4, "little")
    raw[end + 8:end + 30] = b"x" * 22
    segment(data).write_bytes(raw)
    report = verify(data)
    assert report["ok"] and "not finished" in str(report["notes"]), report
    with Shops(data.parent) as s:
        s.infer("next-amount", "shop", "A")
    report = verify(data)
    assert report["ok"] and report["counts"]["predictions"] == 61
    assert report["notes"] == []


def test_a_segment_that_is_gone_is_missed(data):
    change(data, "UPDATE serve_segment SET sealed = 1, record_count = 60")
    segment(data).unlink()
    only(data, "serve", "missing", "60 predictions")


def test_strange_files_are_named(data):
    (data / "blobs" / "ab").mkdir(exist_ok=True)
    (data / "blobs" / "ab" / "note.txt").write_text("hello")
    only(data, "store", "note.txt")


def test_what_is_no_data_folder_is_said_to_be_none(tmp_path):
    done = subprocess.run([conftest.BIN, "verify", "--data", str(tmp_path)],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "no Slipway data" in done.stderr
