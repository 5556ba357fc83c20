"""What the server does for its web page: files, headers, addresses, the event
stream, and which hosts and origins it takes."""
import gzip
import hashlib
import http.client
import json
import re
import socket
import threading
import time

import pytest

from conftest import Server, Shops, eventually

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def address(server):
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


def raw(server, text):
    """Status, headers and body of one request given as bytes."""
    c = http.client.HTTPConnection(*address(server), timeout=30)
    c.connect()
    c.sock.sendall(text)
    answer = http.client.HTTPResponse(c.sock)
    answer.begin()
    body = answer.read()
    c.close()
    return answer.status, answer.headers, body


# ---- the page's files ----

@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("page")) as s:
        yield s


def assets(one):
    page = one.call("GET", "/").text
    found = re.findall(r'(?:src|href)="([^"]+)"', page)
    return [f for f in found if not f.startswith("data:")]


def test_the_page_names_only_our_own_files_by_their_content(one):
    names = assets(one)
    assert names and all(re.fullmatch(
        r"/assets/app-[0-9a-f]{16}\.(js|css)", n) for n in names), names
    for name in names:
        answer = one.call("GET", name)
        assert answer.status == 200
        digest = hashlib.sha256(answer.body).hexdigest()
        assert digest.startswith(re.search(r"-([0-9a-f]+)\.", name).group(1))
        assert answer.headers["Cache-Control"] == \
            "public, max-age=31536000, immutable"
    assert one.call("GET", "/").headers["Cache-Control"] == "no-cache"
    assert one.call("GET", "/assets/app-0000000000000000.js").status == 404
    assert one.call("GET", "/assets/index-0000000000000000.html").status == 404


def test_the_page_may_load_and_run_nothing_but_its_own(one):
    page = one.call("GET", "/")
    policy = dict(part.strip().split(" ", 1) for part in
                  page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    # no inline script or style, which the policy would forbid
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text)
    assert "<style" not in page.text and "style=" not in page.text


def test_files_are_sent_compressed_to_those_who_take_it(one):
    for path in ["/", *assets(one)]:
        plain = one.call("GET", path, headers={"Accept-Encoding": "identity"})
        zipped = one.call("GET", path,
                          headers={"Accept-Encoding": "br, gzip;q=0.5"})
        refused = one.call("GET", path,
                           headers={"Accept-Encoding": "gzip;q=0"})
        assert "Content-Encoding" not in plain.headers
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(zipped.body) == plain.body == refused.body
        assert plain.headers["ETag"] != zipped.headers["ETag"]
        assert "Accept-Encoding" in zipped.headers["Vary"]


def test_what_the_browser_has_is_not_sent_again(one):
    for path in ["/", *assets(one)]:
        tag = one.call("GET", path).headers["ETag"]
        for header in (tag, f'"other", W/{tag}', "*"):
            again = one.call("GET", path, headers={"If-None-Match": header})
            assert again.status == 304 and again.body == b"", header
            assert again.headers["ETag"] == tag
        assert one.call("GET", path,
                        headers={"If-None-Match": '"other"'}).status == 200


@pytest.mark.parametrize("path", [
    "/runs", "/runs/0123abcd", "/runs/compare?ids=a,b", "/models/next-close/8",
    "/deployments/next-close?at=2020-03-04T12:00Z", "/data/prices/3f9a2c",
    "/monitoring/x?window=2023-12-27&col=volume", "/settings/access",
    "/apis", "/healthy", "/v3"])
def test_addresses_of_the_page_are_the_page(one, path):
    page = one.call("GET", "/").body
    answer = one.call("GET", path, headers=HTML)
    assert answer.status == 200 and answer.body == page
    assert "text/html" in answer.headers["Content-Type"]
    # for programs there is nothing
    assert one.call("GET", path).status == 404
    assert one.call("GET", path, headers={
        "Accept": "application/json"}).status == 404
    # and it cannot be posted to
    assert one.call("POST", path, {}, headers=HTML).status == 404


@pytest.mark.parametrize("path", [
    "/api/v1/nothing", "/ajax-api/2.0/nothing", "/v1/nothing", "/v2/nothing",
    "/v2/models/none", "/metrics/x", "/health/x", "/version/x", "/ping/x",
    "/invocations/x", "/openapi.json/x", "/get-online-features/x",
    "/assets/none.js", "/api"])
def test_paths_of_the_api_are_never_the_page(one, path):
    answer = one.call("GET", path, headers=HTML)
    assert answer.status == 404, (path, answer.status)
    assert "json" in answer.headers["Content-Type"]


def test_a_page_address_cannot_hide_a_path(one):
    for path in ("/runs/../api", "/runs//x", "/runs/%00", "/%ff"):
        assert one.call("GET", path, headers=HTML).status == 400
    assert one.call("GET", "/deployments/x/invocations",
                    headers=HTML).status == 405


def test_the_page_is_shown_without_a_token_and_nothing_else(tmp_path):
    with Server(tmp_path) as s:
        secret = s.post("/api/v1/tokens", {"name": "a", "role": "admin"})[
            "secret"]
        for path in ["/", *assets(s)]:
            assert s.call("GET", path).status == 200
        assert s.call("GET", "/runs/1", headers=HTML).status == 200
        for path in ("/api/v1/stream", "/api/v1/events", "/api/v1/jobs"):
            assert s.call("GET", path).status == 401
        assert s.call("GET", "/api/v1/events", headers={
            "Authorization": f"Bearer {secret}"}).status == 200


def test_what_others_uploaded_cannot_act_as_our_page(one):
    """An artifact that is HTML is sent, but sandboxed."""
    run = one.post("/api/2.0/mlflow/runs/create",
                   {"experiment_id": "0", "start_time": 1})["run"]["info"]
    path = "/api/2.0/mlflow-artifacts/artifacts/0/" \
        f"{run['run_id']}/artifacts/evil.html"
    done = one.call("PUT", path, b"<script>alert(1)</script>", {
        "Content-Type": "text/html"})
    assert done.status == 200, done.text
    answer = one.call("GET", path, headers=HTML)
    assert answer.status == 200 and b"alert" in answer.body
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# ---- hosts and origins ----

def test_other_hosts_are_refused_with_what_to_do(one):
    for method, path in (("GET", "/api/v1/jobs"), ("POST", "/api/v1/clock"),
                         ("GET", "/"), ("GET", "/runs/1")):
        status, _, body = raw(
            one, f"{method} {path} HTTP/1.1\r\nHost: evil.example:8080\r\n"
            "Accept: text/html\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n".encode())
        assert status == 421, (method, path)
        assert "--host evil.example" in json.loads(body)["error"]


def test_probes_may_come_by_any_name(one):
    for path in ("/health", "/metrics", "/version"):
        status, _, _ = raw(one, f"GET {path} HTTP/1.1\r\nHost: pod.cluster\r\n"
                           "Connection: close\r\n\r\n".encode())
        assert status == 200, path


def test_rebinding_cannot_change_anything_and_nothing_is_written(one):
    before = one.get("/api/v1/events/verify")["events"]
    _, port = address(one)
    for host, origin, status in (
            ("evil.example", "http://evil.example", 421),
            (f"127.0.0.1:{port}", "http://evil.example", 403),
            (f"127.0.0.1:{port}", "null", 403),
            (f"127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", 403),
            (f"127.0.0.1:{port}", f"http://localhost:{port}", 403),
            (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}", 201),
            (f"localhost:{port}", f"http://localhost:{port}", 409)):
        body = b'{"name": "e", "role": "reader"}'
        got, _, text = raw(
            one, (f"POST /api/v1/tokens?dry_run=false HTTP/1.1\r\n"
                  f"Host: {host}\r\nOrigin: {origin}\r\n"
                  "Content-Type: application/json\r\nConnection: close\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n").encode() + body
            if status not in (201, 409) else
            (f"POST /api/v1/clock HTTP/1.1\r\nHost: {host}\r\n"
             f"Origin: {origin}\r\nContent-Type: application/json\r\n"
             "Connection: close\r\nContent-Length: 10\r\n\r\n"
             '{"now": 1}').encode())
        if status in (201, 409):  # taken: the clock then says its own no
            assert got not in (403, 421), (host, origin, text)
        else:
            assert got == status, (host, origin, got, text)
            assert json.loads(text)["error"]
    assert one.get("/api/v1/events/verify")["events"] == before


def test_names_given_by_host_are_taken(tmp_path):
    with Server(tmp_path, "--host", "ml.example", "--host",
                "other.example:7000") as s:
        for host, status in (("ml.example", 200), ("ML.example:99", 200),
                             ("other.example:7000", 200),
                             ("other.example:7001", 421), ("x.example", 421)):
            got, _, _ = raw(s, f"GET /api/v1/jobs HTTP/1.1\r\nHost: {host}\r\n"
                            "Connection: close\r\n\r\n".encode())
            assert got == status, host


# ---- the stream ----

class Stream:
    """One client of GET /api/v1/stream; reads when asked to."""

    def __init__(self, server, last_id=None, rcvbuf=None, query=""):
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(30)
        self.sock.connect(address(server))
        extra = f"Last-Event-ID: {last_id}\r\n" if last_id is not None else ""
        self.sock.sendall(f"GET /api/v1/stream{query} HTTP/1.1\r\n"
                          f"Host: 127.0.0.1\r\n{extra}\r\n".encode())
        self.answer = http.client.HTTPResponse(self.sock)
        self.answer.begin()
        self.rest, self.ended = b"", False

    @property
    def status(self):
        return self.answer.status

    def next(self):
        """The next message with data: (kind, id, data); None at the end."""
        while not self.ended:
            block, found, rest = self.rest.partition(b"\n\n")
            if not found:
                more = self.answer.read1(65536)
                self.ended = not more
                self.rest += more
                continue
            self.rest = rest
            fields = {}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
            if "data" in fields:
                return (fields["event"], fields.get("id"),
                        json.loads(fields["data"]))
        return None

    def until(self, check):
        while True:
            m = self.next()
            assert m, "the stream ended"
            if check(*m):
                return m

    def close(self):
        self.answer.close()
        self.sock.close()


def events_of(server):
    rows, after = [], 0
    while True:
        page = server.get(f"/api/v1/events?after={after}&limit=1000")
        if not page["events"]:
            return rows
        rows += page["events"]
        after = page["after"]


def emit(server, count=1):
    """Events that cost little: an alias that is set again."""
    version = "/api/2.0/mlflow/model-versions/get?name=m&version=1"
    if server.call("GET", version).status != 200:
        server.post("/api/2.0/mlflow/registered-models/create", {"name": "m"})
        server.post("/api/2.0/mlflow/model-versions/create",
                    {"name": "m", "source": "s3://bucket/m"})
    for _ in range(count):
        server.post("/api/2.0/mlflow/registered-models/alias",
                    {"name": "m", "alias": "a", "version": "1"})


def test_every_event_comes_once_in_order_as_the_log_has_it(server):
    emit(server, 3)
    before = events_of(server)
    s = Stream(server)
    assert s.status == 200
    assert s.answer.headers["Content-Type"].startswith("text/event-stream")
    assert s.answer.headers["Cache-Control"] == "no-store"
    emit(server, 5)
    wanted = events_of(server)[len(before):]
    assert len(wanted) >= 5
    for row in wanted:
        kind, number, data = s.until(lambda k, i, d: i is not None)
        assert (kind, int(number)) == (row["kind"], row["id"])
        assert data == row
    s.close()


def test_a_client_goes_on_behind_what_it_has_seen(server):
    emit(server, 20)
    rows = events_of(server)
    for query, last in (("", rows[3]["id"]), ("", 0)):
        s = Stream(server, last)
        for row in rows[last:]:
            assert s.until(lambda k, i, d: i)[2] == row
        s.close()
    s = Stream(server, query=f"?last_event_id={rows[-2]['id']}")
    assert s.until(lambda k, i, d: i)[2] == rows[-1]
    s.close()
    s = Stream(server, 10 ** 12)  # of another store: from now on
    emit(server, 1)
    assert int(s.until(lambda k, i, d: i)[1]) > rows[-1]["id"]
    s.close()
    bad = Stream(server, "x")
    assert bad.status == 400
    bad.close()


def test_jobs_are_told_as_they_move_and_end(shops):
    s = Stream(shops)
    job = shops.post("/api/v1/models/next-amount/train", {"seed": 5})["job"]
    seen, at = [], []
    while True:
        kind, _, data = s.until(lambda k, i, d: k == "job" and d["id"] == job)
        seen.append(data)
        at.append(time.monotonic())
        if data["state"] not in ("queued", "running"):
            break
    assert seen[-1]["state"] == "succeeded"
    assert seen[-1] == shops.get(f"/api/v1/jobs/{job}")
    progress = [d["progress"] for d in seen]
    assert progress == sorted(progress) and len(seen) >= 2
    # at most four a second, the last one besides
    assert len(seen) <= 4 * (at[-1] - at[0] + 1) + 2
    s.close()


def test_figures_come_every_two_seconds(shops):
    shops.train().deploy(1)
    shops.done(shops.post("/api/v1/features/materialize"))
    s = Stream(shops)
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            shops.infer("next-amount", "shop", "A")
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        row = s.until(lambda k, i, d: k == "live" and
                      d[0]["requests_per_s"] > 0)[2][0]
        begin = time.monotonic()
        s.until(lambda k, i, d: k == "live")
        assert 1.0 < time.monotonic() - begin < 6.0
    finally:
        stop.set()
        asking.join()
    assert row["name"] == "next-amount"
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["errors_per_s"] == 0 and row["fallback_share"] == 0
    live = shops.get("/api/v1/deployments/next-amount/live?seconds=60")
    assert live["releases"][0]["version"] == 1
    assert live["releases"][0]["role"] == "champion"
    assert live["releases"][0]["requests"] > 0
    assert any(p["requests_per_s"] > 0 for p in live["points"])
    # the rule's answers are failures of the model
    shops.post("/api/v1/deployments/next-amount/drill", {"mode": "error"})
    for _ in range(20):
        shops.infer("next-amount", "shop", "A")
    row = s.until(lambda k, i, d: k == "live" and d[0]["errors_per_s"] > 0)
    assert 0 < row[2][0]["fallback_share"] <= 1
    s.close()


def test_many_streams_hold_no_worker_and_one_more_is_told_so(server):
    streams = [Stream(server) for _ in range(64)]
    assert all(s.status == 200 for s in streams)
    one_more = Stream(server)
    assert one_more.status == 503
    assert int(one_more.answer.headers["Retry-After"]) >= 1
    assert "64 streams" in json.loads(one_more.answer.read())["error"]
    # ordinary requests, which need workers, are answered meanwhile
    begin = time.monotonic()
    for _ in range(20):
        assert server.call("GET", "/api/v1/jobs", timeout=20).status == 200
    assert time.monotonic() - begin < 20
    emit(server, 3)
    last = events_of(server)[-1]
    for s in streams:
        assert s.until(lambda k, i, d: i == str(last["id"]))[2] == last
    for s in streams:
        s.close()

    def free():
        again = Stream(server)
        ok = again.status == 200
        again.close()
        return ok
    eventually(free, 30, "a place among the streams")


def test_a_client_that_does_not_read_hinders_nobody_and_loses_nothing(server):
    emit(server)
    slow = Stream(server, rcvbuf=4096)
    quick = Stream(server)
    first = events_of(server)[-1]["id"]
    emit(server, 600)
    rows = [e for e in events_of(server) if e["id"] > first]
    for row in rows:
        assert quick.until(lambda k, i, d: i)[2]["id"] == row["id"]
    got = [int(slow.until(lambda k, i, d: i)[1]) for _ in rows]
    assert got == [r["id"] for r in rows]
    slow.close()
    quick.close()


def test_stopping_ends_streams_at_once(tmp_path):
    server = Server(tmp_path).start()
    emit(server)
    reading = Stream(server)
    stuck = [Stream(server, last_id=0, rcvbuf=4096) for _ in range(5)]
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 8
    while reading.next():
        pass
    assert reading.ended
    reading.close()
    for s in stuck:
        s.close()


def test_a_change_of_tokens_ends_streams_that_may_not_go_on(tmp_path):
    with Server(tmp_path) as server:
        s = Stream(server)
        server.post("/api/v1/tokens", {"name": "a", "role": "admin"})
        kinds = []
        while (m := s.next()):
            kinds.append(m[0])
        assert kinds[-1] == "access.token_made"
        again = Stream(server)
        assert again.status == 401
        s.close()
        again.close()
