"""slipway gc: what was deleted goes for good and gives its bytes back; what
anything needs stays, whoever writes meanwhile and whenever it is killed."""
import fcntl
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time

import conftest
from conftest import Server, Shops
from test_verify import verify

API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts/"
HOUR_AGO = 3600 * 24 * 3


def age(data):
    """Make every file of blobs/ three days old."""
    then = time.time() - HOUR_AGO
    for path in (data / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def used(data):
    """What du says of the data folder's blobs, bytes."""
    return sum(p.stat().st_blocks * 512
               for p in (data / "blobs").rglob("*") if p.is_file())


def collect(server, **body):
    return server.done(server.post("/api/v1/gc", body))


def experiment(server, name):
    return server.post(API + "experiments/create", {"name": name})[
        "experiment_id"]


def run(server, experiment_id):
    return server.post(API + "runs/create", {
        "experiment_id": experiment_id, "start_time": 1})["run"]["info"]


def path_of(info, name):
    assert info["artifact_uri"].startswith("mlflow-artifacts:/")
    return FILES + info["artifact_uri"][len("mlflow-artifacts:/"):] + "/" + name


def put(server, info, name, data):
    answer = server.call("PUT", path_of(info, name), data, {
        "Content-Type": "application/octet-stream"})
    assert answer.status == 200, answer.text


def log(server, info, count=200):
    server.post(API + "runs/log-batch", {
        "run_id": info["run_id"],
        "metrics": [{"key": "loss", "value": i, "timestamp": i, "step": i}
                    for i in range(count)],
        "params": [{"key": "depth", "value": "3"}],
        "tags": [{"key": "who", "value": "gc"}]})
    server.post(API + "runs/log-inputs", {"run_id": info["run_id"], "datasets": [
        {"dataset": {"name": "d", "digest": "1", "source_type": "local",
                     "source": "x"},
         "tags": [{"key": "mlflow.data.context", "value": "train"}]}]})


def delete_run(server, info):
    server.post(API + "runs/delete", {"run_id": info["run_id"]})


def rows(data, table, where=""):
    with sqlite3.connect(data / "slipway.db") as db:
        return db.execute(f"SELECT count(*) FROM {table} {where}").fetchone()[0]


def test_a_deleted_experiment_gives_its_bytes_back(server):
    kept, gone = experiment(server, "kept"), experiment(server, "gone")
    shared, own = os.urandom(3_000_000), os.urandom(6_000_000)
    a, b = run(server, kept), run(server, gone)
    put(server, a, "shared.bin", shared)
    put(server, b, "shared.bin", shared)
    put(server, b, "deep/own.bin", own)
    model = server.post(API + "logged-models", {
        "experiment_id": gone, "name": "m"})["model"]["info"]
    put(server, {"artifact_uri": model["artifact_uri"]}, "MLmodel", own[:99999])
    log(server, a), log(server, b)
    server.post(API + "experiments/delete", {"experiment_id": gone})
    age(server.data)
    before = used(server.data)

    nothing = collect(server)  # deleted a moment ago
    assert nothing["experiments"] == 0 and nothing["blob_files"] == 0
    told = collect(server, older_than="0s", dry_run=True)
    assert used(server.data) == before
    assert rows(server.data, "track_run") == 2
    done = collect(server, older_than="0s")
    for key in ("experiments", "runs", "logged_models", "artifacts",
                "artifact_bytes", "blob_files", "blob_bytes"):
        assert told[key] == done[key], (key, told, done)
    assert (done["experiments"], done["runs"], done["logged_models"]) == (
        1, 1, 1)
    assert done["artifacts"] == 3
    assert done["artifact_bytes"] == 3_000_000 + 6_000_000 + 99999
    assert before - used(server.data) > 5_900_000, "the bytes are free"

    assert server.call("GET", path_of(a, "shared.bin")).body == shared
    assert server.call("GET", path_of(b, "shared.bin")).status == 404
    assert server.call(
        "GET", f"{API}experiments/get?experiment_id={gone}").status == 404
    assert server.call("GET", f"{API}runs/get?run_id={b['run_id']}"
                       ).status == 404
    for table in ("track_run", "track_point", "track_metric", "track_param",
                  "track_input", "track_dataset"):
        assert rows(server.data, table) == 1, table
    assert rows(server.data, "track_model") == 0
    again = experiment(server, "gone")  # the name is free, the number is not
    assert int(again) == int(gone) + 1
    server.stop()
    assert verify(server.data)["ok"]


def test_only_what_was_asked_for_goes(server):
    e = experiment(server, "e")
    runs = [run(server, e) for _ in range(4)]
    for i, info in enumerate(runs):
        put(server, info, "f.txt", b"of run %d" % i)
    for info in runs[:3]:
        delete_run(server, info)
    ids = [r["run_id"] for r in runs]
    done = collect(server, older_than="0s", run_ids=[ids[1]])
    assert done["runs"] == 1
    assert [i["id"] for i in done["items"]] == [ids[1]]

    def fails(sentence, **body):
        row = server.job(server.post("/api/v1/gc", body)["job"])
        assert row["state"] == "failed", row
        assert sentence in row["error"]["message"], row

    fails("is not deleted", older_than="0s", run_ids=[ids[3]])
    fails("deleted later than the age", older_than="1d", run_ids=[ids[0]])
    fails("there is no run", older_than="0s", run_ids=["f" * 32])
    fails("is not deleted", older_than="0s", experiment_ids=[e])
    for body in ({"older_than": "soon"}, {"older": "1d"}, {"dry_run": "yes"}):
        answer = server.call("POST", "/api/v1/gc", body)
        assert answer.status == 400, answer.text
    server.post(API + "runs/restore", {"run_id": ids[0]})
    out = server.cli("gc", "--older-than", "0s", "--dry-run").stdout
    assert ids[2] in out and ids[0] not in out and "nothing was changed" in out
    done = server.cli_json("gc", "--older-than", "0s")
    assert [i["id"] for i in done["items"]] == [ids[2]]
    assert server.call("GET", path_of(runs[0], "f.txt")).body == b"of run 0"
    out = server.cli("gc", "--data", server.data, "--older-than", "0s").stdout
    assert "0 runs" in out


def test_what_a_registered_version_needs_stays(server):
    e = experiment(server, "e")
    info, other = run(server, e), run(server, e)
    put(server, info, "model/MLmodel", b"a model")
    put(server, other, "model/MLmodel", b"another model")
    model = server.post(API + "logged-models", {
        "experiment_id": e, "name": "m"})["model"]["info"]
    uri = model["artifact_uri"]
    put(server, {"artifact_uri": uri}, "MLmodel", b"logged")
    server.post(API + "registered-models/create", {"name": "iris"})
    server.post(API + "model-versions/create", {
        "name": "iris", "source": f"runs:/{info['run_id']}/model",
        "run_id": info["run_id"]})
    server.post(API + "model-versions/create", {
        "name": "iris", "source": uri, "model_id": model["model_id"]})
    server.post(API + "experiments/delete", {"experiment_id": e})
    age(server.data)
    done = collect(server, older_than="0s")
    kept = {i["id"]: i["kept"] for i in done["items"] if i["kept"]}
    assert kept[info["run_id"]] == "version 1 of iris needs it"
    assert kept[model["model_id"]] == "version 2 of iris needs it"
    assert "stay" in kept[e] and done["runs"] == 1
    for version, data in (("1", b"a model"), ("2", b"logged")):
        where = server.get(f"{API}model-versions/get-download-uri?name=iris"
                           f"&version={version}")["artifact_uri"]
        assert server.call("GET", path_of({"artifact_uri": where}, "MLmodel")
                           ).body == data
    assert server.call("GET", path_of(other, "model/MLmodel")).status == 404
    for version in ("1", "2"):
        server.post(API + "model-versions/delete", {
            "name": "iris", "version": version}, "DELETE")
    done = collect(server, older_than="0s")
    assert done["experiments"] == 1 and done["kept"] == 0
    assert done["needed_files"] == 0 and used(server.data) == 0


def test_the_whole_loop_survives_a_collection(tmp_path):
    """Datasets, releases, profiles, deployments: nothing of it is garbage."""
    with Shops(tmp_path) as s:
        s.train(2).deploy(1)
        s.deploy(2)
        s.idle()
        answer = s.infer("next-amount", "shop", "A", "B", "C")[0]
        s.upload(os.urandom(300_000))  # nobody ever named it
        age(s.data)
        before = verify(s.data)
        assert before["ok"]
        done = s.done(s.post("/api/v1/gc", {"older_than": "0s"}))
        assert done["blob_bytes"] >= 300_000 and done["runs"] == 0
        assert s.infer("next-amount", "shop", "A", "B", "C")[0] == answer
        s.post("/api/v1/deployments/next-amount/rollback", {"why": "a test"})
        s.done(s.post("/api/v1/models/next-amount/versions/1/reproduce"))
    after = verify(tmp_path / "data")
    assert after["ok"], after
    with Shops(tmp_path) as s:
        s.infer("next-amount", "shop", "A")


def test_a_young_upload_and_one_that_a_job_names_stay(server):
    server.post("/api/v1/sources/t", {"entity": "k", "event_time": "d"}, "PUT")
    data = b"k,d,v\n" + b"".join(b"%d,2023-01-01,%d\n" % (i, i * i)
                                 for i in range(50000))
    upload = server.upload(data)
    collect(server, older_than="0s", grace="10m")
    row = server.job(server.post("/api/v1/datasets/t/versions", {
        "uploads": [{"upload": upload, "name": "t.csv"}]})["job"])
    assert row["state"] == "succeeded", row
    age(server.data)
    done = collect(server, older_than="0s")
    assert done["blob_files"] >= 1, "the upload itself is no longer needed"
    row = server.job(server.post("/api/v1/datasets/t/versions", {
        "uploads": [{"upload": server.upload(data + b"7,2023-02-01,1\n"),
                     "name": "t.csv"}]})["job"])
    assert row["state"] == "succeeded", row
    server.stop()
    assert verify(server.data)["ok"]


def test_writers_of_the_same_content_win_against_a_sweep(server):
    """Uploads that find their chunks in blobs/ while these are swept: each
    piece comes again after about the two seconds that a sweep leaves it."""
    e = experiment(server, "e")
    pieces = [os.urandom(60_000) for _ in range(150)]
    stop, kept, errors, sent = threading.Event(), [], [], [0]

    def write(number):
        rng = random.Random(number)
        while not stop.is_set():
            info = run(server, e)
            data = b"".join(rng.sample(pieces, 3))
            try:
                put(server, info, "f.bin", data)
            except AssertionError as error:
                errors.append(error)
                return
            sent[0] += 1
            if rng.random() < 0.97:
                delete_run(server, info)
            else:
                kept.append((info, hashlib.sha256(data).hexdigest()))

    writers = [threading.Thread(target=write, args=(i,)) for i in range(3)]
    for w in writers:
        w.start()
    end, swept = time.monotonic() + 12, 0
    while time.monotonic() < end:
        swept += collect(server, older_than="0s", grace="0s")["blob_files"]
    stop.set()
    for w in writers:
        w.join(60)
    assert not errors
    assert len(kept) >= 3 and swept > 100, (len(kept), swept, sent)
    for info, digest in kept:
        body = server.call("GET", path_of(info, "f.bin")).body
        assert hashlib.sha256(body).hexdigest() == digest
    server.stop()
    report = verify(server.data)
    assert report["ok"], report


def test_killed_in_the_middle_and_run_again(tmp_path):
    """kill -9 of the job at moments spread over the time it takes: no fault,
    and the next one ends the work."""
    with Server(tmp_path) as s:
        e = experiment(s, "e")
        keep = run(s, e)
        data = os.urandom(500_000)
        put(s, keep, "kept.bin", data)
        for i in range(60):
            info = run(s, e)
            put(s, info, "f.bin", os.urandom(150_000))
            log(s, info, 20)
            delete_run(s, info)
        age(s.data)
    job = [conftest.BIN, "gc", "--data", str(tmp_path / "data"),
           "--older-than", "0s"]
    shutil.copytree(tmp_path / "data", tmp_path / "before")
    began = time.monotonic()
    subprocess.run(job, check=True, capture_output=True)
    took = time.monotonic() - began
    killed = 0
    for share in range(1, 17, 2):
        shutil.rmtree(tmp_path / "data")
        shutil.copytree(tmp_path / "before", tmp_path / "data")
        p = subprocess.Popen(job, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(took * share / 16)
        p.kill()
        killed += p.wait() == -9
        report = verify(tmp_path / "data")
        assert report["ok"], report
    assert killed >= 1
    with Server(tmp_path) as s:
        done = collect(s, older_than="0s")
        again = collect(s, older_than="0s")
        assert again["runs"] == again["blob_files"] == 0
        assert done["kept"] == 0
        assert s.call("GET", path_of(keep, "kept.bin")).body == data
        assert len(s.post(API + "runs/search", {
            "experiment_ids": [e], "run_view_type": "ALL"})["runs"]) == 1
        assert used(s.data) < 1_000_000
    assert verify(tmp_path / "data")["ok"]


def test_a_backup_and_a_collection_exclude_each_other(tmp_path):
    with Server(tmp_path) as s:
        collect(s)
        with open(s.data / "gc.lock", "rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)  # as a backup does
            done = s.cli("gc", "--data", s.data, check=False)
            assert done.returncode == 1 and "backup" in done.stderr
            fcntl.flock(lock, fcntl.LOCK_EX)  # as a collection does
            done = s.cli("backup", tmp_path / "kept", "--data", s.data,
                         check=False)
            assert done.returncode == 1 and "slipway gc" in done.stderr
            assert not (tmp_path / "kept").exists()
        s.cli("backup", tmp_path / "kept", "--data", s.data)
