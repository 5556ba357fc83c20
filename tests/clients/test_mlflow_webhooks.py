"""MLflow's registry webhooks: its own client makes them, a real receiver takes
them and checks the signature as MLflow's documentation says; the same acts on
MLflow's own server give the same deliveries."""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

mlflow = pytest.importorskip("mlflow")
from mlflow import MlflowClient, MlflowException  # noqa: E402
from mlflow.entities.webhook import (  # noqa: E402
    WebhookEvent, WebhookStatus)
from mlflow.webhooks.types import (  # noqa: E402
    get_example_payload_for_event)

from conftest import Server, Shops, eventually  # noqa: E402

OPEN = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
HOOKS = "/api/2.0/mlflow/webhooks"
SECRET = "wh-s3cret-äöü"
EVENTS = ["budget_policy.exceeded", "model_version.created",
          "model_version_alias.created", "model_version_alias.deleted",
          "model_version_tag.deleted", "model_version_tag.set",
          "prompt.created", "prompt_alias.created", "prompt_alias.deleted",
          "prompt_tag.deleted", "prompt_tag.set", "prompt_version.created",
          "prompt_version_tag.deleted", "prompt_version_tag.set",
          "registered_model.created"]


def event(name):
    return WebhookEvent.from_str(name)


def verified(headers, body, secret, max_age=300):
    """As in MLflow's documentation for receivers."""
    version, _, given = headers["X-MLflow-Signature"].partition(",")
    assert version == "v1"
    stamp = headers["X-MLflow-Timestamp"]
    assert abs(time.time() - int(stamp)) < max_age
    signed = f"{headers['X-MLflow-Delivery-Id']}.{stamp}.{body.decode()}"
    made = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(made).decode(), given)


class Receiver:
    """Keeps what comes; answers with the statuses it is told, then 200."""

    def __init__(self):
        self.got, self.answers, self.always = [], [], 200
        self.extra, self.hang = {}, threading.Event()
        self.hangs = False
        me = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                me.got.append((time.monotonic(), dict(self.headers), body))
                if me.hangs:
                    me.hang.wait(60)
                status = me.answers.pop(0) if me.answers else me.always
                self.send_response(status)
                for k, v in (me.extra if status != 200 else {}).items():
                    self.send_header(k, v)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.handle_error = lambda *_: None
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def wait(self, count, seconds=30):
        eventually(lambda: len(self.got) >= count, seconds,
                   f"{count} deliveries")
        return self.bodies()

    def bodies(self):
        return [json.loads(body) for _, _, body in self.got]

    def close(self):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("webhooks"), env=OPEN) as s:
        yield s


@pytest.fixture
def server(shared):
    """The shared server without webhooks of other tests."""
    yield shared
    for h in client_of(shared).list_webhooks(max_results=1000):
        client_of(shared).delete_webhook(h.webhook_id)


def client_of(server):
    return MlflowClient(server.url, server.url)


@pytest.fixture
def client(server):
    return client_of(server)


def refused(call, code, part):
    with pytest.raises(MlflowException) as caught:
        call()
    assert caught.value.error_code == code, caught.value
    assert part in str(caught.value), caught.value


# ---- rows ----

def test_a_webhook_is_made_read_changed_listed_and_deleted(client):
    made = client.create_webhook(
        "first", "https://127.0.0.1:9/x", [event("model_version_tag.set"),
                                           event("model_version.created")],
        description="who", secret=SECRET)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                        made.webhook_id)
    assert (made.name, made.url, made.description, made.status) == (
        "first", "https://127.0.0.1:9/x", "who", WebhookStatus.ACTIVE)
    assert [str(e) for e in made.events] == ["model_version.created",
                                             "model_version_tag.set"]
    assert abs(made.creation_timestamp / 1000 - time.time()) < 60
    assert made.creation_timestamp == made.last_updated_timestamp
    assert made.secret is None
    got = client.get_webhook(made.webhook_id)
    assert repr(got) == repr(made)
    changed = client.update_webhook(
        made.webhook_id, name="second", status=WebhookStatus.DISABLED,
        description="", events=[event("prompt_alias.deleted")])
    assert (changed.name, changed.url, changed.description, changed.status) \
        == ("second", made.url, None, WebhookStatus.DISABLED)
    assert [str(e) for e in changed.events] == ["prompt_alias.deleted"]
    assert changed.creation_timestamp == made.creation_timestamp
    assert changed.last_updated_timestamp >= made.last_updated_timestamp
    assert [h.name for h in client.list_webhooks()] == ["second"]
    client.delete_webhook(made.webhook_id)
    assert client.list_webhooks() == []
    for call in (client.get_webhook, client.delete_webhook,
                 client.test_webhook):
        refused(lambda: call(made.webhook_id), "RESOURCE_DOES_NOT_EXIST",
                f"Webhook with ID {made.webhook_id} not found.")
    refused(lambda: client.update_webhook("nope", name="x"),
            "RESOURCE_DOES_NOT_EXIST", "Webhook with ID nope not found.")


def test_webhooks_are_paged_newest_first(client):
    for i in range(5):
        client.create_webhook(f"h{i}", "https://127.0.0.1/", [
            event("prompt.created")])
    names, token, pages = [], None, 0
    while True:
        page = client.list_webhooks(max_results=2, page_token=token)
        names += [h.name for h in page]
        pages, token = pages + 1, page.token
        if not token:
            break
    assert (names, pages) == ([f"h{i}" for i in range(4, -1, -1)], 3)


OK = {"name": "a", "url": "https://127.0.0.1/x",
      "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]}
NAME_RULE = ("is invalid. It must start and end with a letter or digit, be "
             "less than 63 characters long, and contain only letters, digits, "
             "dots (.), underscores (_), and hyphens (-).")
# What MLflow 3.17.2 answers, word for word; where that is a 500 or a database's
# sentence, ours.
WRONG = [
    ({}, "Missing value for required parameter 'name'."),
    ({"name": 3}, "Invalid value 3 for parameter 'name' supplied:  Hint: "
                  "Value was of type 'int'."),
    ({"name": "a"}, "Missing value for required parameter 'url'."),
    ({"name": "a", "url": 5}, "Invalid value 5 for parameter 'url'"),
    ({"name": "a", "url": "https://h/"},
     "Missing value for required parameter 'events'."),
    ({**OK, "events": []}, "Webhook events must be a non-empty list of "
                           "WebhookEvent objects: []."),
    ({**OK, "events": {}}, "Invalid value {} for parameter 'events' supplied: "
                           " Hint: Value was of type 'dict'."),
    ({**OK, "events": [3]}, "for parameter 'events[0]'"),
    ({**OK, "events": [{}]}, "for parameter 'events[0]'"),
    ({**OK, "events": [{"entity": "X", "action": "SET"}]}, "'events[0]'"),
    ({**OK, "events": [{"entity": "MODEL_VERSION", "action": "SET"}]},
     "Invalid action 'set' for entity 'model_version'. Valid actions are: "
     "['created']"),
    ({**OK, "events": OK["events"] * 2}, "'registered_model.created' twice"),
    ({**OK, "name": "-a"}, f"Webhook name '-a' {NAME_RULE}"),
    ({**OK, "name": "it's"}, f"Webhook name \"it's\" {NAME_RULE}"),
    ({**OK, "name": "a" * 64}, NAME_RULE),
    ({**OK, "name": ""}, "Missing value for required parameter 'name'."),
    ({**OK, "url": "ftp://h/"}, "Invalid webhook URL scheme: 'ftp'. Allowed "
                                "schemes are: http, https."),
    ({**OK, "url": " "}, "Webhook URL cannot be empty or just whitespace: "
                         "' '"),
    ({**OK, "url": "https://"}, "Webhook URL must include a hostname: "
                                "'https://'"),
    ({**OK, "description": 3}, "Invalid value 3 for parameter 'description'"),
    ({**OK, "secret": 4}, "Invalid value 4 for parameter 'secret'"),
    ({**OK, "status": "OFF"}, "it is one of ACTIVE, DISABLED"),
]


@pytest.mark.parametrize("body, part", WRONG)
def test_what_is_wrong_is_refused_as_mlflow_refuses_it(server, body, part):
    answer = server.call("POST", HOOKS, body)
    assert answer.status == 400, answer.text
    assert answer.json["error_code"] == "INVALID_PARAMETER_VALUE"
    assert part in answer.json["message"]
    assert server.get(HOOKS) == {}


def test_odd_requests_are_read_as_mlflow_reads_them(server):
    made = server.post(HOOKS, {**OK, "status": 2, "description": "", "junk": 1,
                               "events": [{"entity": 2, "action": 1}]})
    h = made["webhook"]
    assert set(h) == {"webhook_id", "name", "url", "events", "status",
                      "creation_timestamp", "last_updated_timestamp"}
    assert h["status"] == "DISABLED"
    assert h["events"] == [{"entity": "MODEL_VERSION", "action": "CREATED"}]
    one = f"{HOOKS}/{h['webhook_id']}"
    twin = one.replace("/api/", "/ajax-api/")
    assert server.get(twin) == made
    same = server.post(one, {"name": "", "url": "", "events": []}, "PATCH")
    assert {**same["webhook"], "last_updated_timestamp": 0} == \
        {**h, "last_updated_timestamp": 0}
    for query, part in (("max_results=-1", "max_results must be between 1 and "
                                           "1000."),
                        ("max_results=1001", "between 1 and 1000"),
                        ("max_results=x", "max_results"),
                        ("page_token=x", "Invalid page token, could not "
                                         "base64-decode")):
        answer = server.call("GET", f"{HOOKS}?{query}")
        assert answer.status == 400 and part in answer.json["message"]
    assert len(server.get(f"{HOOKS}?max_results=0")["webhooks"]) == 1
    assert server.post(one, None, "DELETE") == {}


def test_private_addresses_and_plain_http_are_refused_by_default(tmp_path,
                                                                 receiver):
    with Server(tmp_path) as s:
        for url, part in (
                (receiver.url, "Invalid webhook URL scheme: 'http'. Allowed "
                               "schemes are: https."),
                ("https://127.0.0.1:9/x",
                 "Webhook URL must not resolve to a non-public IP address. "
                 "'127.0.0.1' resolves to 127.0.0.1."),
                ("https://localhost/", "resolves to"),
                ("https://169.254.169.254/latest/meta-data/", "non-public"),
                ("https://[::1]/", "'::1' resolves to ::1."),
                ("https://2130706433/", "resolves to 127.0.0.1."),
                ("https://no.such.host.invalid/",
                 "Cannot resolve Webhook URL hostname "
                 "'no.such.host.invalid': [Errno ")):
            refused(lambda: client_of(s).create_webhook(
                "x", url, [event("prompt.created")]),
                "INVALID_PARAMETER_VALUE", part)
        assert s.get(HOOKS) == {}
    # Made while it was allowed, it is not called when it no longer is.
    with Server(tmp_path, env=OPEN) as s:
        made = client_of(s).create_webhook("x", receiver.url, [
            event("registered_model.created")])
    with Server(tmp_path, env={"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http"}) as s:
        result = client_of(s).test_webhook(made.webhook_id)
        assert not result.success and result.response_status is None
        assert "127.0.0.1 is not a public address" in result.error_message
        client_of(s).create_registered_model("m")
        row = eventually(lambda: last(s, made) if last(s, made)["state"]
                         == "failed" else None, 30, "it to be given up")
        assert "is not a public address" in row["error"]
    assert receiver.got == []


# ---- deliveries ----

def last(server, made):
    found = server.get(f"/api/v1/webhooks/{made.webhook_id}")["deliveries"]
    return found[0] if found else {"state": "none"}


def act(client, name):
    """Everything that MLflow tells of, once, by its own client."""
    client.create_registered_model(name, tags={"team": "preise ä"},
                                   description="über")
    client.create_model_version(name, "s3://bucket/m", tags={"a": "1"},
                                description="eins")
    client.create_model_version(name, "s3://bucket/m2")
    client.set_model_version_tag(name, "1", "key", "wert \"ü\" \\ 🎉")
    client.delete_model_version_tag(name, "1", "key")
    client.set_registered_model_alias(name, "champion", 1)
    client.set_registered_model_alias(name, "champion", 2)
    client.delete_registered_model_alias(name, "champion")
    # not told by MLflow either
    client.set_registered_model_tag(name, "t", "v")
    client.delete_registered_model_tag(name, "t")
    client.update_model_version(name, "1", "other")
    client.update_registered_model(name, "other")
    client.create_registered_model(f"{name}-plain")
    p = f"{name}-prompt"
    client.register_prompt(p, "Say {{x}}", commit_message="erste",
                           tags={"lang": "de"})
    client.set_prompt_tag(p, "t", "v")
    client.delete_prompt_tag(p, "t")
    client.set_prompt_version_tag(p, "1", "k", "v")
    client.delete_prompt_version_tag(p, "1", "k")
    client.set_prompt_alias(p, "prod", 1)
    client.delete_prompt_alias(p, "prod")


ACTS = 18


def test_every_change_is_delivered_and_signed(client, receiver):
    client.create_webhook("all", receiver.url, [event(e) for e in EVENTS],
                          secret=SECRET)
    act(client, "told")
    bodies = receiver.wait(ACTS)
    assert [f"{b['entity']}.{b['action']}" for b in bodies] == [
        "registered_model.created", "model_version.created",
        "model_version.created", "model_version_tag.set",
        "model_version_tag.deleted", "model_version_alias.created",
        "model_version_alias.created", "model_version_alias.deleted",
        "registered_model.created", "prompt.created",
        "prompt_version.created", "prompt_tag.set", "prompt_tag.set",
        "prompt_tag.deleted",
        "prompt_version_tag.set", "prompt_version_tag.deleted",
        "prompt_alias.created", "prompt_alias.deleted"]
    assert bodies[1]["data"] == {
        "name": "told", "version": "1", "source": "s3://bucket/m",
        "run_id": None, "tags": {"a": "1"}, "description": "eins"}
    ids = set()
    for _, headers, body in receiver.got:
        assert verified(headers, body, SECRET)
        assert not verified(headers, body, "another")
        assert not verified(headers, body + b" ", SECRET)
        assert headers["Content-Type"] == "application/json"
        ids.add(headers["X-MLflow-Delivery-Id"])
    assert len(ids) == ACTS


class Theirs:
    """MLflow's own server, on loopback."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        env = {**os.environ, **OPEN, "MLFLOW_DISABLE_TELEMETRY": "true",
               "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/t.db",
               "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{folder}/t.db",
               "_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder)}
        self.log = open(folder / "theirs.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from mlflow.server import app; "
             f"app.run('127.0.0.1', {port})"],
            env=env, stdout=self.log, stderr=subprocess.STDOUT)

    def up(self):
        try:
            with urllib.request.urlopen(self.url + HOOKS, timeout=5):
                return True
        except OSError:
            assert self.process.poll() is None
            return False

    def close(self):
        self.process.kill()
        self.process.wait(30)
        self.log.close()


def test_the_deliveries_are_those_of_mlflows_own_server(client, receiver,
                                                        tmp_path):
    theirs, other = Theirs(tmp_path), Receiver()
    try:
        eventually(theirs.up, 180, "MLflow's server")
        told = []
        for c, r in ((client, receiver),
                     (MlflowClient(theirs.url, theirs.url), other)):
            c.create_webhook("plain", r.url, [event(e) for e in EVENTS])
            act(c, "same")
            r.wait(ACTS, 60)
            seen = [{k: v for k, v in b.items() if k != "timestamp"}
                    for b in r.bodies()]
            for b in r.bodies():
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
                                    r"(\.\d{6})?\+00:00", b["timestamp"])
            told.append(sorted(seen, key=json.dumps))
            result = c.test_webhook(c.list_webhooks()[0].webhook_id,
                                    event("model_version_alias.created"))
            assert result.success and result.response_body == "ok"
            heads = {k for k in r.got[-1][1] if k.startswith("X-")}
            assert heads == {"X-MLflow-Delivery-Id", "X-MLflow-Timestamp"}
            told.append({k: v for k, v in r.bodies()[-1].items()
                         if k != "timestamp"})
        assert told[0] == told[2]
        assert told[1] == told[3]
    finally:
        theirs.close()
        other.close()


def test_a_test_sends_mlflows_example_and_tells_the_answer(client, receiver):
    made = client.create_webhook("t", receiver.url, [event(e) for e in EVENTS],
                                 secret=SECRET, status=WebhookStatus.DISABLED)
    for name in EVENTS:
        result = client.test_webhook(made.webhook_id, event(name))
        assert (result.success, result.response_status, result.response_body,
                result.error_message) == (True, 200, "ok", None)
        _, headers, body = receiver.got[-1]
        assert verified(headers, body, SECRET)
        sent = json.loads(body)
        assert f"{sent['entity']}.{sent['action']}" == name
        assert sent["data"] == get_example_payload_for_event(event(name))
    client.test_webhook(made.webhook_id)
    assert receiver.bodies()[-1]["entity"] == "budget_policy"
    receiver.always, count = 503, len(receiver.got)
    result = client.test_webhook(made.webhook_id)
    assert (result.success, result.response_status) == (False, 503)
    receiver.always, receiver.extra = 302, {"Location": receiver.url}
    result = client.test_webhook(made.webhook_id)
    assert not result.success and result.response_status == 302
    assert len(receiver.got) == count + 2, "once each, and not redirected"
    client.update_webhook(made.webhook_id, url="http://127.0.0.1:9/")
    result = client.test_webhook(made.webhook_id)
    assert not result.success and "refused" in result.error_message
    refused(lambda: client.test_webhook("nope"), "RESOURCE_DOES_NOT_EXIST",
            "not found")


def test_a_certificate_that_nobody_signed_is_refused(client, receiver,
                                                     tmp_path):
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
         tmp_path / "key", "-out", tmp_path / "cert"], capture_output=True)
    assert made.returncode == 0, made.stderr
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    receiver.server.socket = tls.wrap_socket(receiver.server.socket,
                                             server_side=True)
    hook = client.create_webhook("tls", receiver.url.replace("http", "https"),
                                 [event("prompt.created")])
    result = client.test_webhook(hook.webhook_id)
    assert not result.success and "certificate" in result.error_message
    assert receiver.got == []


def test_a_503_is_tried_again_with_the_same_id(client, server, receiver):
    made = client.create_webhook("r", receiver.url, [
        event("registered_model.created")], secret=SECRET)
    receiver.answers, receiver.extra = [503, 429], {"Retry-After": "3"}
    client.create_registered_model("again")
    receiver.wait(3)
    assert len({h["X-MLflow-Delivery-Id"] for _, h, _ in receiver.got}) == 1
    assert len({body for *_, body in receiver.got}) == 1
    assert all(verified(h, b, SECRET) for _, h, b in receiver.got)
    for i in (1, 2):
        assert receiver.got[i][0] - receiver.got[i - 1][0] >= 2.9
    row = eventually(lambda: last(server, made) if last(server, made)["state"]
                     == "sent" else None, 10, "it to be settled")
    assert (row["attempts"], row["status"], row["error"]) == (3, 200, "")


def test_what_is_not_delivered_survives_kill_9(tmp_path, receiver):
    receiver.always = 503
    with Server(tmp_path, env=OPEN) as s:
        client_of(s).create_webhook("k", receiver.url, [
            event("registered_model.created")], secret=SECRET)
        client_of(s).create_registered_model("one")
        receiver.wait(1)
        client_of(s).create_registered_model("two")
        s.kill()
        first = receiver.got[0][1]["X-MLflow-Delivery-Id"]
        receiver.hangs, receiver.always = True, 200
        s.start()
        count = len(receiver.got)
        receiver.wait(count + 1)
        s.kill()  # in the middle of the call
        receiver.hangs = False
        receiver.hang.set()
        count = len(receiver.got)
        s.start()
        receiver.wait(count + 2)
        after = receiver.got[count:]
        assert [json.loads(b)["data"]["name"] for *_, b in after] == \
            ["one", "two"]
        assert after[0][1]["X-MLflow-Delivery-Id"] == first
        assert all(verified(h, b, SECRET) for _, h, b in after)
        events = s.get("/api/v1/events?kind=registry.&limit=100")["events"]
        assert [e["kind"] for e in events] == ["registry.model_created"] * 2


def test_a_disabled_webhook_is_sent_nothing(client, server, receiver):
    both = [event("registered_model.created")]
    off = client.create_webhook("off", receiver.url + "?off", both,
                                status=WebhookStatus.DISABLED)
    client.create_webhook("on", receiver.url, both)
    client.create_registered_model("quiet-1")
    receiver.wait(1)
    client.update_webhook(off.webhook_id, status=WebhookStatus.ACTIVE)
    client.create_registered_model("quiet-2")
    receiver.wait(3)
    assert sorted(b["data"]["name"] for b in receiver.bodies()) == \
        ["quiet-1", "quiet-2", "quiet-2"]
    # What waits when it is disabled is dropped.
    receiver.always = 503
    client.create_registered_model("quiet-3")
    eventually(lambda: len(receiver.got) >= 5, 30, "both to be tried")
    client.update_webhook(off.webhook_id, status=WebhookStatus.DISABLED)
    assert server.get(f"/api/v1/webhooks/{off.webhook_id}")["waiting"] == 0
    receiver.always = 200
    eventually(lambda: last(server, client.list_webhooks()[0])["state"]
               == "sent", 30, "the other one")


def test_one_that_never_answers_holds_up_nobody(client, server, receiver):
    hole = Receiver()
    hole.hangs = True
    try:
        for i in range(3):
            client.create_webhook(f"hole{i}", hole.url, [event(
                "registered_model.created")])
        client.create_webhook("good", receiver.url, [event(
            "registered_model.created")])
        begun = time.monotonic()
        for i in range(5):
            client.create_registered_model(f"free-{i}")
        assert [b["data"]["name"] for b in receiver.wait(5, 15)] == \
            [f"free-{i}" for i in range(5)]
        assert time.monotonic() - begun < 15
    finally:
        hole.close()


def test_what_is_given_up_is_seen(tmp_path, receiver):
    receiver.always = 500
    with Server(tmp_path, env={**OPEN, "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES":
                               "1"}) as s:
        made = client_of(s).create_webhook("g", receiver.url, [
            event("registered_model.created")], secret=SECRET)
        client_of(s).create_registered_model("lost")
        receiver.wait(2)
        e = eventually(lambda: s.get("/api/v1/events?kind=registry.webhook")[
            "events"], 10, "the event")[0]
        assert (e["kind"], e["subject"]) == ("registry.webhook_failed",
                                             made.webhook_id)
        assert e["payload"]["attempts"] == 2
        assert e["payload"]["event"] == "registered_model.created"
        assert e["payload"]["reason"] == "answered 500"
        shown = s.cli("webhooks", "list").stdout
        assert made.webhook_id in shown and "failed" in shown and \
            "answered 500" in shown
        shown = s.cli("webhooks", "show", made.webhook_id).stdout
        assert "registered_model.created" in shown and "failed" in shown
        rows = s.cli_json("webhooks", "show", made.webhook_id)
        assert rows["signed"] is True
        receiver.always = 200
        assert "success: yes" in s.cli("webhooks", "test", made.webhook_id).stdout
        missing = s.cli("webhooks", "show", "nope", check=False)
        assert missing.returncode == 1 and "not found" in missing.stderr
        page = s.get("/api/v1/webhooks?limit=1")
        assert page["total"] == 1 and page["webhooks"][0]["last"][
            "state"] == "failed"


def test_the_secret_is_in_no_answer(client, server, receiver):
    receiver.always = 404
    made = client.create_webhook("s", receiver.url, [
        event("registered_model.created")], secret="QUITESECRET")
    client.create_registered_model("secretive")
    eventually(lambda: last(server, made)["state"] == "failed", 30, "it")
    client.update_webhook(made.webhook_id, secret="ALSOSECRET")
    one = f"{HOOKS}/{made.webhook_id}"
    texts = [server.call(m, p, b).text for m, p, b in (
        ("POST", HOOKS, {**OK, "secret": "QUITESECRET"}),
        ("GET", HOOKS, None), ("GET", one, None),
        ("PATCH", one, {"secret": "QUITESECRET"}), ("POST", one + "/test", {}),
        ("GET", "/api/v1/webhooks", None),
        ("GET", f"/api/v1/webhooks/{made.webhook_id}", None),
        ("GET", "/api/v1/events?limit=1000", None),
        ("DELETE", one, None))]
    texts += [server.cli("webhooks", "list", "--json").stdout,
              server.log_text(), repr(receiver.got)]
    assert all(texts[:9]) and "SECRET" not in "".join(texts)


def test_only_an_admin_may(tmp_path):
    with Server(tmp_path, env=OPEN) as s:
        admin = s.cli_json("token", "make", "root", "admin")["secret"]
        heads = {"Authorization": f"Bearer {admin}"}
        for role, status in (("deployer", 403), ("admin", 200)):
            token = s.call("POST", "/api/v1/tokens",
                           {"name": role, "role": role}, heads).json["secret"]
            other = {"Authorization": f"Bearer {token}"}
            assert s.call("POST", HOOKS, OK, other).status == status
            assert s.call("GET", HOOKS, None, other).status == status
            assert s.call("GET", "/api/v1/webhooks", None, other).status == \
                status


def test_what_the_house_itself_does_is_told_too(tmp_path, receiver):
    """A training job (a child process), a deployment and the native alias."""
    with Shops(tmp_path, env=OPEN) as s:
        client_of(s).create_webhook("h", receiver.url, [
            event(e) for e in EVENTS])
        s.train().deploy(1)
        s.post("/api/v1/models/next-amount/aliases/mine", {"version": 1},
               "PUT")
        bodies = receiver.wait(6)
        assert [(f"{b['entity']}.{b['action']}", b["data"].get("alias"))
                for b in bodies] == [
            ("registered_model.created", None),
            ("model_version.created", None),
            ("model_version_alias.created", "challenger"),
            ("model_version_alias.created", "champion"),
            ("model_version_alias.deleted", "challenger"),
            ("model_version_alias.created", "mine")]
        assert all(b["data"]["name"] == "next-amount" for b in bodies)
        assert re.fullmatch(r"[0-9a-f]{32}", bodies[1]["data"]["run_id"])


# ---- prompts: models with a tag ----

def test_a_prompt_is_registered_loaded_and_found(client, server):
    client.register_prompt("greeting", "Hello {{name}}", tags={"lang": "en"})
    client.set_prompt_alias("greeting", "prod", 1)
    prompt = client.load_prompt("prompts:/greeting@prod")
    assert (prompt.template, prompt.version) == ("Hello {{name}}", 1)
    assert "greeting" in [p.name for p in client.search_prompts()]
    answer = server.call("POST", "/api/2.0/mlflow/model-versions/create", {
        "name": "greeting", "source": "/etc/passwd", "tags": [
            {"key": "mlflow.prompt.is_prompt", "value": "true"}]})
    assert answer.status == 400 and answer.json["message"] == (
        "Invalid prompt source: '/etc/passwd'. Prompt sources must use an "
        "MLflow placeholder.")
