"""The command line: exit codes, sentences, and that every command says what
a machine can read."""
import json
import os
import shutil
import subprocess

import pytest

from conftest import BIN, ROOT, Server, Shops, shops_csv

NOWHERE = "http://127.0.0.1:9"


def run(*args, env=None, cwd=None, binary=BIN):
    return subprocess.run([str(binary), *map(str, args)], capture_output=True,
                          text=True, timeout=60, cwd=cwd,
                          env={**os.environ, "SLIPWAY_URL": NOWHERE,
                               **(env or {})})


def commands():
    """Names of all commands, as `slipway help` lists them."""
    lines = run("help").stdout.splitlines()
    return [line[2:24].strip() for line in lines
            if line.startswith("  ") and line[2] != " "]


def one_sentence(text):
    lines = text.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("slipway"), text
    return lines[0]


# ---- nothing but the program ----

def test_help_goes_to_output_with_0_and_without_arguments_to_error_with_2():
    asked, bare = run("help"), run()
    assert (asked.returncode, asked.stderr) == (0, "")
    assert (bare.returncode, bare.stdout) == (2, "")
    assert asked.stdout == bare.stderr
    assert run("--help").stdout == asked.stdout


def test_version_is_said():
    for form in ("version", "--version"):
        done = run(form)
        assert done.returncode == 0
        assert done.stdout.startswith("slipway 0.")


def test_every_command_has_help_with_usage_and_an_example():
    names = commands()
    assert len(names) > 50
    for name in names:
        done = run(*name.split(), "--help")
        assert done.returncode == 0, name
        assert f"usage: slipway {name}" in done.stdout
        assert "example:\n  slipway " + name in done.stdout
        assert run("help", *name.split()).stdout == done.stdout


@pytest.mark.parametrize("typed, near", [
    ("statu", "status"), ("trian", "train"), ("rolback", "rollback"),
    ("predikt", "predict")])
def test_an_unknown_command_is_told_the_nearest(typed, near):
    done = run(typed)
    assert done.returncode == 2
    assert f"there is no command '{typed}'; did you mean '{near}'" in \
        one_sentence(done.stderr)


def test_a_word_like_no_command_gets_no_guess():
    done = run("xyzzyxyzzy")
    assert done.returncode == 2
    assert "did you mean" not in done.stderr and "slipway help" in done.stderr


def test_help_of_a_group_lists_it_and_exits_0():
    for args in (["data", "--help"], ["help", "data"]):
        done = run(*args)
        assert done.returncode == 0 and "slipway data add" in done.stdout
        assert done.stderr == ""


def test_a_group_without_its_second_word_lists_the_group():
    done = run("data")
    assert done.returncode == 2
    for name in ("data add", "data diff", "data get"):
        assert name in done.stderr
    assert "slipway train" not in done.stderr


@pytest.mark.parametrize("args, words", [
    (["status", "--nope"], "unknown option --nope"),
    (["train"], "something is missing: MODEL"),
    (["train", ""], "an argument is empty: MODEL"),
    (["train", "a", "b"], "too much: b"),
    (["train", "a", "--seed"], "a value is missing behind --seed"),
    (["train", "a", "--no-wait=1"], "no value belongs to --no-wait=1"),
])
def test_what_is_typed_wrongly_exits_2_with_the_usage(args, words):
    done = run(*args)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr
    assert f"usage: slipway {args[0]}" in done.stderr


def test_a_mistyped_number_or_share_is_refused_before_anything_is_sent():
    assert "'two'" in run("deploy", "d", "two").stderr
    assert "write 10% or 0.1" in run("canary", "d", "1", "150%").stderr
    assert "MODEL/VERSION" in run("gate", "next-range").stderr


def test_an_unreachable_server_is_named_in_one_sentence_and_exits_1():
    for args in (["status"], ["data", "list"], ["train", "m"],
                 ["predict", "d", "k"]):
        done = run(*args)
        assert done.returncode == 1, args
        said = one_sentence(done.stderr)
        assert "127.0.0.1" in said and "9" in said


def test_init_writes_a_project_that_the_server_accepts(tmp_path, server):
    done = run("init", tmp_path / "new", "--json")
    assert done.returncode == 0
    path = json.loads(done.stdout)["file"]
    again = run("init", tmp_path / "new")
    assert again.returncode == 1
    assert "is there already" in one_sentence(again.stderr)
    changed = server.cli_json("apply", path)["changed"]
    assert any("next-amount" in str(name) for name in changed)


# ---- doctor ----

def test_doctor_finds_every_engine_and_says_its_version(tmp_path):
    done = run("doctor", "--data", tmp_path / "d", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"]) == (0, True), found
    by = {c["what"]: c for c in found["checks"]}
    assert {"duckdb", "xgboost", "libsvm", "openblas", "data folder"} <= set(by)
    assert by["duckdb"]["detail"].strip("v").startswith("1.5")
    assert run("doctor", "--data", tmp_path / "d").returncode == 0


def test_doctor_names_a_missing_engine_and_the_remedy(tmp_path):
    lone = tmp_path / "bin" / "slipway"  # with no engines beside it
    lone.parent.mkdir()
    shutil.copy(BIN, lone)
    (tmp_path / "empty").mkdir()
    done = run("doctor", "--data", tmp_path / "d", "--json", binary=lone,
               env={"SLIPWAY_ENGINES": str(tmp_path / "empty")})
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"]) == (1, False)
    for check in found["checks"]:
        if check["what"] == "data folder":
            assert check["ok"]
            continue
        assert not check["ok"]
        assert check["what"] in check["detail"]
        assert "make" in check["detail"], "no remedy: " + check["detail"]


def test_doctor_says_when_the_data_folder_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    done = run("doctor", "--data", tmp_path / "file" / "d", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert not [c for c in found["checks"] if c["what"] == "data folder"][0][
        "ok"]


# ---- a server's life ----

def test_a_port_in_use_is_a_sentence_that_names_it(tmp_path, server):
    address = server.url.removeprefix("http://")
    done = run("up", "--data", tmp_path / "other", "--listen", address)
    assert done.returncode == 1
    assert address.split(":")[1] in done.stderr.splitlines()[-1]
    assert "in use" in done.stderr


def test_two_servers_cannot_share_a_folder(server):
    done = run("up", "--data", server.data, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert f"{server.data}: another slipway server" in \
        done.stderr.splitlines()[-1]
    assert server.call("GET", "/health").status == 200


@pytest.mark.parametrize("args, words", [
    (["--listen", "nonsense"], "nonsense"),
    (["--clock", "yesterday"], "--clock"),
    (["--slots", "0"], "--slots must be 1 to 64")])
def test_a_bad_option_of_up_is_refused_in_words(tmp_path, args, words):
    done = run("up", "--data", tmp_path / "d", *args)
    assert done.returncode in (1, 2)
    assert words in done.stderr


def test_sigterm_drains_a_request_in_flight_and_exits_0(tmp_path):
    server = Server(tmp_path).start()
    waiting = subprocess.Popen(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
         server.url + "/api/v1/idle?wait_ms=500"], stdout=subprocess.PIPE)
    server.stop()  # asserts the exit code
    assert waiting.communicate(timeout=30)[0] in (b"200", b"503", b"000")
    assert "server.stopped" in server.log_text()


def test_after_sigkill_the_server_starts_again_with_what_it_had(tmp_path):
    server = Shops(tmp_path).start()
    before = server.get("/api/v1/datasets/sales")["versions"]
    server.kill()
    with server:
        assert server.get("/api/v1/datasets/sales")["versions"] == before
        assert server.get("/api/v1/events/verify")["whole"] is True


def test_up_says_its_address_as_json_when_asked(tmp_path):
    p = subprocess.Popen([BIN, "up", "--json", "--data", tmp_path / "d",
                          "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE)
    said = json.loads(p.stdout.readline())
    p.terminate()
    assert p.wait(60) == 0
    p.stdout.close()
    assert said["url"].startswith("http://127.0.0.1:")
    assert said["data"] == str(tmp_path / "d") and said["version"]


# ---- data, features, jobs, events, clock ----

def test_the_data_commands_from_add_to_get(tmp_path, shops):
    (tmp_path / "more.csv").write_text(shops_csv(days=332))
    added = shops.cli_json("data", "add", "sales", "more.csv")
    assert (added["version"], added["row_count"]) == (2, 996)
    log = shops.cli_json("data", "log", "sales")["versions"]
    assert [v["version"] for v in log] == [2, 1]
    assert shops.cli_json("data", "list")["datasets"][0]["name"] == "sales"
    diff = shops.cli_json("data", "diff", "sales", "1", "2")
    assert (diff["rows"]["added"], diff["rows"]["removed"]) == (6, 0)
    shown = shops.cli_json("data", "show", "sales@1")
    assert [c["name"] for c in shown["schema"]] == ["shop", "day", "amount"]
    assert "amount" in json.dumps(shops.cli_json("data", "profile", "sales"))
    shops.cli("data", "get", "sales@1", "one.csv")
    text = (tmp_path / "one.csv").read_text()
    assert text.splitlines()[0] == "shop,day,amount"
    assert len(text.splitlines()) == 991
    shops.cli("data", "get", "sales", "two.parquet")
    assert (tmp_path / "two.parquet").read_bytes()[:4] == b"PAR1"
    assert "990" in shops.cli("data", "log", "sales").stdout


def test_data_get_leaves_no_file_behind_when_there_is_no_such_version(
        tmp_path, shops):
    done = shops.cli("data", "get", "sales@99", "none.parquet", check=False)
    assert done.returncode == 1
    assert "99" in one_sentence(done.stderr)
    assert not (tmp_path / "none.parquet").exists()


def test_data_get_writes_only_what_a_name_says(tmp_path, shops):
    for args in (("data", "get", "sales", "sales.json"),
                 ("features", "export", "recent", "recent.txt")):
        done = shops.cli(*args, check=False)
        assert done.returncode == 1
        assert ".parquet or .csv" in one_sentence(done.stderr)
    name = 'a "quoted" name.csv'
    assert shops.cli_json("data", "get", "sales", name) == {"file": name}
    assert (tmp_path / name).exists()


def test_a_dataset_without_a_version_has_no_times(shops):
    shops.post("/api/v1/sources/later", {"event_time": "day"}, "PUT")
    row = [d for d in shops.cli_json("data", "list")["datasets"]
           if d["name"] == "later"][0]
    assert row["version"] == 0 and row["known_at_ms"] is None
    assert "1970" not in shops.cli("data", "list").stdout
    assert "known_at_ms: 20" in shops.cli("data", "show", "sales").stdout


def test_an_empty_file_is_named(tmp_path, shops):
    (tmp_path / "empty.csv").write_text("")
    done = shops.cli("data", "add", "sales", "empty.csv", check=False)
    assert one_sentence(done.stderr).strip() == "slipway: empty.csv is empty"


def test_a_file_that_is_not_there_is_named(shops):
    done = shops.cli("data", "add", "sales", "missing.csv", check=False)
    assert done.returncode == 1 and "missing.csv" in one_sentence(done.stderr)
    done = shops.cli("data", "add", "sales", shops.dir, check=False)
    assert done.returncode == 1
    assert "is a folder, not a file" in one_sentence(done.stderr)


def test_the_features_commands(shops):
    done = shops.cli_json("features", "materialize")
    assert done["views"][0]["entities"] == 3
    assert shops.cli_json("features", "list")["features"][0]["name"] == "recent"
    assert "SELECT" in json.dumps(shops.cli_json("features", "show", "recent"))
    online = shops.cli_json("features", "get", "recent", "A", "B")
    assert online["metadata"]["feature_names"][0] == "shop"
    lines = shops.cli("features", "get", "recent", "A", "B").stdout.split("\n")
    assert lines[0].split() == ["entity", "feature", "value"]
    assert [ln.split()[0] for ln in lines[1:-1]] == ["A"] * 4 + ["B"] * 4
    past = shops.cli_json("features", "history", "recent", "A", "2023-02-10",
                          "2023-03-10")
    assert len(past["rows"]) == 2
    shops.cli("features", "export", "recent", "view.csv")
    assert len((shops.dir / "view.csv").read_text().splitlines()) == 991


def test_jobs_are_listed_shown_waited_for_and_cancelled(shops):
    ended = shops.cli_json("jobs", "list", "--kind", "data.ingest")["jobs"]
    assert ended[0]["state"] == "succeeded"
    job = ended[0]["id"]
    assert shops.cli_json("jobs", "show", job)["id"] == job
    assert shops.cli_json("jobs", "wait", job)["state"] == "succeeded"
    late = shops.cli("jobs", "cancel", job, check=False)
    assert late.returncode == 1 and one_sentence(late.stderr)
    started = shops.cli_json("train", "next-amount", "--trials", "400",
                             "--no-wait")["job"]
    assert shops.cli_json("jobs", "cancel", started)["state"] == "cancelled"
    failed = shops.cli("jobs", "wait", started, check=False)
    assert failed.returncode == 1 and "cancelled" in failed.stderr


def test_events_are_listed_by_kind_and_the_chain_is_verified(shops):
    events = shops.cli_json("events", "--kind", "data.version_added")["events"]
    assert [e["subject"] for e in events] == ["sales"]
    whole = shops.cli_json("verify")
    assert whole["ok"] is True and whole["counts"]["events"] > len(events)
    assert shops.get("/api/v1/events/verify")["whole"] is True
    after = shops.cli_json("events", "--after", events[-1]["id"])["events"]
    assert all(e["id"] > events[-1]["id"] for e in after)


def test_the_clock_moves_forward_only_and_only_by_hand(tmp_path, shops):
    assert shops.cli_json("clock")["manual"] is True
    moved = shops.cli_json("clock", "2023-12-05T00:00:00Z")
    assert moved["now"].startswith("2023-12-05T00:00:00")
    back = shops.cli("clock", "2023-12-01", check=False)
    assert back.returncode == 1 and one_sentence(back.stderr)
    (tmp_path / "real").mkdir()
    with Server(tmp_path / "real") as real:
        done = real.cli("clock", "2031-01-01", check=False)
        assert done.returncode == 1 and one_sentence(done.stderr)


def test_status_shows_the_loop_at_a_glance(shops):
    seen = shops.cli_json("status")
    assert {"clock", "datasets", "models", "deployments", "alerts", "flows",
            "jobs"} == set(seen)
    text = shops.cli("status").stdout
    assert "sales" in text and "next-amount" in text


def test_every_listing_is_one_json_document_when_asked(shops):
    for name in commands():
        if name.endswith(" list") or name in ("events", "verify", "status",
                                              "clock"):
            assert isinstance(shops.cli_json(*name.split()), dict), name


def test_an_error_with_json_is_json_and_a_sentence(shops):
    done = shops.cli("data", "log", "nothing", "--json", check=False)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said["code"] == "not_found" and "sales" in said["error"]
    assert said["error"] in one_sentence(done.stderr)


# ---- training and serving ----

def test_the_model_and_deployment_commands(shops):
    table = shops.cli_json("train", "next-amount", "--trials", "1")
    assert {r["candidate"] for r in table["table"]} >= {"xgboost"}
    said = shops.cli("train", "next-amount", "--seed", "12").stdout
    assert "slipway gate next-amount/2" in said
    assert len(shops.cli_json("models", "show", "next-amount")["versions"]) == 2
    assert shops.cli_json("models", "version", "next-amount", "1")
    assert shops.cli_json("models", "lineage", "next-amount", "1")
    assert shops.cli_json("reproduce", "next-amount/1")["equal"] is True
    shops.cli("gate", "next-amount/1")
    assert len(shops.cli_json("runs", "list", "next-amount")["runs"]) >= 2
    shops.cli("deploy", "next-amount", "1", "--why", "first")
    shops.cli("features", "materialize")
    assert "champion" in shops.cli("predict", "next-amount", "A").stdout
    shops.cli("canary", "next-amount", "2", "10%")
    shops.cli("weight", "next-amount", "0.5")
    shops.cli("promote", "next-amount")
    shops.cli("rollback", "next-amount", "--why", "wrong on Mondays")
    shops.cli("withdraw", "next-amount")
    shops.cli("restore", "next-amount")
    assert shops.cli("drill", "next-amount", "nan").stdout == "nan\n"
    assert shops.cli_json("deployments", "show", "next-amount")[
        "drill"] == "nan"
    assert "fallback" in shops.cli("predict", "next-amount", "A").stdout
    shops.cli("drill", "next-amount", "off")
    state = shops.cli_json("deployments", "show", "next-amount")
    assert state["deployment"]["champion_version"] == 1
    assert "wrong on Mondays" in json.dumps(state["history"])
    rows = shops.cli_json("predictions", "next-amount")["predictions"]
    assert len(rows) == 2
    alias = shops.cli_json("alias", "next-amount", "champion")
    assert alias["version"] in (1, {"version": 1}) or \
        alias["version"].get("version") == 1
    bad = shops.cli("drill", "next-amount", "fire", check=False)
    assert bad.returncode == 1 and "nan" in one_sentence(bad.stderr)


def test_what_the_gate_refused_is_deployed_only_by_force(shops):
    shops.applied(shops.yaml.replace("fallback: 0,", "fallback: 0.99,"))
    shops.train()
    name = "next-amount"
    assert shops.cli_json("gate", f"{name}/1")["verdict"] == "refused"
    for words in (("deploy", name, 1), ("canary", name, 1, "10%"),
                  ("alias", name, "champion", 1)):
        done = shops.cli(*words, check=False)
        assert done.returncode == 1
        assert "refused" in one_sentence(done.stderr)
        assert "--force" in done.stderr
    answer = shops.call("POST", f"/api/v1/deployments/{name}/deploy",
                        {"version": 1})
    assert answer.status == 409
    shops.cli("deploy", name, 1, "--force", "--why", "a person decided")
    shops.cli("withdraw", name)
    assert "refused" in shops.cli("restore", name, check=False).stderr
    shops.cli("restore", name, "--force")
    shops.cli("alias", name, "champion", 1, "--force")


def test_runs_of_all_experiments_and_ended_jobs_without_promises(shops):
    shops.train()
    assert shops.cli_json("runs", "list") == shops.cli_json(
        "runs", "list", "next-amount")
    assert [j["note"] for j in shops.cli_json("jobs", "list")["jobs"]
            if j["state"] == "succeeded" and j["note"]] == []


def test_a_failed_job_says_why_in_the_list(shops):
    started = shops.post("/api/v1/models/next-amount/train",
                         {"as_of": "2023-01-05"})
    row = shops.job(started["job"])
    assert row["state"] == "failed"
    for words in (("jobs", "list"), ("status",)):
        said = shops.cli(*words).stdout
        assert row["error"]["message"][:60] in said and '"code"' not in said


def test_labels_of_a_file(shops, tmp_path):
    def put(text):
        (tmp_path / "labels.csv").write_text(text)
        return shops.cli("labels", "add", "next-amount", "labels.csv",
                         "--json", check=False)
    head = '"key","event_time",value\n'
    good = put(head + '"A, the ""first""",2023-09-28,0.3\nB,2023-09-28,1\n')
    assert json.loads(good.stdout) == {"received": 2, "changed": 2}
    for text, words in [("", "labels.csv holds no labels"),
                        (head, "holds no labels"),
                        ("A,2023-09-28\n", "labels.csv:1: wanted"),
                        ('"A"x,2023-09-28,1\n', "labels.csv:1: wanted"),
                        ("B,2023-09-28,1\nA,soon,1\n", "labels.csv:2: ")]:
        done = put(text)
        assert done.returncode == 1
        assert words in one_sentence(done.stderr)


def test_drift_needs_its_ranges_and_columns_that_exist(shops):
    assert run("drift", "recent").returncode == 2
    ranges = ("--reference", "2023-01-10..2023-08-31", "--window",
              "2023-09-01..2023-09-30")
    found = shops.cli_json("drift", "recent", *ranges, "--columns",
                           "amount_lag0")
    assert [c["name"] for c in found["columns"]] == ["amount_lag0"]
    done = shops.cli("drift", "recent", *ranges, "--columns", "amount,nope",
                     check=False)
    assert done.returncode == 1 and "'nope'" in one_sentence(done.stderr)


@pytest.mark.parametrize("monitor, words", [
    ("{window: 4d, drift: {alpha: 0.05}}", "5 days"),
    ("{window: 9d, performance: {metric: mae, window: 7d}}", "8 days")])
def test_a_window_that_could_never_be_judged_is_refused(shops, monitor, words):
    answer = shops.apply(shops.yaml + f"monitors:\n  next-amount: {monitor}\n")
    assert answer.status == 400
    assert words in answer.text and "slipway.yaml:" in answer.text


# ---- tokens ----

def with_token(server, secret, *args):
    return run(*args, env={"SLIPWAY_URL": server.url, "SLIPWAY_TOKEN": secret})


def test_the_first_token_closes_the_server_and_roles_are_kept(tmp_path, shops):
    secret = {"admin": shops.cli_json("token", "make", "anna", "admin")[
        "secret"]}
    assert shops.call("GET", "/api/v1/datasets").status == 401
    assert shops.call("GET", "/health").status == 200
    wrong = shops.call("GET", "/api/v1/datasets",
                       headers={"Authorization": "Bearer slw_wrong"})
    assert wrong.status == 401
    for role in ("reader", "writer", "deployer"):
        done = with_token(shops, secret["admin"], "token", "make", role, role,
                          "--json")
        assert done.returncode == 0, done.stderr
        secret[role] = json.loads(done.stdout)["secret"]

    (tmp_path / "rows.csv").write_text(shops_csv(days=340))

    def may(role, *args):
        done = with_token(shops, secret[role], *args)
        assert done.returncode in (0, 1), done.stderr
        if done.returncode:
            assert f"has '{role}'" in one_sentence(done.stderr)
        return done.returncode == 0
    add = ("data", "add", "sales", str(tmp_path / "rows.csv"))
    project = tmp_path / "slipway.yaml"
    project.write_text(shops.yaml)
    assert may("reader", "data", "list")
    assert not may("reader", *add)
    assert may("writer", *add)
    assert not may("writer", "apply", str(project))
    assert may("deployer", "apply", str(project))
    assert not may("deployer", "token", "list")
    assert may("admin", "token", "list")
    said = with_token(shops, secret["admin"], "token", "list", "--json").stdout
    assert secret["reader"] not in said and secret["admin"] not in said
    assert may("admin", "token", "revoke", "reader")
    assert with_token(shops, secret["reader"], "data", "list").returncode == 1


def test_a_reader_may_ask_for_predictions_by_each_protocol(shops):
    shops.train().deploy(1)
    shops.done(shops.post("/api/v1/features/materialize"))
    root = shops.cli_json("token", "make", "root", "admin")["secret"]
    made = with_token(shops, root, "token", "make", "app", "reader", "--json")
    head = {"Authorization": "Bearer " + json.loads(made.stdout)["secret"],
            "Content-Type": "application/json"}
    frame = {"dataframe_records": [{"shop": "A"}]}
    for path, body in [
            ("/v2/models/next-amount/infer",
             {"inputs": [{"name": "shop", "shape": [1], "datatype": "BYTES",
                          "data": ["A"]}]}),
            ("/invocations", frame),
            ("/deployments/next-amount/invocations", frame),
            ("/get-online-features",
             {"features": ["recent"], "entities": {"shop": ["A"]}})]:
        assert shops.call("POST", path, body).status == 401, path
        answer = shops.call("POST", path, body, head)
        assert answer.status == 200, (path, answer.text)


def test_tokens_survive_a_restart(tmp_path):
    server = Server(tmp_path).start()
    secret = server.cli_json("token", "make", "root", "admin")["secret"]
    server.stop()
    with server:
        assert server.call("GET", "/api/v1/jobs").status == 401
        assert with_token(server, secret, "jobs", "list").returncode == 0
