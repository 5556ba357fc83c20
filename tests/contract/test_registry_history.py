"""Which version had alias champion or stage Production at a time, who moved
it and why, and putting it back; the moves made by the real mlflow client."""
import json
import sqlite3
import threading
import time

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from conftest import Server, Shops

M = "/api/v1/models/m"
DAYS = ["2026-01-0%dT12:00:00Z" % d for d in range(1, 10)]


def at(server, time):
    """The server's clock moves on to a time."""
    server.post("/api/v1/clock", {"now": time})


def versions(server, count, name="m"):
    """Versions whose tag carries their number."""
    client = MlflowClient(server.url, server.url)
    client.create_registered_model(name)
    for n in range(1, count + 1):
        v = client.create_model_version(name, f"s3://b/{n}",
                                        tags={"number": str(n)})
        assert v.version == str(n)
    return client


def lived(folder):
    """A server whose model m has a past.  champion: 1 on the 2nd, 2 on the
    4th, gone on the 6th, 3 on the 8th; Production: 1 on the 2nd, also 2 on the
    3rd, only 3 from the 5th."""
    with Server(folder, "--clock", DAYS[0]) as s:
        c = versions(s, 3)
        at(s, DAYS[1])
        c.set_registered_model_alias("m", "champion", 1)
        c.transition_model_version_stage("m", 1, "Production")
        at(s, DAYS[2])
        c.transition_model_version_stage("m", 2, "production")
        at(s, DAYS[3])
        s.post(M + "/aliases/champion", {"version": 2, "why": "fewer misses",
                                         "who": "ada"}, "PUT")
        at(s, DAYS[4])
        c.transition_model_version_stage("m", 3, "Production",
                                         archive_existing_versions=True)
        at(s, DAYS[5])
        c.delete_registered_model_alias("m", "champion")
        at(s, DAYS[7])
        c.set_registered_model_alias("m", "champion", 3)
        yield s


@pytest.fixture
def past(tmp_path):
    yield from lived(tmp_path)


@pytest.fixture(scope="module")
def read_only(tmp_path_factory):
    yield from lived(tmp_path_factory.mktemp("past"))


def held(server, time, **query):
    asked = "".join(f"&{k}={v}" for k, v in query.items())
    answer = server.get(f"{M}/history?at={time}{asked}")
    return [(h["name"], h["version"]) for h in answer["held"]]


def test_an_alias_and_a_stage_are_known_at_every_instant(read_only):
    assert held(read_only, DAYS[0]) == []
    assert held(read_only, DAYS[1]) == [("champion", 1), ("Production", 1)]
    assert held(read_only, DAYS[2], stage="Production") == [
        ("Production", 1), ("Production", 2)]
    assert held(read_only, DAYS[3], alias="champion") == [("champion", 2)]
    assert held(read_only, DAYS[4]) == [("champion", 2), ("Archived", 1),
                                   ("Archived", 2), ("Production", 3)]
    assert held(read_only, DAYS[6], alias="champion") == []
    assert held(read_only, DAYS[7], alias="champion") == [("champion", 3)]


def test_a_time_is_an_rfc_3339_time_a_date_or_milliseconds(read_only):
    for time in ("2026-01-04T11:59:59.999Z", "2026-01-03", "1767484800000",
                 "2026-01-04T12:59:59.999%2B01:00"):
        assert held(read_only, time, alias="champion") == [("champion", 1)], time
    # A date is its end, and the end of today is now.
    assert held(read_only, "2026-01-08", alias="champion") == [("champion", 3)]


def test_the_moves_say_from_where_to_where_when_who_and_why(read_only):
    moves = read_only.get(f"{M}/history?alias=champion")["moves"]
    assert [(m["from"], m["to"], m["at"]) for m in moves] == [
        (None, 3, DAYS[7]), (2, None, DAYS[5]), (1, 2, DAYS[3]),
        (None, 1, DAYS[1])]
    assert (moves[2]["who"], moves[2]["why"]) == ("ada", "fewer misses")
    assert moves[3]["who"] == "mlflow client"
    stages = read_only.get(f"{M}/history?stage=Production")["moves"]
    assert {(m["version"], m["from"], m["to"], m["at"]) for m in stages} == {
        (3, "None", "Production", DAYS[4]),
        (2, "Production", "Archived", DAYS[4]),
        (1, "Production", "Archived", DAYS[4]),
        (2, "None", "Production", DAYS[2]),
        (1, "None", "Production", DAYS[1])}
    assert [m["at"] for m in stages] == sorted((m["at"] for m in stages),
                                               reverse=True)
    both = read_only.get(f"{M}/history")
    assert both["total"] == 9 == len(both["moves"])
    page = read_only.get(f"{M}/history?limit=2&offset=1")
    assert page["moves"] == both["moves"][1:3] and page["total"] == 9


def test_with_a_time_the_moves_end_there(read_only):
    moves = read_only.get(f"{M}/history?at={DAYS[2]}")["moves"]
    assert {m["at"] for m in moves} == {DAYS[1], DAYS[2]}


@pytest.mark.parametrize("path, status, words", [
    ("/api/v1/models/nobody/history", 404, "nobody"),
    (M + "/history?alias=never", 404, "never had an alias 'never'"),
    (M + "/history?stage=Prod", 400, "Staging, Production"),
    (M + "/history?at=2026-03-01", 400, "lies in the future; it is 2026-01-08"),
    (M + "/history?at=yesterday", 400, "at: "),
    (M + "/history?limit=0", 400, "limit"),
])
def test_what_cannot_be_answered_is_said(read_only, path, status, words):
    answer = read_only.call("GET", path)
    assert answer.status == status and words in answer.json["error"]


def test_stages_and_their_events_are_one_transaction(read_only):
    said = [json.loads(e["payload"]) if isinstance(e["payload"], str)
            else e["payload"] for e in read_only.get(
                "/api/v1/events?kind=registry.stage&limit=100")["events"]]
    assert sorted((p["version"], p["previous"], p["stage"]) for p in said) == [
        (1, "None", "Production"), (1, "Production", "Archived"),
        (2, "None", "Production"), (2, "Production", "Archived"),
        (3, "None", "Production")]
    assert {p["who"] for p in said} == {"mlflow client"}


def test_a_deleted_version_keeps_its_past(past):
    MlflowClient(past.url, past.url).delete_model_version("m", 3)
    assert held(past, DAYS[4], stage="Production") == [("Production", 3)]
    assert held(past, "2026-01-08", alias="champion") == []
    newest = past.get(f"{M}/history?stage=Production&limit=1")["moves"][0]
    assert (newest["version"], newest["to"]) == (3, None)
    for path in (M + "/aliases/champion/restore",
                 M + "/stages/Production/restore"):
        # At the 7th nothing was champion; in the stage was version 3.
        answer = past.call("POST", path, {"at": "2026-01-05T13:00:00Z"})
        if "aliases" in path:
            assert answer.status == 200 and answer.json["version"] == 2
        else:
            assert answer.status == 409 and "deleted" in answer.json["error"]


def test_an_alias_is_put_back_and_history_tells_it(past):
    answer = past.post(M + "/aliases/champion/restore",
                       {"at": DAYS[4], "who": "bob"})
    assert answer == {"model": "m", "alias": "champion", "version": 2,
                      "previous": 3, "changed": True, "not_deployed": []}
    move = past.get(f"{M}/history?alias=champion&limit=1")["moves"][0]
    assert (move["from"], move["to"], move["who"]) == (3, 2, "bob")
    assert DAYS[4] in move["why"]
    again = past.post(M + "/aliases/champion/restore", {"version": 2})
    assert again["changed"] is False
    assert past.get(f"{M}/history?alias=champion")["total"] == 5
    assert MlflowClient(past.url, past.url).get_model_version_by_alias(
        "m", "champion").version == "2"


@pytest.mark.parametrize("body, status, words", [
    ({}, 400, 'give either "at"'),
    ({"at": DAYS[2], "version": 1}, 400, 'give either "at"'),
    ({"at": DAYS[0]}, 404, "the first was given it at 2026-01-02"),
    ({"at": DAYS[6]}, 404, "had the alias 'champion' at"),
    ({"at": "2027-01-01"}, 400, "future"),
    ({"at": "soon"}, 400, "at: "),
    ({"version": 9}, 409, "never named version 9"),
    ({"version": "x"}, 400, "version"),
])
def test_what_cannot_be_put_back_is_said_and_changes_nothing(read_only, body, status,
                                                             words):
    before = read_only.get(M + "/history")
    answer = read_only.call("POST", M + "/aliases/champion/restore", body)
    assert answer.status == status and words in answer.json["error"], \
        answer.text
    assert read_only.get(M + "/history") == before


def test_an_alias_that_never_was_cannot_be_put_back(read_only):
    answer = read_only.call("POST", M + "/aliases/never/restore", {"at": DAYS[4]})
    assert answer.status == 404 and "ever had the alias 'never'" in \
        answer.json["error"]


def test_a_stage_is_put_back_to_all_that_were_in_it(past):
    path = M + "/stages/Production/restore"
    said = past.call("POST", path + "?dry_run=true", {"at": DAYS[3]}).json
    assert [e["kind"] for e in said["effects"]] == ["registry.stage_set"] * 3
    assert "Version 3 of model 'm' goes from stage Production to Archived" in \
        [e["sentence"] for e in said["effects"]]
    assert held(past, "2026-01-08", stage="Production") == [("Production", 3)]
    assert past.post(path, {"at": DAYS[3]})["versions"] == [1, 2]
    c = MlflowClient(past.url, past.url)
    assert [c.get_model_version("m", n).current_stage for n in (1, 2, 3)] == [
        "Production", "Production", "Archived"]
    answer = past.call("POST", M + "/stages/None/restore", {"at": DAYS[3]})
    assert answer.status == 400 and "can be put back" in answer.json["error"]
    answer = past.call("POST", M + "/stages/Staging/restore", {"at": DAYS[3]})
    assert answer.status == 404 and "ever had the stage" in \
        answer.json["error"]


def test_the_token_says_who(past):
    at(past, DAYS[8])
    token = past.cli_json("token", "make", "carol", "admin")["secret"]
    head = {"Authorization": f"Bearer {token}"}
    answer = past.call("POST", M + "/aliases/champion/restore",
                       {"at": DAYS[2], "who": "mallory"}, head)
    assert answer.status == 200, answer.text
    past.call("PUT", M + "/aliases/other", {"version": 2}, head)
    form = past.call(
        "POST", "/api/2.0/mlflow/model-versions/transition-stage",
        {"name": "m", "version": "1", "stage": "Staging"}, head)
    assert form.status == 200, form.text
    moves = past.call("GET", M + "/history?limit=3", None, head).json["moves"]
    assert {m["who"] for m in moves} == {"carol"}


def test_a_model_that_is_made_anew_has_no_past(past):
    c = MlflowClient(past.url, past.url)
    c.delete_registered_model("m")
    assert past.call("GET", M + "/history").status == 404
    c.create_registered_model("m")
    assert past.get(M + "/history")["moves"] == []
    with pytest.raises(MlflowException):
        c.get_model_version_by_alias("m", "champion")
    assert past.cli("verify").returncode == 0


def test_stages_of_a_store_without_their_history_enter_it(tmp_path):
    """As the server before this migration left it."""
    with Server(tmp_path, "--clock", DAYS[0]) as s:
        c = versions(s, 2)
        at(s, DAYS[2])
        c.transition_model_version_stage("m", 2, "Staging")
    db = sqlite3.connect(s.data / "slipway.db")
    # An alias of a model that is gone, whose row's number is free again.
    db.execute("INSERT INTO registry_alias_history(model_id, alias, from_ms,"
               " version, who, why) VALUES(99, 'champion', 1, 1, '', '')")
    for sql in ("DROP TABLE registry_stage_history",
                "DROP INDEX registry_alias_history_by_model",
                "DELETE FROM schema_migration WHERE number = 15"):
        db.execute(sql)
    db.commit()
    db.close()
    with Server(tmp_path, "--clock", DAYS[4]) as s:
        assert held(s, DAYS[2], stage="Staging") == [("Staging", 2)]
        assert held(s, DAYS[1]) == []
        assert held(s, DAYS[1], stage="None") == [("None", 1), ("None", 2)]
        assert "before stages were recorded" in s.get(
            M + "/history?stage=Staging")["moves"][0]["why"]
        assert s.cli("verify").returncode == 0
    db = sqlite3.connect(s.data / "slipway.db")
    assert db.execute("SELECT count(*) FROM registry_alias_history"
                      ).fetchone() == (0,)
    db.close()


def test_verify_finds_a_stage_that_its_history_does_not_know(past):
    past.stop()
    db = sqlite3.connect(past.data / "slipway.db")
    db.execute("UPDATE registry_version SET stage = 'Staging'"
               " WHERE version = 1")
    db.commit()
    db.close()
    done = past.cli("verify", "--data", past.data, check=False)
    assert done.returncode == 1
    assert "not where its history left it" in done.stdout + done.stderr


# ---- the command line ----

def test_the_command_line_shows_the_past_and_puts_it_back(past):
    said = past.cli("models", "history", "m", "--alias", "champion",
                    "--at", "2026-01-05").stdout
    assert "version 2 had the alias champion, since 2026-01-04T12:00:00Z, " \
        "by ada: fewer misses" in said
    said = past.cli("models", "history", "m", "--stage", "production").stdout
    assert said.splitlines()[0].split() == ["at", "what", "from", "to", "who",
                                            "why"]
    assert "stage of version 3" in said and "alias" not in said
    assert "no version held it" in past.cli(
        "models", "history", "m", "--alias", "champion", "--at",
        DAYS[0]).stdout
    assert "of 9 moves" in past.cli("models", "history", "m", "--limit",
                                    "4").stdout
    done = past.cli("alias", "m", "champion", "--restore-at", DAYS[2],
                    "--why", "it was better")
    assert "names version 1 again, no longer 3" in done.stdout
    move = past.cli_json("models", "history", "m", "--alias",
                         "champion")["moves"][0]
    assert (move["to"], move["why"]) == (1, "it was better")
    past.cli("models", "stage", "m", "Production", "--restore-at", DAYS[2])
    assert [h["version"] for h in past.cli_json(
        "models", "history", "m", "--stage", "Production", "--at",
        "2026-01-08")["held"]] == [1, 2]
    wrong = past.cli("alias", "m", "champion", "2", "--restore-at", DAYS[2],
                     check=False)
    assert wrong.returncode == 1 and "--restore-at" in wrong.stderr
    wrong = past.cli("models", "history", "nobody", check=False)
    assert wrong.returncode == 1 and "nobody" in wrong.stderr


# ---- gates ----

def test_every_verdict_is_shown_and_a_refused_champion_is_not_put_back(
        tmp_path):
    with Shops(tmp_path) as s:
        s.train(2)
        path = "/api/v1/models/next-amount"
        for _ in range(2):
            s.done(s.post(f"{path}/versions/1/gate"))
        gates = s.get(f"{path}/versions/1/gates")
        assert gates["total"] == 2
        assert all(g["verdict"] in ("passed", "refused") and
                   g["gate"]["checks"] for g in gates["gates"])
        one = s.get(f"{path}/versions/1/gates?limit=1&offset=1")["gates"]
        assert one == gates["gates"][1:]
        shown = s.cli_json("models", "version", "next-amount", 1)["gates"]
        assert len(shown) == 2 and shown[0]["sentence"]
        assert s.get(f"{path}/versions/2/gates")["gates"] == []
        assert s.call("GET", f"{path}/versions/9/gates").status == 404

        def champion(version, **more):
            return s.call("PUT", path + "/aliases/champion",
                          {"version": version, **more})
        assert champion(1, force=True).status == 200
        s.deploy(2)
        answer = s.call("POST", path + "/aliases/champion/restore",
                        {"version": 1})
        if gates["gates"][0]["verdict"] == "refused":
            assert answer.status == 409 and "--force" in answer.json["error"]
            answer = s.call("POST", path + "/aliases/champion/restore",
                            {"version": 1, "force": True})
        assert answer.status == 200, answer.text
        assert answer.json["not_deployed"] == [
            {"deployment": "next-amount", "champion_version": 2}]
        moves = s.get(path + "/history?alias=champion")["moves"]
        assert [(m["from"], m["to"]) for m in moves] == [(2, 1), (1, 2),
                                                         (None, 1)]
        assert moves[1]["why"] == "a test"


# ---- one transaction ----

def test_readers_never_see_a_mix_while_an_alias_moves(tmp_path):
    """One client moves the alias between two versions as fast as it can; what
    readers get is one of both, whole, and never nothing."""
    with Server(tmp_path) as s:
        versions(s, 2)
        s.post("/api/2.0/mlflow/registered-models/alias", {
            "name": "m", "alias": "champion", "version": "1"})
        end, seen, faults = time.monotonic() + 4, set(), []
        moved = [0]

        def move():
            while time.monotonic() < end:
                s.post("/api/2.0/mlflow/registered-models/alias", {
                    "name": "m", "alias": "champion",
                    "version": str(1 + moved[0] % 2)})
                moved[0] += 1

        def mlflow_version(path):
            answer = s.call("GET", path)
            assert answer.status == 200, answer.text
            v = answer.json["model_version"]
            return (v["version"], v["tags"][0]["value"],
                    v.get("aliases", []))

        def by_alias():
            return mlflow_version("/api/2.0/mlflow/registered-models/alias"
                                  "?name=m&alias=champion")

        def native(path):
            v = s.get(path)
            v = v.get("version", v) if isinstance(v.get("version"),
                                                  dict) else v
            return str(v["version"]), v["tags"]["number"], v["aliases"]

        def by_model():
            m = s.get("/api/2.0/mlflow/registered-models/get?name=m")[
                "registered_model"]
            named = [a["version"] for a in m["aliases"]]
            assert len(named) == 1
            latest = m["latest_versions"][0]  # version 2, the newest
            assert (latest.get("aliases", []) == ["champion"]) == \
                (named[0] == latest["version"])
            return named[0], named[0], ["champion"]

        def read(ask):
            try:
                while time.monotonic() < end:
                    version, number, aliases = ask()
                    assert version == number and aliases == ["champion"]
                    seen.add((ask, version))
            except AssertionError as e:
                faults.append(f"{ask}: {e}")

        asks = [by_alias, by_model,
                lambda: native("/api/v1/models/m/aliases/champion"),
                lambda: native("/api/v1/models/m/versions/champion")]
        threads = [threading.Thread(target=move)] + [
            threading.Thread(target=read, args=(ask,)) for ask in asks]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not faults, faults
        assert moved[0] > 20
        assert len(seen) == 2 * len(asks), "each reader saw both versions"


def test_a_stage_that_changes_hands_is_held_by_one_version_at_any_instant(
        tmp_path):
    with Server(tmp_path) as s:
        versions(s, 2)
        stage = "/api/2.0/mlflow/model-versions/transition-stage"
        latest = "/api/2.0/mlflow/registered-models/get-latest-versions"

        def to(version):
            s.post(stage, {"name": "m", "version": str(version),
                           "stage": "Production",
                           "archive_existing_versions": True})
        to(1)
        end, seen, faults = time.monotonic() + 3, set(), []

        def move():
            n = 0
            while time.monotonic() < end:
                to(1 + n % 2)
                n += 1

        def read():
            while time.monotonic() < end:
                found = s.get(f"{latest}?name=m&stages=Production")
                found = found.get("model_versions", [])
                if len(found) != 1 or found[0]["tags"][0]["value"] != \
                        found[0]["version"]:
                    faults.append(found)
                    return
                seen.add(found[0]["version"])

        def read_history():
            while time.monotonic() < end:
                held = s.get(M + "/history?limit=1&stage=Production&at=" +
                             str(int(time.time() * 1000)))["held"]
                if len(held) != 1:
                    faults.append(held)
                    return
        threads = [threading.Thread(target=f)
                   for f in (move, read, read, read_history)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not faults, faults
        assert seen == {"1", "2"}
