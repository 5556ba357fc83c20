"""Artifacts over MLflow's proxy: streamed in constant memory, in parts, and
nothing left of an upload that did not end."""
import hashlib
import http.client
import os
import pathlib
import socket
import time

import pytest

import conftest
from conftest import ROOT, Server, eventually

FILES = "/api/2.0/mlflow-artifacts/artifacts"
RELEASE = os.environ.get("SLIPWAY_RELEASE_BIN", str(ROOT / "build" / "slipway"))
SIZE = int(os.environ.get("SLIPWAY_TEST_ARTIFACT_SIZE", 256 << 20))
PIECE = 1 << 20


@pytest.fixture
def release(monkeypatch):
    """The release build: sanitizers make memory of their own."""
    if pathlib.Path(RELEASE).exists():
        monkeypatch.setattr(conftest, "BIN", RELEASE)
    else:
        pytest.skip("no release build")


def resident(server):
    """Bytes of the server's memory that are its own: VmRSS but for files."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return sum(int(fields[k].split()[0]) * 1024 for k in ("RssAnon",
                                                          "RssShmem"))


def pieces(size):
    """Bytes of which every other piece is new and does not compress."""
    same = b"the same again " * (PIECE // 15 + 1)
    seed = os.urandom(32)
    for i in range(size // PIECE):
        if i % 2:
            yield same[:PIECE]
            continue
        yield hashlib.shake_256(seed + i.to_bytes(8, "big")).digest(PIECE)


def connection(server):
    return http.client.HTTPConnection(server.url[len("http://"):], timeout=300)


def test_a_large_file_goes_up_and_down_in_constant_memory(release, tmp_path):
    with Server(tmp_path) as s:
        s.call("PUT", FILES + "/warm/up.bin", os.urandom(3 << 20))
        assert len(s.call("GET", FILES + "/warm/up.bin").body) == 3 << 20
        before, peak = resident(s), 0
        sent, got = hashlib.sha256(), hashlib.sha256()

        def body():
            nonlocal peak
            for piece in pieces(SIZE):
                sent.update(piece)
                yield piece
                peak = max(peak, resident(s))
        c = connection(s)
        c.request("PUT", FILES + "/big/file.bin", body(), {
            "Content-Length": str(SIZE),
            "Content-Type": "application/octet-stream"})
        reply = c.getresponse()
        assert reply.status == 200 and reply.read() == b"{}"
        peak = max(peak, resident(s))
        begin = time.monotonic()
        c.request("GET", FILES + "/big/file.bin")
        reply = c.getresponse()
        assert reply.status == 200
        assert reply.headers["Content-Length"] == str(SIZE)
        first = time.monotonic() - begin
        while piece := reply.read(PIECE):
            got.update(piece)
            peak = max(peak, resident(s))
        c.close()
        assert got.digest() == sent.digest()
        print(f"{SIZE >> 20} MiB: {(peak - before) / 1e6:.1f} MB more, first "
              f"byte after {first * 1e3:.0f} ms")
        assert peak - before < 30e6
        assert first < 2, "the answer begins before all is unpacked"
        assert list((s.data / "cache").iterdir()) == [], "no plain copies"
        stored = sum(p.stat().st_size
                     for p in (s.data / "blobs").rglob("*") if p.is_file())
        assert stored < 0.6 * SIZE, "the same is kept once"
        assert s.tmp_files() == []


@pytest.mark.parametrize("size", [1, 1000, 700_000, 5_000_000])
def test_parts_of_a_file(server, size):
    data = os.urandom(size)
    path = FILES + "/parts/file.bin"
    assert server.call("PUT", path, data).status == 200

    def part(value, **more):
        return server.call("GET", path, headers={"Range": value, **more})

    whole = server.call("GET", path)
    assert whole.body == data and whole.headers["Accept-Ranges"] == "bytes"
    tag = whole.headers["ETag"]
    last = size - 1
    for value, first, end in (
            ("bytes=0-0", 0, 1), (f"bytes={last}-", last, size),
            (f"bytes={size // 3}-{size // 2}", size // 3, size // 2 + 1),
            ("bytes=-1", last, size), (f"bytes=-{size + 5}", 0, size),
            (f"bytes=0-{size * 2}", 0, size)):
        answer = part(value)
        assert answer.status == 206, value
        assert answer.body == data[first:end], value
        assert answer.headers["Content-Range"] == (
            f"bytes {first}-{end - 1}/{size}")
    for value in (f"bytes={size}-", f"bytes={size + 10}-{size + 20}",
                  "bytes=-0"):
        answer = part(value)
        assert answer.status == 416, value
        assert answer.headers["Content-Range"] == f"bytes */{size}"
    assert part("bytes=0-0", **{"If-Range": tag}).status == 206
    answer = part("bytes=0-0", **{"If-Range": '"another"'})
    assert answer.status == 200 and answer.body == data
    for value in ("lines=1-2", "bytes=a-b", "bytes=5-2", "bytes"):
        answer = part(value)
        assert answer.status == 200 and answer.body == data, value
    answer = server.call("HEAD", path)
    assert answer.status == 200 and answer.body == b""
    assert answer.headers["Content-Length"] == str(size)


def test_an_empty_file_and_parts_of_it(server):
    assert server.call("PUT", FILES + "/none.txt", b"").status == 200
    answer = server.call("GET", FILES + "/none.txt")
    assert answer.status == 200 and answer.body == b""
    answer = server.call("GET", FILES + "/none.txt",
                         headers={"Range": "bytes=0-"})
    assert answer.status == 416


def test_a_damaged_chunk_ends_the_connection_and_gives_no_wrong_byte(server):
    data = os.urandom(8 << 20)
    server.call("PUT", FILES + "/f.bin", data)
    chunks = [p for p in (server.data / "blobs").rglob("*")
              if p.is_file() and p.read_bytes()[5] == 1]
    victim = max(chunks, key=lambda p: data.find(p.read_bytes()[32:]))
    at = data.find(victim.read_bytes()[32:])
    assert at > 1 << 20
    raw = bytearray(victim.read_bytes())
    raw[-1] ^= 1
    victim.write_bytes(raw)
    c = connection(server)
    c.request("GET", FILES + "/f.bin")
    reply = c.getresponse()
    with pytest.raises(http.client.IncompleteRead) as failed:
        reply.read()
    assert data.startswith(failed.value.partial)
    assert len(failed.value.partial) <= at
    assert server.call("GET", "/health").status == 200
    answer = server.call("GET", FILES + "/f.bin",
                         headers={"Range": "bytes=0-99"})
    assert answer.body == data[:100], "the other chunks are as they were"


# ---- uploads that do not end ----

def half_upload(server, name, size=4 << 20, chunked=False):
    """Send the head and half of the body; the open socket."""
    host, port = server.url[len("http://"):].split(":")
    s = socket.create_connection((host, int(port)), 30)
    how = ("Transfer-Encoding: chunked" if chunked
           else f"Content-Length: {size}")
    s.sendall(f"PUT {FILES}/{name} HTTP/1.1\r\nHost: {host}:{port}\r\n{how}\r\n"
              "Content-Type: application/octet-stream\r\n\r\n".encode())
    half = os.urandom(size // 2)
    s.sendall(b"%x\r\n%s\r\n" % (len(half), half) if chunked else half)
    eventually(lambda: any((server.data / "tmp" / n).stat().st_size == len(half)
                           for n in server.tmp_files()),
               what="half of the upload to arrive")
    return s


def nothing_there(server, name):
    assert server.call("GET", f"{FILES}/{name}").status == 404
    folder = name.rpartition("/")[0]
    assert server.get(f"{FILES}?path={folder}").get("files", []) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_that_is_cut_leaves_nothing(server, chunked):
    s = half_upload(server, "cut/f.bin", chunked=chunked)
    nothing_there(server, "cut/f.bin")
    s.close()
    eventually(lambda: server.tmp_files() == [], what="the file to go")
    nothing_there(server, "cut/f.bin")
    assert not any(p.is_file() for p in (server.data / "blobs").rglob("*"))


def test_a_body_shorter_than_it_said_leaves_nothing_and_the_old_file(server):
    server.call("PUT", f"{FILES}/short/f.bin", b"the old one")
    s = half_upload(server, "short/f.bin")
    s.shutdown(socket.SHUT_WR)
    eventually(lambda: server.tmp_files() == [], what="the file to go")
    assert b" 200 " not in s.recv(100)
    s.close()
    assert server.call("GET", f"{FILES}/short/f.bin").body == b"the old one"


def test_killed_in_the_middle_of_an_upload_leaves_nothing(tmp_path):
    with Server(tmp_path) as server:
        server.call("PUT", f"{FILES}/kept/f.bin", b"kept")
        s = half_upload(server, "killed/f.bin")
        server.kill()
        s.close()
        assert len(server.tmp_files()) == 1
    with Server(tmp_path) as server:
        assert server.tmp_files() == []
        nothing_there(server, "killed/f.bin")
        assert server.call("GET", f"{FILES}/kept/f.bin").body == b"kept"
