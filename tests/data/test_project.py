"""slipway.yaml: what is wrong in it is said with line and column, and a file
that is refused changes nothing."""
import re

import pytest

from conftest import ROOT, SHOPS_YAML, Server

EXAMPLE = (ROOT / "examples" / "tech-stocks" / "slipway.yaml").read_text()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """These tests are refused, so one server does for all."""
    with Server(tmp_path_factory.mktemp("project")) as s:
        yield s


def line_of(text, part):
    return text[:text.index(part)].count("\n") + 1


def refused(server, yaml, *words):
    before = server.call("GET", "/api/v1/project").text
    events = server.get("/api/v1/events?limit=1000")["events"]
    answer = server.apply(yaml)
    assert answer.status == 400, answer.text
    said = answer.json["error"]
    for word in words:
        assert word in said, said
    assert server.call("GET", "/api/v1/project").text == before
    assert server.get("/api/v1/events?limit=1000")["events"] == events
    return said


def place(said):
    found = re.match(r"slipway\.yaml:(\d+):(\d+): ", said)
    assert found, said
    return int(found.group(1)), int(found.group(2))


@pytest.mark.parametrize("right, wrong", [
    ("    entity: shop\n    event_time", "    entitty: shop\n    event_time"),
    ("    expect:", "    expct:"),
    ("sources:", "soruces:"),
    ("    ttl: 7d", "    tll: 7d"),
    ("    metric: mae", "    metrik: mae"),
    ("    search: {trials", "    search: {trails"),
    ("timeout: 2s", "timout: 2s")])
def test_an_unknown_key_is_named_with_its_place_and_the_nearest(one, right,
                                                                wrong):
    yaml = SHOPS_YAML.replace(right, wrong, 1)
    (key, near), = [(a, b) for a, b in zip(re.findall(r"\w+", wrong),
                                           re.findall(r"\w+", right))
                    if a != b]
    said = refused(one, yaml, f"'{key}'", f"'{near}'")
    line, column = place(said)
    assert line == line_of(yaml, key + ":")
    at = yaml.splitlines()[line - 1]
    assert at[column - 1:].startswith(key), (said, at)


@pytest.mark.parametrize("right, wrong, word", [
    ("ttl: 7d", "ttl: often", "often"),
    ("trials: 2", "trials: two", "two"),
    ("features: [recent]", "features: {recent: 1}", "features"),
    ("expect: [", "expect: {a: [", "expect"),
    ("validate: 40d", "validate: -3d", "-3d"),
    ("metric: mae", "metric: luck", "luck"),
    ("timeout: 2s", "timeout: 0s", "timeout"),
    ("eta: [0.05, 0.3, log]", "eta: [0.3, 0.05, log]", "eta"),
    ("confidence: 0.95", "confidence: 7", "confidence")])
def test_a_value_of_the_wrong_kind_is_refused_at_its_place(one, right, wrong,
                                                           word):
    yaml = SHOPS_YAML.replace(right, wrong, 1)
    if "{a: [" in wrong:
        yaml = yaml.replace('"not_null(amount)"]', '"not_null(amount)"]}', 1)
    assert yaml != SHOPS_YAML
    said = refused(one, yaml, word)
    # What only a room can judge is said at the definition it belongs to.
    owners = [line_of(yaml, name + ":") for name in ("recent", "next-amount")]
    owners.append(line_of(yaml, "  next-amount: {model"))
    assert place(said)[0] in (line_of(yaml, wrong), *owners), said


@pytest.mark.parametrize("right, wrong, word", [
    ("features: [recent]", "features: [recnet]", "recnet"),
    ("of: sales}", "of: sale}", "sale"),
    ("{model: next-amount", "{model: next-amunt", "next-amunt"),
    ("", "\nmonitors:\n  nobody: {window: 30d}\n", "nobody"),
    ("", "\nretrain:\n  nobody: {on: [drift]}\n", "nobody")])
def test_what_is_not_declared_cannot_be_referred_to(one, right, wrong, word):
    yaml = SHOPS_YAML.replace(right, wrong, 1) if right else SHOPS_YAML + wrong
    said = refused(one, yaml, word)
    assert place(said)[0] == line_of(yaml, wrong.strip().split("\n")[-1])


def test_what_is_required_is_said_to_be_missing(one):
    refused(one, SHOPS_YAML.replace("    event_time: day\n", ""), "event_time")
    refused(one, SHOPS_YAML.replace("    target: {sql: lead(amount) OVER w, "
                                    "of: sales}\n", ""), "target")
    refused(one, SHOPS_YAML.replace("project: shops\n", ""), "project")


@pytest.mark.parametrize("yaml, line", [
    ("project: x\nsources:\n  a: [1, 2\nmodels: {}\n", (3, 5)),
    ("project: x\n\tsources: {}\n", (1, 2)),
    ("project: x\nsources: {a: {path: p}, a: {path: q}}\n", (2, 2)),
    ("just a text", (1, 1)), ("", (1, 1)), ("- a\n- list\n", (1, 1))])
def test_broken_yaml_is_refused_where_it_breaks(one, yaml, line):
    said = refused(one, yaml)
    if yaml:
        assert line[0] <= place(said)[0] <= line[1], said


def test_bytes_that_are_no_text_are_refused(one):
    for body in (b"project: \xff\xfe\n", b"project: a\0b\n"):
        answer = one.call("PUT", "/api/v1/project?file=slipway.yaml", body,
                          {"Content-Type": "application/yaml"})
        assert answer.status == 400, answer.text
        assert answer.json["error"]


def test_deeply_nested_yaml_ends_in_a_sentence(one):
    answer = one.apply("project: x\nsources: " + "[" * 20000)
    assert answer.status == 400 and answer.json["error"]
    bomb = "project: x\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]\n"
        for i in range(12))
    answer = one.apply(bomb)
    assert answer.status == 400 and answer.json["error"]


def test_applying_twice_changes_nothing_the_second_time(tmp_path):
    with Server(tmp_path) as s:
        first = s.applied(EXAMPLE)
        assert first["project"] == "tech-stocks" and len(first["changed"]) >= 8
        events = s.get("/api/v1/events?limit=1000")["events"]
        again = s.applied(EXAMPLE)
        assert again["changed"] == []
        assert s.get("/api/v1/events?limit=1000")["events"] == events
        one_more = s.applied(EXAMPLE.replace("count: 20", "count: 11"))
        assert len(one_more["changed"]) == 1
        assert s.get("/api/v1/project")["yaml"].count("count: 11") == 1


def test_a_refused_file_leaves_the_one_before(tmp_path):
    with Server(tmp_path) as s:
        s.applied(SHOPS_YAML)
        before = s.get("/api/v1/project")
        assert s.apply(SHOPS_YAML.replace("ttl: 7d", "tll: 8d")).status == 400
        assert s.get("/api/v1/project") == before


def test_durations_and_shares_are_read(tmp_path):
    with Server(tmp_path) as s:
        definition = s.applied(EXAMPLE)["definition"]
        assert definition["features"]["ranges"]["ttl_ms"] == 7 * 86400000
        assert definition["deployments"]["next-range"]["timeout_ms"] == 50
        steps = definition["deployments"]["next-range"]["rollout"]
        assert [t["canary"] for t in steps] == [0.1, 0.5]
