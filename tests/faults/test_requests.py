"""Requests that are too large, stop half way or never end."""
import json
import socket
import time

import pytest

from conftest import Server, eventually

MEGABYTE = 1 << 20


def connect(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def head(method, path, *lines):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "",
                        ""]).encode()


def read_all(s):
    """What comes until the other side closes."""
    got = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                return got
            got += part
    except ConnectionError:
        return got


def status_of(answer):
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP") else None


def alive(server):
    assert server.call("GET", "/health").status == 200
    assert server.get("/api/v1/clock")


def send_slowly_until_answered(s, total):
    """Send zeros until an answer or the end; how many went."""
    block, sent = bytes(MEGABYTE), 0
    s.setblocking(True)
    s.settimeout(0.5)
    try:
        while sent < total:
            sent += s.send(block)
    except (ConnectionError, TimeoutError):
        pass
    s.settimeout(60)
    return sent


@pytest.mark.parametrize("size", ["Content-Length: 104857600",
                                  "Transfer-Encoding: chunked"])
def test_a_hundred_megabytes_on_a_json_route_are_refused_at_once(server, size):
    begin = time.monotonic()
    with connect(server) as s:
        s.sendall(head("POST", "/api/v1/clock",
                       "Content-Type: application/json", size))
        if "chunked" in size:
            chunk = b"100000\r\n" + bytes(MEGABYTE) + b"\r\n"
            try:
                for _ in range(100):
                    s.sendall(chunk)
            except ConnectionError:
                pass
        else:
            send_slowly_until_answered(s, 100 * MEGABYTE)
        answer = read_all(s)
    assert status_of(answer) == 413, answer[:200]
    assert time.monotonic() - begin < 15
    assert server.tmp_files() == []
    alive(server)


def test_the_refusal_names_the_limit(server):
    with connect(server) as s:
        s.sendall(head("PUT", "/api/v1/project", "Content-Type: text/yaml",
                       "Content-Length: 2000000"))
        answer = read_all(s)
    assert status_of(answer) == 413
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]


def test_an_upload_that_is_cut_leaves_no_file(server):
    with connect(server) as s:
        s.sendall(head("POST", "/api/v1/uploads",
                       "Content-Type: application/octet-stream",
                       f"Content-Length: {8 * MEGABYTE}"))
        s.sendall(bytes(4 * MEGABYTE))
        eventually(lambda: server.tmp_files(), 20, "the upload to begin")
    eventually(lambda: server.tmp_files() == [], 30, "tmp/ to be empty")
    alive(server)
    assert server.call("POST", "/api/v1/uploads", b"whole").status == 201


def test_bodies_that_stop_half_way_are_closed_within_the_deadline(server):
    """One on a JSON route, one upload, one head that never ends."""
    begin = time.monotonic()
    half = [head("POST", "/api/v1/clock", "Content-Type: application/json",
                 "Content-Length: 1000") + b'{"now": ',
            head("POST", "/api/v1/uploads", "Content-Length: 100000") +
            bytes(100),
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Never: "]
    sockets = [connect(server) for _ in half]
    for s, text in zip(sockets, half):
        s.sendall(text)
    alive(server)
    for s in sockets:
        answer = read_all(s)
        assert status_of(answer) in (None, 408), answer[:200]
        s.close()
    assert time.monotonic() - begin < 45
    eventually(lambda: server.tmp_files() == [], 10, "tmp/ to be empty")
    alive(server)


def test_a_hundred_connections_that_say_nothing_keep_nobody_out(server):
    idle = [connect(server) for _ in range(100)]
    alive(server)
    for s in idle:
        s.close()


def test_a_client_that_leaves_before_its_answer_harms_nobody(server):
    for _ in range(20):
        with connect(server) as s:
            s.sendall(head("GET", "/api/v1/idle?wait_ms=3000"))
    alive(server)
