"""Artifacts as plain files: --artifacts-destination and
--default-artifact-root, a folder or a bucket of a server that speaks S3."""
import hashlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
import requests

import mlflow
from conftest import SHOPS_YAML, Server, Shops, eventually, shops_csv
from mlflow import MlflowClient

API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret/+key",
        "AWS_DEFAULT_REGION": "eu-central-1"}


@pytest.fixture(scope="module")
def bucket_url():
    """A server that speaks S3, by somebody else."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p",
         str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def up():
        try:
            return urllib.request.urlopen(url, timeout=5).status == 200
        except OSError:
            return False
    eventually(up, 60, "moto to start")
    yield url
    process.send_signal(signal.SIGTERM)
    process.wait(30)


@pytest.fixture
def bucket(bucket_url, monkeypatch):
    import boto3
    for key, value in {**KEYS, "MLFLOW_S3_ENDPOINT_URL": bucket_url}.items():
        monkeypatch.setenv(key, value)
    urllib.request.urlopen(urllib.request.Request(
        bucket_url + "/moto-api/reset", method="POST")).read()
    s3 = boto3.resource("s3", endpoint_url=bucket_url)
    return s3.create_bucket(Bucket="slipway-test", CreateBucketConfiguration={
        "LocationConstraint": "eu-central-1"})


def put(server, path, data):
    answer = server.call("PUT", f"{FILES}/{path}", data, {
        "Content-Type": "application/octet-stream"})
    assert answer.status == 200, answer.text


def listed(server, path=""):
    return {f["path"]: (f.get("is_dir", False), int(f.get("file_size", 0)))
            for f in server.get(f"{FILES}?path={path}").get("files", [])}


def files_of(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*")
            if p.is_file()}


def check_proxy(server):
    """What both kinds of places must do behind the proxy."""
    data = os.urandom(2_500_000)
    put(server, "1/run/artifacts/a.txt", b"a")
    put(server, "1/run/artifacts/deep/er/b.bin", data)
    put(server, "1/run/artifacts/deep/with space & \u00fc+%25.txt".replace(
        " ", "%20").replace("\u00fc", "%C3%BC"), b"named")
    put(server, "1/run/artifacts/empty", b"")
    assert listed(server, "1/run/artifacts") == {
        "a.txt": (False, 1), "deep": (True, 0), "empty": (False, 0)}
    assert listed(server, "1/run/artifacts/deep") == {
        "er": (True, 0), "with space & \u00fc+%.txt": (False, 5)}
    assert listed(server, "1/none") == {}
    get = server.call("GET", f"{FILES}/1/run/artifacts/deep/er/b.bin")
    assert get.body == data and "attachment" in get.headers[
        "Content-Disposition"]
    assert server.call("GET", f"{FILES}/1/run/artifacts/empty").body == b""
    part = server.call("GET", f"{FILES}/1/run/artifacts/deep/er/b.bin",
                       headers={"Range": "bytes=1000000-1000099"})
    assert part.status == 206 and part.body == data[1000000:1000100]
    assert part.headers["Content-Range"] == "bytes 1000000-1000099/2500000"
    assert part.headers["Content-Length"] == "100"
    part = server.call("GET", f"{FILES}/1/run/artifacts/a.txt",
                       headers={"Range": "bytes=5-"})
    assert part.status == 416
    assert part.headers["Content-Range"] == "bytes */1"
    assert server.call("GET", f"{FILES}/1/run/artifacts/none").status == 404
    for bad in ("..%2fup", "a/%2e%2e/b", "1//b"):
        assert server.call("GET", f"{FILES}/{bad}").status in (400, 404)
        assert server.call("PUT", f"{FILES}/{bad}", b"x").status in (400, 404)
    put(server, "1/run/artifacts/a.txt", b"another")
    assert server.call("GET", f"{FILES}/1/run/artifacts/a.txt").body == (
        b"another")
    assert server.call("DELETE", f"{FILES}/1/run/artifacts/deep").status == 200
    assert server.call("DELETE", f"{FILES}/1/run/artifacts/deep").status == 404
    assert server.call("DELETE", f"{FILES}/1/run/artifacts/empty").status == 200
    assert listed(server, "1/run/artifacts") == {"a.txt": (False, 7)}
    assert not any(p.is_file() for p in (server.data / "blobs").rglob("*"))
    assert server.tmp_files() == []


def check_client(server, tmp_path):
    """The real client: log, list, load, delete, collect."""
    mlflow.set_tracking_uri(server.url)
    client = MlflowClient(server.url, server.url)
    e = client.create_experiment("e")
    run = client.create_run(e)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.bin").write_bytes(b"x" * 300_000)
    client.log_artifacts(run.info.run_id, str(tmp_path / "in"), "folder")
    client.log_text(run.info.run_id, "text", "t.txt")
    assert [(f.path, f.is_dir, f.file_size)
            for f in client.list_artifacts(run.info.run_id)] == [
        ("folder", True, None), ("t.txt", False, 4)]
    got = client.download_artifacts(run.info.run_id, "folder", str(tmp_path))
    assert (pathlib.Path(got) / "x.bin").read_bytes() == b"x" * 300_000
    answer = server.call(
        "GET", f"/get-artifact?run_id={run.info.run_id}&path=t.txt")
    assert answer.body == b"text"
    files = server.get(f"{API}artifacts/list?run_id={run.info.run_id}"
                       "&path=folder").get("files", [])
    assert files == [{"path": "folder/x.bin", "is_dir": False,
                      "file_size": 300000}] or [
        (f["path"], int(f["file_size"])) for f in files] == [
        ("folder/x.bin", 300000)]
    return client, e, run


def collect(server):
    return server.done(server.post("/api/v1/gc", {"older_than": "0s"}))


# ---- a folder ----

def test_a_folder_holds_plain_files(tmp_path):
    place = tmp_path / "place"
    with Server(tmp_path, "--artifacts-destination", str(place)) as s:
        check_proxy(s)
        assert (place / "1/run/artifacts/a.txt").read_bytes() == b"another"
        assert files_of(place) == {"1/run/artifacts/a.txt"}
        client, e, run = check_client(s, tmp_path)
        root = place / e / run.info.run_id / "artifacts"
        assert files_of(root) == {"folder/x.bin", "t.txt"}
        info = s.get("/api/3.0/mlflow/server-info")
        assert info["multipart_uploads_enabled"] is False
        answer = s.call("POST", "/api/2.0/mlflow-artifacts/mpu/create/1/x",
                        {"path": "x", "num_parts": 1})
        assert answer.status == 501
        assert "Multipart upload is not supported" in answer.json["message"]
        client.delete_run(run.info.run_id)
        done = collect(s)
        assert done["runs"] == 1 and done["artifact_folders"] == 1
        assert not root.exists()
        assert (place / "1/run/artifacts/a.txt").exists()


def test_no_link_leads_out_of_the_folder(tmp_path):
    place, outside = tmp_path / "place", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    with Server(tmp_path, "--artifacts-destination", str(place)) as s:
        put(s, "a/b.txt", b"b")
        (place / "a" / "out").symlink_to(outside)
        (place / "a" / "file").symlink_to(outside / "secret")
        (place / "a" / "pipe").unlink(missing_ok=True)
        os.mkfifo(place / "a" / "pipe")
        for path in ("a/out/secret", "a/file", "a/pipe"):
            answer = s.call("GET", f"{FILES}/{path}")
            assert answer.status == 400 and b"secret" != answer.body, path
        assert s.call("PUT", f"{FILES}/a/out/new", b"x").status == 400
        assert s.call("PUT", f"{FILES}/a/file", b"x").status == 400
        assert s.call("PUT", f"{FILES}/.slipway-tmp/x", b"x").status == 400
        assert listed(s, "a") == {"b.txt": (False, 1)}
        assert listed(s) == {"a": (True, 0)}
        assert s.call("DELETE", f"{FILES}/a").status == 200
        assert (outside / "secret").read_bytes() == b"secret"
        assert sorted(p.name for p in outside.iterdir()) == ["secret"]
        assert not (place / "a").exists()


def test_a_file_is_not_a_folder_and_the_other_way(tmp_path):
    with Server(tmp_path, "--artifacts-destination",
                (tmp_path / "place").as_uri()) as s:
        put(s, "a/b", b"b")
        assert s.call("PUT", f"{FILES}/a", b"x").status == 400
        assert s.call("PUT", f"{FILES}/a/b/c", b"x").status == 400
        assert s.call("GET", f"{FILES}/a").status == 400
        assert s.call("GET", f"{FILES}/a/b").body == b"b"


def test_what_was_stored_before_there_was_a_folder_is_still_there(tmp_path):
    with Server(tmp_path) as s:
        put(s, "1/r/artifacts/old.txt", b"old")
    with Server(tmp_path, "--artifacts-destination",
                str(tmp_path / "place")) as s:
        assert s.call("GET", f"{FILES}/1/r/artifacts/old.txt").body == b"old"
        assert listed(s, "1/r/artifacts") == {"old.txt": (False, 3)}


def test_a_killed_upload_leaves_nothing_in_the_folder(tmp_path):
    place = tmp_path / "place"
    (place / ".slipway-tmp").mkdir(parents=True)
    (place / ".slipway-tmp" / "999999999-00ff").write_bytes(b"half")
    with Server(tmp_path, "--artifacts-destination", str(place)) as s:
        assert files_of(place) == set()
        stop = threading.Event()

        def write():
            while not stop.is_set():
                try:
                    put(s, "k/f.bin", os.urandom(3_000_000))
                except (OSError, AssertionError):
                    return
        threads = [threading.Thread(target=write) for _ in range(3)]
        for t in threads:
            t.start()
        time.sleep(1)
        s.kill()
        stop.set()
        for t in threads:
            t.join(60)
    with Server(tmp_path, "--artifacts-destination", str(place)) as s:
        assert files_of(place) <= {"k/f.bin"}
        if listed(s, "k"):
            assert listed(s, "k") == {"f.bin": (False, 3_000_000)}


def test_clients_write_to_the_default_artifact_root(tmp_path):
    root = tmp_path / "root"
    with Server(tmp_path, "--default-artifact-root", str(root)) as s:
        e0 = s.get(API + "experiments/get?experiment_id=0")["experiment"]
        assert e0["artifact_location"] == f"{root}/0"
        client, e, run = check_client(s, tmp_path)
        assert run.info.artifact_uri == f"{root}/{e}/{run.info.run_id}/artifacts"
        assert files_of(root / e / run.info.run_id / "artifacts") == {
            "folder/x.bin", "t.txt"}
        client.create_registered_model("m")
        version = client.create_model_version(
            "m", f"{run.info.artifact_uri}/folder", run.info.run_id)
        assert version.source == f"{run.info.artifact_uri}/folder"
        own = client.create_experiment("own", artifact_location=str(
            tmp_path / "elsewhere"))
        other = client.create_run(own)
        answer = s.call("GET", f"/get-artifact?run_id={other.info.run_id}"
                        "&path=x")
        assert answer.status == 501, "not a place of this server"
        client.delete_run(run.info.run_id)
        assert collect(s)["runs"] == 0, "the version needs it"
        client.delete_model_version("m", "1")
        assert collect(s)["runs"] == 1
        assert not (root / e / run.info.run_id / "artifacts").exists()


# ---- a bucket ----

def keys(bucket):
    return {o.key for o in bucket.objects.all()}


def test_training_refuses_at_once_where_it_cannot_write(tmp_path):
    with Shops(tmp_path, "--default-artifact-root", str(tmp_path / "root")) as s:
        s.applied(SHOPS_YAML)
        s.added("sales", shops_csv())
        there = s.post(API + "experiments/create", {"name": "next-amount"})
        row = s.job(s.post("/api/v1/models/next-amount/train", {})["job"])
        assert row["state"] == "failed", row
        assert "keeps its artifacts at" in row["error"]["message"], row
        s.post(API + "experiments/update", {**there, "new_name": "other"})
        s.train()


def test_a_bucket_holds_plain_objects(tmp_path, bucket):
    with Server(tmp_path, "--artifacts-destination",
                "s3://slipway-test/some/prefix") as s:
        check_proxy(s)
        assert keys(bucket) == {"some/prefix/1/run/artifacts/a.txt"}
        client, e, run = check_client(s, tmp_path)
        assert f"some/prefix/{e}/{run.info.run_id}/artifacts/t.txt" in keys(
            bucket)
        client.delete_run(run.info.run_id)
        assert collect(s)["artifact_folders"] == 1
        assert keys(bucket) == {"some/prefix/1/run/artifacts/a.txt"}


def test_lists_of_more_than_a_page(tmp_path, bucket):
    for i in range(1203):
        bucket.put_object(Key=f"p/many/{i:04}.txt", Body=b"%d" % i)
    bucket.put_object(Key="p/many/sub/x", Body=b"")
    with Server(tmp_path, "--artifacts-destination", "s3://slipway-test/p") as s:
        files = listed(s, "many")
        assert len(files) == 1204 and files["sub"] == (True, 0)
        assert files["1202.txt"] == (False, 4)
        assert s.call("DELETE", f"{FILES}/many").status == 200
        assert keys(bucket) == set()


def test_a_large_file_goes_in_parts(tmp_path, bucket):
    data = os.urandom(70 << 20)
    with Server(tmp_path, "--artifacts-destination", "s3://slipway-test") as s:
        put(s, "big.bin", data)
        body = bucket.Object("big.bin").get()
        assert body["ETag"].strip('"').endswith("-3")
        assert hashlib.sha256(body["Body"].read()).digest() == (
            hashlib.sha256(data).digest())
        got = s.call("GET", f"{FILES}/big.bin").body
        assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
        assert s.tmp_files() == []


def test_transfers_past_the_server(tmp_path, bucket, monkeypatch):
    with Server(tmp_path, "--artifacts-destination", "s3://slipway-test/d",
                "--default-artifact-root", "s3://slipway-test/r") as s:
        info = s.get("/api/3.0/mlflow/server-info")
        assert info["multipart_uploads_enabled"] is True
        made = s.post("/api/2.0/mlflow-artifacts/mpu/create/1/run/artifacts", {
            "path": "/home/me/big.bin", "num_parts": 2})
        halves, parts = [os.urandom(5 << 20), os.urandom(1 << 20)], []
        for c, half in zip(made["credentials"], halves):
            r = requests.put(c["url"], half, timeout=60)
            r.raise_for_status()
            parts.append({"part_number": c["part_number"],
                          "etag": r.headers["ETag"], "url": c["url"]})
        s.post("/api/2.0/mlflow-artifacts/mpu/complete/1/run/artifacts", {
            "path": "/home/me/big.bin", "upload_id": made["upload_id"],
            "parts": parts})
        assert s.call("GET", f"{FILES}/1/run/artifacts/big.bin").body == (
            b"".join(halves))
        down = s.get("/api/2.0/mlflow-artifacts/presigned/1/run/artifacts/"
                     "big.bin")
        assert int(down["file_size"]) == 6 << 20
        r = requests.get(down["url"], timeout=60)
        assert r.status_code == 200 and r.content == b"".join(halves)
        assert "big.bin" in r.headers["Content-Disposition"]
        gone = s.post("/api/2.0/mlflow-artifacts/mpu/create/1/x", {
            "path": "y", "num_parts": 1})
        s.post("/api/2.0/mlflow-artifacts/mpu/abort/1/x", {
            "path": "y", "upload_id": gone["upload_id"]})
        assert "d/1/x/y" not in keys(bucket)

        client, e, run = check_client(s, tmp_path)
        assert run.info.artifact_uri.startswith("s3://slipway-test/r/")
        up = s.post(API + "artifacts/presigned-upload-url", {
            "run_id": run.info.run_id, "path": "direct/a.json"})
        requests.put(up["presigned_url"], b"{}", headers=up["headers"],
                     timeout=60).raise_for_status()
        down = s.post(API + "artifacts/presigned-download-url", {
            "run_id": run.info.run_id, "path": "direct/a.json"})
        assert requests.get(down["presigned_url"], timeout=60).content == b"{}"
        answer = s.call("POST", API + "artifacts/presigned-download-url", {
            "run_id": run.info.run_id, "path": "direct/a.json",
            "expiration": 604801})
        assert answer.status == 400


def test_the_real_client_uploads_in_parts(tmp_path, bucket, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE",
                       str(6 << 20))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(5 << 20))
    data = os.urandom(12 << 20)
    (tmp_path / "big.bin").write_bytes(data)
    with Server(tmp_path, "--artifacts-destination", "s3://slipway-test/d") as s:
        mlflow.set_tracking_uri(s.url)
        client = MlflowClient(s.url, s.url)
        run = client.create_run("0")
        client.log_artifact(run.info.run_id, str(tmp_path / "big.bin"), "m")
        stored = bucket.Object(f"d/0/{run.info.run_id}/artifacts/m/big.bin"
                               ).get()
        assert stored["ETag"].strip('"').endswith("-3")
        assert stored["Body"].read() == data


def test_a_bucket_that_is_not_there_is_said(tmp_path, bucket):
    with Server(tmp_path, "--artifacts-destination", "s3://no-such-one") as s:
        answer = s.call("PUT", f"{FILES}/x", b"x")
        assert answer.status >= 400 and answer.json["message"]
        assert s.call("GET", f"{FILES}/x").status == 404
        assert s.tmp_files() == []


@pytest.mark.parametrize("place, sentence", [
    ("gs://bucket", "a folder or s3://"), ("s3://", "names no bucket"),
    ("", "is empty"), ("file://host/x", "file:///path"),
    ("s3://slipway-test", "AWS_ACCESS_KEY_ID")])
def test_a_place_that_cannot_be_is_refused_at_the_start(tmp_path, bin_path,
                                                        place, sentence):
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run(
        [bin_path, "up", "--data", str(tmp_path / "d"), "--listen",
         "127.0.0.1:0", "--artifacts-destination", place],
        capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode != 0 and sentence in done.stderr, done.stderr
