"""?dry_run=true: every state-changing route says what it would do, does
nothing, and does just that when asked without it."""
import hashlib
import json
import re
import sqlite3

import pytest

from conftest import SHOPS_YAML, Shops, eventually, shops_csv


def snapshot(server):
    """Everything the store holds, table by table, and the files beside it."""
    db = sqlite3.connect(f"file:{server.data}/slipway.db?mode=ro", uri=True)
    tables = [r[0] for r in db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    rows = {t: hashlib.sha256(repr(db.execute(
        f"SELECT * FROM {t}").fetchall()).encode()).hexdigest()
        for t in tables}
    db.close()
    files = sorted(str(p.relative_to(server.data)) for kind in
                   ("blobs", "jobs", "tmp") for p in
                   (server.data / kind).rglob("*"))
    series = [line.split("}")[0] for line in
              server.call("GET", "/metrics").text.splitlines()
              if line.startswith("slipway_predictions_total")]
    return rows, files, series


def settle(server):
    """Until what earlier acts have set going is written: jobs, and the first
    segment of the prediction log of what was deployed, which the flusher
    registers a moment later."""
    server.idle()

    def registered():
        db = sqlite3.connect(f"file:{server.data}/slipway.db?mode=ro",
                             uri=True)
        missing = db.execute(
            "SELECT count(*) FROM serve_deployment d WHERE champion <> ''"
            " AND NOT EXISTS (SELECT 1 FROM serve_segment s"
            " WHERE s.deployment = d.name)").fetchone()[0]
        db.close()
        return missing == 0
    eventually(registered, 30, "the segments of the prediction log")


def dry(server, method, path, body=None):
    """The answer of a dry run that must have changed nothing."""
    settle(server)
    before = snapshot(server)
    sep = "&" if "?" in path else "?"
    answer = server.call(method, f"{path}{sep}dry_run=true",
                         {} if body is None else body)
    after = snapshot(server)
    assert before == after, (method, path, [
        t for t in after[0] if after[0][t] != before[0].get(t)])
    return answer


def effects(server, method, path, body=None):
    answer = dry(server, method, path, body)
    assert answer.status == 200, (path, answer.status, answer.text)
    said = answer.json
    assert set(said) == {"effects", "refused"}
    for e in said["effects"]:
        assert set(e) == {"sentence", "before", "after", "kind", "subject"}
        assert e["sentence"] and "%" not in re.sub(r"[0-9] %", "",
                                                   e["sentence"])
    return said


def events_since(server, number):
    return server.get(f"/api/v1/events?after={number}&limit=1000")["events"]


def last_event(server):
    return server.get("/api/v1/events?before=0&limit=1")["total"]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Two versions, the first deployed."""
    with Shops(tmp_path_factory.mktemp("dry")) as s:
        s.train(2).deploy(1)
        s.done(s.post("/api/v1/features/materialize"))
        s.infer("next-amount", "shop", "A")
        yield s


D = "/api/v1/deployments/next-amount"
M = "/api/v1/models/next-amount"


def said_and_done(server, method, path, body, kinds):
    """The effects of a dry run are the events of the act, in its order."""
    said = effects(server, method, path, body)
    assert said["refused"] is None, said
    assert [e["kind"] for e in said["effects"]] == kinds, said
    begin = last_event(server)
    answer = server.call(method, path, body)
    assert answer.status in (200, 201, 202), answer.text
    done = [(e["kind"], e["subject"]) for e in events_since(server, begin)]
    wanted = [(e["kind"], e["subject"]) for e in said["effects"]
              if e["kind"] != "jobs.queued"]
    assert done[:len(wanted)] == wanted
    return said["effects"]


def test_acts_on_a_deployment_say_what_the_act_then_does(tmp_path):
    with Shops(tmp_path) as s:
        s.train(2)
        first = said_and_done(s, "POST", D + "/deploy", {"version": 1}, [
            "registry.alias_set", "serve.deployed"])
        assert first[-1]["before"] == "nothing"
        assert "Version 1 becomes the champion" in first[-1]["sentence"]
        canary = said_and_done(s, "POST", D + "/canary",
                               {"version": 2, "weight": 0.1},
                               ["registry.alias_set", "serve.canaried"])
        assert canary[-1]["before"] == "version 1 100 %"
        assert canary[-1]["after"] == "version 1 90 %, version 2 10 %"
        weight = said_and_done(s, "POST", D + "/weight", {"weight": 0.5},
                               ["serve.weighted"])
        assert weight[-1]["before"] == "version 1 90 %, version 2 10 %"
        assert weight[-1]["after"] == "version 1 50 %, version 2 50 %"
        promoted = said_and_done(s, "POST", D + "/promote", {}, [
            "registry.alias_set", "registry.alias_removed", "serve.promoted"])
        assert promoted[0]["sentence"] == "The alias 'champion' of model " \
            "'next-amount' moves from version 1 to version 2"
        assert (promoted[0]["before"], promoted[0]["after"]) == (
            "version 1", "version 2")
        withdrawn = said_and_done(s, "POST", D + "/withdraw", {},
                                  ["serve.withdrawn"])
        assert withdrawn[0]["after"] == "the rule"
        said_and_done(s, "POST", D + "/restore", {},
                      ["registry.alias_set", "serve.restored"])
        shadow = said_and_done(s, "POST", D + "/shadow", {"version": 1},
                               ["serve.shadowed"])
        assert shadow[0]["after"] == "shadow version 1"
        back = said_and_done(s, "POST", D + "/rollback", {},
                             ["registry.alias_set", "serve.rolled_back"])
        assert "goes back from version 2 to version 1" in back[-1]["sentence"]
        drill = said_and_done(s, "POST", D + "/drill", {"mode": "error"},
                              ["serve.drilled"])
        assert "made to fail" in drill[0]["sentence"]


def test_a_dry_drill_leaves_the_model_answering(one):
    effects(one, "POST", D + "/drill", {"mode": "error"})
    body = {"inputs": [{"name": "shop", "shape": [1], "datatype": "BYTES",
                        "data": ["A"]}]}
    answer = one.post("/v2/models/next-amount/infer", body)
    assert "fallback" not in json.dumps(answer.get("parameters", {}))


def test_what_the_state_does_not_allow_is_refused_in_its_words(one):
    for path, body in ((D + "/promote", {}), (D + "/rollback", {}),
                       (D + "/restore", {}), (D + "/weight", {"weight": 0.3}),
                       (D + "/canary", {"version": 1, "weight": 0.1})):
        said = effects(one, "POST", path, body)
        act = one.call("POST", path, body)
        assert act.status == 409
        assert said == {"effects": [], "refused": act.json["error"]}


def test_what_is_wrong_in_itself_is_the_same_error(one):
    for method, path, body in (
            ("POST", D + "/deploy", {}), ("POST", D + "/nothing", {}),
            ("POST", D + "/canary", {"version": 2, "weight": 7}),
            ("POST", D + "/deploy", {"version": 99}),
            ("POST", M + "x/train", {}),
            ("PUT", M + "/aliases/champion", {"version": 99}),
            ("POST", "/api/v1/alerts/77/acknowledge", {}),
            ("DELETE", "/api/v1/tokens/none", {}),
            ("POST", "/api/v1/datasets/none/versions", {"uploads": []})):
        said = dry(one, method, path, body)
        act = one.call(method, path, body)
        assert said.status == act.status and said.status in (400, 404)
        assert said.json == act.json, path


def test_work_is_said_and_not_queued(one):
    said = effects(one, "POST", M + "/train", {"seed": 3})["effects"]
    assert [e["kind"] for e in said] == ["jobs.queued"]
    assert "registers a new version" in said[0]["sentence"]
    said = effects(one, "POST", M + "/versions/2/gate")["effects"]
    assert "judges version 2 of 'next-amount'" in said[0]["sentence"]
    said = effects(one, "POST", M + "/versions/1/reproduce")["effects"]
    assert "rebuilds version 1" in said[0]["sentence"]
    said = effects(one, "POST", "/api/v1/features/materialize")["effects"]
    assert "feature views" in said[0]["sentence"]
    upload = one.upload(shops_csv(days=335).encode())
    said = effects(one, "POST", "/api/v1/datasets/sales/versions",
                   {"uploads": [upload], "mode": "append"})["effects"]
    assert "reads 1 file, checks it" in said[0]["sentence"]
    assert "adds these rows to the last one" in said[0]["sentence"]


def test_a_retrain_is_said_and_not_started(one):
    said = effects(one, "POST", "/api/v1/flows", {"model": "next-amount"})
    assert [e["kind"] for e in said["effects"]] == ["flow.run_started"]
    assert one.get("/api/v1/flows")["flows"] == []
    answer = dry(one, "POST", "/api/v1/flows", {"model": "none"})
    assert answer.status == 404


def test_an_alias_says_from_where_to_where(one):
    said = effects(one, "PUT", M + "/aliases/best", {"version": 2})
    assert said["effects"][0]["before"] is None
    assert said["effects"][0]["after"] == "version 2"
    one.post(M + "/aliases/best", {"version": 1}, "PUT")
    said = effects(one, "PUT", M + "/aliases/best", {"version": 2})
    assert said["effects"][0]["before"] == "version 1"


def test_registering_a_run_says_which_version_it_becomes(tmp_path):
    with Shops(tmp_path) as s:
        s.train()
        run = s.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})
        run = run["run"]["info"]["run_id"]
        create = "/api/2.0/mlflow/model-versions/create"
        body = {"name": "next-amount", "run_id": run,
                "source": f"runs:/{run}/model"}
        said = said_and_done(s, "POST", create, body,
                             ["registry.version_added"])
        assert said[0]["after"] == "version 2"
        assert f"gets version 2 from run {run}" in said[0]["sentence"]
        answer = dry(s, "POST", create, {**body, "name": "nobody"})
        assert answer.status == 404 or answer.json["refused"]
        assert s.get(M)["total"] == 2


def test_a_project_says_what_would_change(one):
    assert effects_of_yaml(one, SHOPS_YAML) == {"effects": [], "refused": None}
    changed = SHOPS_YAML.replace("ttl: 7d", "ttl: 9d") + \
        "  second: {model: next-amount}\n"
    said = effects_of_yaml(one, changed)
    kinds = [e["kind"] for e in said["effects"]]
    assert "features.view_put" in kinds and "serve.declared" in kinds
    assert "flow.project_applied" in kinds
    applied = next(e for e in said["effects"]
                   if e["kind"] == "flow.project_applied")
    assert "deployment second" in applied["sentence"]
    names = [d["name"] for d in one.get("/api/v1/deployments")["deployments"]]
    assert names == ["next-amount"]
    assert one.call("GET", "/v2/models/second").status == 404
    broken = dry(one, "PUT", "/api/v1/project", b"project: [")
    assert broken.status == 400


def effects_of_yaml(one, yaml):
    answer = dry(one, "PUT", "/api/v1/project", yaml.encode())
    assert answer.status == 200, answer.text
    return answer.json


def test_a_token_is_not_made_and_its_secret_not_shown(tmp_path):
    with Shops(tmp_path) as s:
        said = effects(s, "POST", "/api/v1/tokens",
                       {"name": "ci", "role": "writer"})
        assert "every request needs a token" in said["effects"][0]["sentence"]
        assert "slw_" not in json.dumps(said)
        assert s.call("GET", "/api/v1/jobs").status == 200
        assert s.get("/api/v1/tokens")["tokens"] == []
        secret = s.post("/api/v1/tokens", {"name": "a", "role": "admin"})[
            "secret"]
        admin = {"Authorization": f"Bearer {secret}"}
        answer = s.call("DELETE", "/api/v1/tokens/a?dry_run=true",
                        headers=admin)
        assert answer.json["effects"][0]["after"] == "revoked"
        assert s.call("GET", "/api/v1/tokens", headers=admin).status == 200
        # rights are asked as for the act
        made = s.call("POST", "/api/v1/tokens", {"name": "r",
                                                 "role": "reader"}, admin)
        reader = {"Authorization": f"Bearer {made.json['secret']}"}
        for method, path in (("POST", D + "/promote"),
                             ("DELETE", "/api/v1/tokens/a")):
            assert s.call(method, path + "?dry_run=true", {},
                          reader).status == 403


def test_a_run_is_not_deleted(one):
    run = one.post("/api/2.0/mlflow/runs/create", {
        "experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    for prefix in ("/api/2.0", "/ajax-api/2.0"):
        said = effects(one, "POST", prefix + "/mlflow/runs/delete",
                       {"run_id": run})
        assert said["effects"][0]["sentence"] == \
            f"Run {run} is deleted; it can be restored"
    info = one.get(f"/api/2.0/mlflow/runs/get?run_id={run}")["run"]["info"]
    assert info["lifecycle_stage"] == "active"


def test_an_alert_is_not_acknowledged(tmp_path):
    with Shops(tmp_path) as s:
        pass
    db = sqlite3.connect(tmp_path / "data" / "slipway.db")
    db.execute("INSERT INTO monitor_alert(deployment, kind, release, version,"
               " dataset, state, raised_at_ms, last_at_ms, seen_count,"
               " from_ms, to_ms, reason, detail) VALUES('next-amount',"
               " 'drift', '', 1, '', 'open', 1, 1, 1, 1, 2, 'why', '{}')")
    db.commit()
    db.close()
    with Shops(tmp_path) as s:
        said = effects(s, "POST", "/api/v1/alerts/1/acknowledge",
                       {"who": "ada"})
        assert "acknowledged by ada" in said["effects"][0]["sentence"]
        assert s.get("/api/v1/alerts")["alerts"][0]["state"] == "open"
        s.post("/api/v1/alerts/1/acknowledge", {"who": "ada"})
        said = effects(s, "POST", "/api/v1/alerts/1/acknowledge",
                       {"who": "ada"})
        assert said["refused"] == "alert 1 is acknowledged already"


def test_routes_without_a_dry_run_refuse_and_do_nothing(one):
    settle(one)
    before = snapshot(one)
    for method, path, body in (
            ("POST", "/api/2.0/mlflow/experiments/create", {"name": "dry"}),
            ("POST", D + "/labels", {"labels": []}),
            ("POST", "/v2/models/next-amount/infer", {"inputs": []})):
        answer = one.call(method, path + "?dry_run=true", body)
        assert answer.status == 501, (path, answer.status)
        assert "has no dry run; nothing was done" in answer.text
    assert snapshot(one) == before


def test_dry_run_is_true_or_false_and_nothing_between(one):
    settle(one)
    before = snapshot(one)
    for word in ("yes", "TRUE", "2", "dry"):
        answer = one.call("POST", f"{D}/deploy?dry_run={word}", {"version": 2})
        assert answer.status == 400, word
        assert "true or false" in answer.json["error"]
    assert snapshot(one) == before
    assert one.call("POST", D + "/promote?dry_run=false", {}).status == 409
    answer = one.call("POST", D + "/deploy?dry_run=1", {"version": 2})
    assert answer.status == 200 and answer.json["effects"]
    assert snapshot(one) == before


def test_every_dry_route_is_in_the_document(one):
    document = one.get("/openapi.json")
    dry_paths = {path for path, item in document["paths"].items()
                 for op in item.values()
                 if any(p["name"] == "dry_run"
                        for p in op.get("parameters", []))}
    assert {"/api/v1/deployments/{name}/{action}", "/api/v1/flows",
            "/api/v1/models/{name}/train", "/api/v1/project",
            "/api/v1/tokens", "/api/v1/tokens/{name}",
            "/api/v1/alerts/{id}/acknowledge",
            "/api/v1/models/{name}/aliases/{alias}",
            "/api/v1/datasets/{name}/versions",
            "/api/v1/features/materialize",
            "/api/2.0/mlflow/runs/delete"} <= dry_paths
