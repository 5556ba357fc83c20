"""Lists and summaries for the page with 10,000 runs and 1,000 versions: pages
and totals are right, answers stay small, and the SQL reads by index."""
import pathlib
import random
import re
import sqlite3

import pytest

from conftest import ROOT, Shops, shops_csv

RUNS, VERSIONS, METRICS = 10_000, 1_000, 30
D = "/api/v1/deployments/next-amount"


def fill(path):
    """Runs, versions, flow runs, alerts and events, straight into the store:
    through the API it would take minutes."""
    db = sqlite3.connect(path)
    rng = random.Random(5)
    keys = {}
    for name in [f"m{i}" for i in range(METRICS)] + ["depth", "kind"]:
        found = db.execute("SELECT id FROM track_key WHERE name = ?",
                           (name,)).fetchone()
        keys[name] = found[0] if found else db.execute(
            "INSERT INTO track_key(name) VALUES(?)", (name,)).lastrowid
    for i in range(RUNS):
        number = db.execute(
            "INSERT INTO track_run(id, experiment_id, name, user,"
            " artifact_uri, status, deleted, start_ms, end_ms)"
            " VALUES(?, 0, ?, 'u', '', 3, ?, ?, ?)",
            (f"{i:032x}", f"run-{i}", int(i % 1000 == 999), 1000 + i,
             2000 + i)).lastrowid
        db.executemany(
            "INSERT INTO track_metric VALUES(?, ?, ?, 1, 1)",
            [(number, keys[f"m{k}"], rng.random()) for k in range(METRICS)
             if not (k == 1 and i % 2)])
        db.executemany(
            "INSERT INTO track_param VALUES(?, ?, ?)",
            [(number, keys["depth"], str(i % 7)),
             (number, keys["kind"], "tree" if i % 10 else "net")])
    model = db.execute("SELECT id, next_version FROM registry_model"
                       " WHERE name = 'next-amount'").fetchone()
    for v in range(model[1], model[1] + VERSIONS):
        row = db.execute(
            "INSERT INTO registry_version(model_id, version, release, run_id,"
            " run_link, source, logged_model, description, stage, status,"
            " gate_id, created_at_ms, updated_at_ms) VALUES(?, ?, '', '', '',"
            " '', '', ?, 'None', 'READY', 0, ?, ?)",
            (model[0], v, "d" * 200, v, v)).lastrowid
        gate = db.execute(
            "INSERT INTO registry_gate(version_id, at_ms, passed, gate)"
            " VALUES(?, 1, 0, ?)", (row, '{"verdict": "refused", "checks": ['
                                    + ",".join(['{"name": "c", "passed": '
                                                'false, "why": "w"}'] * 8)
                                    + "]}")).lastrowid
        db.execute("UPDATE registry_version SET gate_id = ? WHERE id = ?",
                   (gate, row))
    db.execute("UPDATE registry_model SET next_version = ? WHERE id = ?",
               (model[1] + VERSIONS, model[0]))
    for i in range(500):
        db.execute(
            "INSERT INTO flow_run(model, deployment, trigger, state, spec,"
            " when_refused, version, job_id, rollout_step, reason,"
            " started_at_ms, ended_at_ms) VALUES('next-amount', 'next-amount',"
            " 'manual', 'failed', '{}', 'keep', 0, 0, -1, 'why', ?, ?)",
            (1_600_000_000_000 + i * 1000, 1_600_000_000_500 + i * 1000))
        db.execute(
            "INSERT INTO monitor_alert(deployment, kind, release, version,"
            " dataset, state, raised_at_ms, last_at_ms, seen_count, from_ms,"
            " to_ms, reason, detail) VALUES('next-amount', 'drift', '', 1, '',"
            " 'open', ?, 1, 1, 1, 2, 'why', '{}')", (1_600_000_000_000 + i,))
        db.execute(
            "INSERT INTO flow_decision(at_ms, model, trigger, fired, reason,"
            " run_id) VALUES(?, 'next-amount', 'drift', 0, 'no', 0)", (i,))
    db.commit()
    db.close()


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    folder = tmp_path_factory.mktemp("big")
    with Shops(folder) as s:
        s.train().deploy(1)
    fill(folder / "data" / "slipway.db")
    with Shops(folder) as s:
        for i in range(10):
            s.post("/api/v1/models/next-amount/aliases/best",
                   {"version": 1 + i % 2}, "PUT")
        yield s


def sized(server, path, most):
    answer = server.call("GET", path)
    assert answer.status == 200, (path, answer.status, answer.text)
    assert len(answer.body) <= most, (path, len(answer.body))
    return answer.json


# ---- runs ----

def test_rows_carry_only_the_columns_asked_for(big):
    page = sized(big, "/api/v1/runs?cols=metrics.m0,params.depth&limit=200"
                 "&sort=-start_time&experiment=0", 200 * 260 + 200)
    bare = sized(big, "/api/v1/runs?limit=200&experiment=0", 200 * 200 + 200)
    assert len(page["runs"]) == len(bare["runs"]) == 200
    row = page["runs"][0]
    assert set(row["values"]) == {"metrics.m0", "params.depth"}
    assert isinstance(row["values"]["metrics.m0"], float)
    assert isinstance(row["values"]["params.depth"], str)
    assert row["values"] and not bare["runs"][0]["values"]
    assert set(row) == {"id", "name", "experiment_id", "status",
                        "started_at_ms", "ended_at_ms", "values"}


def test_the_total_is_of_the_filter_and_not_of_the_page(big):
    active = RUNS - RUNS // 1000
    everything = sized(big, "/api/v1/runs?limit=1", 1000)
    # the trials of the trained version are runs too
    assert everything["total"] >= active
    own = sized(big, "/api/v1/runs?limit=1&experiment=0", 1000)
    assert own["total"] == active
    nets = sized(big, "/api/v1/runs?limit=5&experiment=0"
                 "&q=params.kind%20%3D%20%27net%27", 3000)
    assert nets["total"] == RUNS // 10
    none = sized(big, "/api/v1/runs?q=metrics.m0%20%3E%205", 200)
    assert none == {"runs": [], "total": 0, "offset": 0}
    gone = sized(big, "/api/v1/runs?deleted=true&limit=1", 1000)
    assert gone["total"] == RUNS // 1000


def test_pages_put_together_are_the_sorted_whole(big):
    seen, values = [], []
    for offset in range(0, 3000, 1000):
        page = sized(big, "/api/v1/runs?experiment=0&cols=metrics.m2"
                     f"&sort=-metrics.m2&limit=1000&offset={offset}", 260_000)
        seen += [r["id"] for r in page["runs"]]
        values += [r["values"]["metrics.m2"] for r in page["runs"]]
    assert len(set(seen)) == 3000
    assert values == sorted(values, reverse=True)
    up = sized(big, "/api/v1/runs?experiment=0&cols=metrics.m2&limit=3"
               "&sort=metrics.m2", 2000)["runs"]
    assert up[0]["values"]["metrics.m2"] <= up[1]["values"]["metrics.m2"]
    # what has no value comes last, whatever the way
    for sort in ("metrics.m1", "-metrics.m1"):
        last = sized(big, f"/api/v1/runs?experiment=0&cols=metrics.m1&limit=5"
                     f"&sort={sort}&offset={RUNS - RUNS // 1000 - 5}", 2000)
        assert all("metrics.m1" not in r["values"] for r in last["runs"])


def test_behind_the_end_is_an_empty_page(big):
    page = sized(big, "/api/v1/runs?experiment=0&offset=20000", 200)
    assert page["runs"] == [] and page["total"] == RUNS - RUNS // 1000


@pytest.mark.parametrize("query,part", [
    ("cols=mae", "a column is metrics.NAME"),
    ("cols=metrics.", "a column is metrics.NAME"),
    ("sort=nothing", "attribute key"),
    ("sort=metrics.a%60b", "sort names a column"),
    ("q=metrics.m0%20%3C", ""),
    ("limit=0", "limit"), ("limit=5000", "limit"), ("offset=-1", "offset"),
    ("experiment=x", ""),
    ("cols=" + ",".join(f"metrics.m{i}" for i in range(70)), "at most 64"),
])
def test_what_cannot_be_asked_is_said(big, query, part):
    answer = big.call("GET", "/api/v1/runs?" + query)
    assert answer.status == 400, (query, answer.status, answer.text)
    assert part in answer.json["error"]


def test_columns_that_runs_have_are_listed(big):
    names = sized(big, "/api/v1/runs/columns", 20_000)["columns"]
    assert {"metrics.m0", "metrics.m29", "params.depth"} <= set(names)
    assert len(names) == len(set(names))
    few = big.get("/api/v1/runs/columns?limit=3")["columns"]
    assert len([n for n in few if n.startswith("metrics.")]) == 3


def test_names_of_others_are_bytes_and_not_markup_or_sql(big):
    evil = "<img src=x onerror=alert(1)>'\"`; DROP TABLE track_run; --"
    run = big.post("/api/2.0/mlflow/runs/create", {
        "experiment_id": "0", "run_name": evil,
        "start_time": 9_999_999_999_999})["run"]["info"]["run_id"]
    top = big.get("/api/v1/runs?limit=1")["runs"][0]
    assert (top["id"], top["name"]) == (run, evil)
    quoted = "".join(f"%{b:02x}" for b in f"tags.{evil}".encode())
    assert big.get(f"/api/v1/runs?limit=1&cols={quoted}")["runs"][0][
        "values"] == {}
    big.post("/api/2.0/mlflow/runs/delete", {"run_id": run})


# ---- the other lists ----

def test_versions_are_paged_with_their_total(big):
    whole = VERSIONS + 1
    models = sized(big, "/api/v1/models", 60_000)
    model = next(m for m in models["models"] if m["name"] == "next-amount")
    assert model["total"] == whole and len(model["versions"]) == 20
    assert model["versions"][0]["version"] == whole
    page = sized(big, "/api/v1/models/next-amount?limit=50&offset=100", 80_000)
    assert [v["version"] for v in page["versions"]] == \
        list(range(whole - 100, whole - 150, -1))
    old = sized(big, "/api/v1/models/next-amount?limit=2&sort=version", 20_000)
    assert [v["version"] for v in old["versions"]] == [1, 2]
    assert big.call("GET", "/api/v1/models/next-amount?sort=name"
                    ).status == 400


@pytest.mark.parametrize("path,key,total", [
    ("/api/v1/flows", "flows", 500), ("/api/v1/decisions", "decisions", 500),
    ("/api/v1/alerts", "alerts", 500)])
def test_lists_are_paged_newest_first_with_their_total(big, path, key, total):
    first = sized(big, f"{path}?limit=10", 10_000)
    second = sized(big, f"{path}?limit=10&offset=10", 10_000)
    assert first["total"] == second["total"] == total
    both = [r.get("id", r.get("at_ms")) for r in first[key] + second[key]]
    assert both == sorted(both, reverse=True) and len(set(both)) == 20
    assert sized(big, f"{path}?limit=10&offset={total}", 200)[key] == []
    assert big.call("GET", f"{path}?offset=-1").status == 400


def test_events_are_read_from_their_end(big):
    newest = big.get("/api/v1/events?before=0&limit=5")
    ids = [e["id"] for e in newest["events"]]
    assert ids == list(range(newest["total"], newest["total"] - 5, -1))
    more = big.get(f"/api/v1/events?before={newest['before']}&limit=5")
    assert more["events"][0]["id"] == ids[-1] - 1
    kinds = big.get("/api/v1/events?before=0&kind=serve.&limit=50")["events"]
    assert kinds and all(e["kind"].startswith("serve.") for e in kinds)
    about = big.get("/api/v1/events?before=0&subject=next-amount&limit=9")
    assert all(e["subject"] == "next-amount" for e in about["events"])


# ---- summaries ----

def test_the_overview_is_small_whatever_the_store_holds(big):
    o = sized(big, "/api/v1/overview", 40_000)
    assert o["project"] == "shops"
    assert o["runs"] >= RUNS - RUNS // 1000
    source = o["sources"][0]
    assert source["name"] == "sales" and source["version"] == 1
    assert source["fresh"] is None  # nobody said how fresh it must be
    model = next(m for m in o["models"] if m["name"] == "next-amount")
    assert model["versions"] == VERSIONS + 1 and model["champion"] == 1
    assert o["deployments"][0]["champion_version"] == 1
    assert len(o["alerts"]) == 20 and len(o["flows"]) == 10
    assert len(o["events"]) == 20
    ids = [e["id"] for e in o["events"]]
    assert ids == sorted(ids, reverse=True)
    facts = o["sentence_facts"]
    assert facts["open_alerts"] == 500 and facts["deployments"] == 1
    assert facts["on_rule"] == facts["canaries"] == 0


def test_the_overview_has_the_gates_figures_of_champion_and_challenger(
        tmp_path):
    with Shops(tmp_path) as s:
        s.train(2).deploy(1, "first")
        versions = "/api/v1/models/next-amount/versions/"
        for version in (1, 2):
            s.done(s.post(f"{versions}{version}/gate"))
        model = s.get("/api/v1/overview")["models"][0]
        assert (model["champion"], model["challenger"]) == (1, 2)
        for version, figures in ((1, model["champion_gate"]),
                                 (2, model["gate"])):
            gate = s.get(f"{versions}{version}")["version"]["gate"]
            asked = [c for c in gate["checks"] if not c.get("skipped")]
            rule = next(c for c in asked if c["name"] == "beats fallback")
            assert figures["version"] == version
            assert figures["verdict"] == gate["verdict"]
            assert figures["checks"] == len(asked)
            assert figures["passed"] == sum(c["passed"] for c in asked)
            assert figures["error"] == rule["value"]
            assert figures["rule_error"] == rule["limit"]


def test_freshness_is_judged_by_its_expectation_and_the_servers_clock(
        tmp_path):
    from conftest import SHOPS_YAML
    yaml = SHOPS_YAML.replace('"amount >= 0",', '"amount >= 0", "fresh(9d)",')
    with Shops(tmp_path, yaml=yaml) as s:
        source = s.get("/api/v1/overview")["sources"][0]
        assert source["fresh"] is True
        assert source["fresh_ms"] == 9 * 86_400_000
        s.post("/api/v1/clock", {"now": "2024-01-05"})
        o = s.get("/api/v1/overview")
        assert o["sources"][0]["fresh"] is False
        assert o["sentence_facts"]["stale_sources"] == 1


def test_an_empty_store_has_an_overview(server):
    o = server.get("/api/v1/overview")
    assert o["project"] is None and o["deployments"] == []
    assert o["models"] == o["sources"] == o["running"] == []
    assert server.get("/api/v1/runs")["total"] == 0


def test_error_over_time_is_that_of_the_labels(tmp_path):
    with Shops(tmp_path) as s:
        s.train().deploy(1, "first")
        s.done(s.post("/api/v1/features/materialize"))
        days = ["2023-11-20", "2023-11-21", "2023-11-22", "2023-11-23"]
        answers = {}
        for day in days:
            for shop in "AB":
                x, doc = s.infer("next-amount", "shop", shop,
                                 event_time=f"{day}T00:00:00Z")
                answers[day, shop] = x[0]
        log = s.get(D + "/predictions?limit=100")["predictions"]
        rule = {(p["event_time"][:10], p["key"]): p["rule"] for p in log}
        s.post(D + "/labels", {"labels": [
            {"key": shop, "event_time": f"{day}T00:00:00Z",
             "value": answers[day, shop] + 2 + i}
            for i, day in enumerate(days[:3]) for shop in "AB"]})
        got = s.get(D + "/error")
        assert got["metric"] == "mae"
        assert [p["rows"] for p in got["points"]] == [2, 2, 2], got
        for i, (day, p) in enumerate(zip(days, got["points"])):
            assert p["model_error"] == pytest.approx(2 + i)
            wanted = sum(abs(answers[day, k] + 2 + i - rule[day, k])
                         for k in "AB") / 2
            assert p["rule_error"] == pytest.approx(wanted)
        assert got["points"][1]["t"] - got["points"][0]["t"] == 86_400_000
        two = s.get(D + "/error?points=2")["points"]
        assert sum(p["rows"] for p in two) == 6 and len(two) == 2
        cut = s.get(D + "/error?from=2023-11-21&to=2023-11-21")["points"]
        assert [p["model_error"] for p in cut] == [pytest.approx(3)]
        # what was done: a release, a stretch on the rule
        s.post(D + "/withdraw", {"why": "test"})
        open_mark = [m for m in s.get(D + "/error")["marks"]
                     if m["kind"] == "fallback"]
        assert open_mark[0]["to"] is None
        s.post("/api/v1/clock", {"now": "2023-12-02T00:00:00Z"})
        s.post(D + "/restore", {})
        marks = s.get(D + "/error")["marks"]
        kinds = [m["kind"] for m in marks]
        assert kinds.count("release") == 1 and kinds.count("fallback") == 1
        span = next(m for m in marks if m["kind"] == "fallback")
        assert span["from"] < span["to"] and span["reason"] == "test"
        release = next(m for m in marks if m["kind"] == "release")
        assert (release["ref"], release["reason"]) == ("1", "first")
        for bad in ("points=0", "points=9999", "from=x",
                    "from=2024-01-01&to=2023-01-01"):
            assert s.call("GET", f"{D}/error?{bad}").status == 400, bad
        assert s.call("GET", "/api/v1/deployments/none/error").status == 404


def test_marks_of_a_long_history_stay_small(big):
    got = sized(big, D + "/error", 250_000)
    kinds = [m["kind"] for m in got["marks"]]
    assert kinds.count("retrain") == 500 and kinds.count("alert") == 500
    cut = sized(big, D + "/error?from=2020-09-13T12:26:40Z"
                "&to=2020-09-13T12:26:49.9Z", 250_000)
    assert [m["kind"] for m in cut["marks"]].count("retrain") == 10


def test_live_figures_may_be_asked_without_traffic(big):
    live = sized(big, D + "/live?seconds=900", 60_000)
    assert live["releases"] == []
    assert all(p["p99_ms"] is None for p in live["points"])
    assert big.call("GET", D + "/live?seconds=901").status == 400
    assert big.call("GET", "/api/v1/deployments/none/live").status == 404


# ---- the SQL ----

def statements(file):
    """SQL of a C file by name, with its own text macros put in."""
    text = (ROOT / "src" / file).read_text()
    macros = dict(re.findall(r'#define (\w+)\s+\\?\s*((?:"[^"\n]*"\s*\\?\s*)+)',
                             text))
    for extra in (ROOT / "src" / file).parent.glob("*_internal.h"):
        macros.update(re.findall(
            r'#define (\w+)\s+\\?\s*((?:"[^"\n]*"\s*\\?\s*)+)',
            extra.read_text()))
    found = {}
    for name, body in re.findall(r"static const char (SQL_\w+)\[\] =\s*(.*?);\n",
                                 text, re.S):
        for macro, value in macros.items():
            body = re.sub(rf"\b{macro}\b(?=[^\"]*(?:\"[^\"]*\"[^\"]*)*$)",
                          lambda _: value, body)
        found[name] = "".join(re.findall(r'"([^"]*)"', body))
    return found


@pytest.mark.parametrize("file,name", [
    ("track/search.c", "SQL_VALUE_METRIC"),
    ("track/search.c", "SQL_VALUE_PARAM"), ("track/search.c", "SQL_VALUE_TAG"),
    ("registry/version.c", "SQL_PAGE"), ("registry/version.c", "SQL_COUNT"),
    ("store/event.c", "SQL_BEFORE"), ("store/event.c", "SQL_KIND_BEFORE"),
    ("store/event.c", "SQL_BEFORE_SUBJECT"), ("store/event.c", "SQL_AFTER"),
    ("jobs/job.c", "SQL_MOVING"), # sorts the few jobs that move
    ("monitor/rows.c", "SQL_LABELS"),
    ("monitor/window.c", "SQL_WINDOW_LIST")])
def test_the_sql_searches_by_index_and_sorts_no_table(big, file, name):
    sql = statements(file)[name]
    db = sqlite3.connect(f"file:{big.data}/slipway.db?mode=ro", uri=True)
    count = max([int(n) for n in re.findall(r"\?(\d+)", sql)] or [0])
    plan = [r[3] for r in db.execute("EXPLAIN QUERY PLAN " + sql,
                                     [1] * count)]
    db.close()
    assert plan
    for step in plan:
        assert "USE TEMP" not in step or name == "SQL_MOVING", (name, plan)
        assert not step.startswith("SCAN"), (name, plan)


def test_the_page_has_no_sql_of_its_own():
    for path in (ROOT / "src" / "api").glob("*.c"):
        assert not re.search(r'"\s*(SELECT|INSERT|UPDATE|DELETE) ',
                             path.read_text()), path
    assert isinstance(ROOT, pathlib.Path)


def test_every_list_says_how_many_there_are(big):
    document = big.get("/openapi.json")
    lists = {"/api/v1/datasets": "datasets", "/api/v1/features": "features",
             "/api/v1/models": "models", "/api/v1/deployments": "deployments",
             "/api/v1/jobs": "jobs", "/api/v1/flows": "flows",
             "/api/v1/decisions": "decisions", "/api/v1/alerts": "alerts",
             "/api/v1/events": "events", "/api/v1/runs": "runs",
             "/api/v1/datasets/sales": "versions",
             "/api/v1/models/next-amount": "versions",
             "/api/v1/monitors/next-amount": "windows"}
    for path, key in lists.items():
        answer = big.call("GET", path)
        if path.startswith("/api/v1/monitors/") and answer.status == 404:
            continue  # this project watches nothing
        page = answer.json
        assert page.get("total", -1) >= len(page[key]), path
        assert len(answer.body) < 150_000, (path, len(answer.body))
    assert "/api/v1/runs" in document["paths"]
    first = big.get("/api/v1/jobs?limit=1")
    assert first["total"] > 1 and len(first["jobs"]) == 1
    kind = first["jobs"][0]["kind"]
    assert big.get(f"/api/v1/jobs?kind={kind}")["total"] <= first["total"]


def test_versions_of_a_dataset_are_paged(tmp_path):
    with Shops(tmp_path) as s:
        for days in (331, 332):
            s.added("sales", shops_csv(days=days))
        path = "/api/v1/datasets/sales"
        page = s.get(path + "?limit=2")
        assert page["total"] == 3
        assert [d["version"] for d in page["versions"]] == [3, 2]
        rest = s.get(path + "?limit=2&offset=2")["versions"]
        assert [d["version"] for d in rest] == [1]
