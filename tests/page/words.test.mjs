/* The fixed sentences, the numbers and the addresses: pure functions of ui/src/lib,
   bundled by esbuild into UNITS (see test_page.py). Run: node --test words.test.mjs */
import test from "node:test";
import assert from "node:assert/strict";

const { words, format, router, facts, plots, scale } = await import(process.env.UNITS);
const eq = assert.equal;

const deployment = (more = {}) => ({
  name: "next-close", model: "next-close", state: "steady", champion: "a", champion_version: 7,
  canary: null, canary_version: null, previous: "b", previous_version: 6, shadow: null,
  shadow_version: null, canary_weight: 0, rollout_step: -1, withdrawn: false, revision: 1,
  changed_at: "2023-01-01T00:00:00Z", definition: {}, ...more });
const points = (model, rule, n = 10) =>
  Array.from({ length: n }, (_, i) => ({ t: i * 86400e3, model, rule, rows: 7 }));
const overview = (more = {}) => ({ project: "p", sources: [], features: [], models: [],
  deployments: [], alerts: [], running: [], flows: [], runs: 0, events: [], ...more });

test("who answers is said for a champion, a canary, a withdrawal and an empty deployment", () => {
  eq(words.whoAnswers(deployment()), "v7 answers every request");
  eq(words.whoAnswers(deployment({ canary_version: 8, canary_weight: 0.1 })),
    "v7 answers 90 %, v8 as canary 10 % of the keys");
  eq(words.whoAnswers(deployment({ withdrawn: true })),
    "the rule answers every request, as v7 was withdrawn");
  eq(words.whoAnswers(deployment({ champion_version: null })),
    "the rule answers every request, as no version is deployed");
});

test("the error is weighed by rows and compared with the rule", () => {
  const e = words.againstRule([{ t: 0, model: 1, rule: 2, rows: 1 }, { t: 1, model: 3, rule: 2, rows: 3 }]);
  eq(e.model, 2.5);
  eq(e.ratio, 0.25);
  eq(words.againstRule([{ t: 0, model: null, rule: 2, rows: 1 }]), null);
  eq(words.belowRule(-0.031), "3.1 % below the rule");
  eq(words.belowRule(0.031), "3.1 % above the rule");
  eq(words.belowRule(0), "equal to the rule's");
});

test("the overview's sentence says whether things are well", () => {
  const d = deployment();
  const of = (list, marks = []) => ({ "next-close": { points: list, marks, metric: "mae" } });
  eq(words.overviewSentence(overview({ deployments: [d] }), of(points(0.9, 1))),
    "next-close is serving and better than its rule: v7 answers every request, error 10 % below the rule. No alert is open.");
  eq(words.overviewSentence(overview({ deployments: [d], alerts: [{ id: 1, deployment: "x" }] }), {}),
    "next-close is serving; how well is not known until labels come: v7 answers every request. 1 alert is open.");
  eq(words.overviewSentence(overview(), {}), "Nothing is declared yet. A project file starts the loop.");
  const said = (list, marks) => words.overviewSentence(overview({ deployments: [d] }), of(list, marks));
  assert.match(said(points(2, 1)), /but worse than its rule/);
  assert.match(said(points(1, 1).map((p, i) => ({ ...p, model: i % 2 ? 1.4 : 0.7 }))), /no better and no worse than its rule as far as 10 days show/);
  assert.match(said(points(2, 1, 4)), /4 days with labels are too few to judge it/);
  // what the version before did is not held against this one
  assert.match(said(points(2, 1), [{ kind: "release", from: 100 * 86400e3, to: null, ref: "", reason: "" }]), /not known until labels come/);
});

test("what is worst is said first", () => {
  const list = words.worstFirst([deployment({ name: "a" }), deployment({ name: "b", withdrawn: true }),
    deployment({ name: "c" })], [{ id: 1, deployment: "c" }]);
  eq(list.map((d) => d.name).join(""), "bca");
  const calls = words.calls(overview({ deployments: [deployment({ withdrawn: true })],
    alerts: [{ id: 1, deployment: "x", kind: "drift", reason: "volume" }] }));
  eq(calls[0].tone, "bad");
  eq(calls[1].tone, "warn");
});

test("a challenger waits for a decision unless it is refused or tried out", () => {
  const model = { name: "m", champion: 7, challenger: 8, gate: { version: 8, verdict: "passed", passed: 6, checks: 7 } };
  const of = (m, d = []) => words.calls(overview({ models: [m], deployments: d }));
  eq(of(model)[0].text, "m v8 waits for a decision: 6 of 7 checks passed.");
  eq(of({ ...model, gate: { ...model.gate, verdict: "refused" } }).length, 0);
  eq(of(model, [deployment({ model: "m", canary_version: 8 })]).length, 0);
});

test("a check that is better but not shown is unproven, not failed", () => {
  const c = (more) => words.checkVerdict({ name: "beats fallback", passed: false, why: "", ...more }).word;
  eq(c({ value: 3.60, limit: 3.62, p: 0.14 }), "unproven");
  eq(c({ value: 3.70, limit: 3.62, p: 0.14 }), "fail");
  eq(c({ passed: true }), "pass");
  eq(c({ skipped: true }), "not asked");
});

test("rows that would decide grow with the square of what is missing", () => {
  eq(words.rowsToDecide(0.01, 0.02, 100), 400);
  eq(words.rowsToDecide(0.02, 0.01, 100), null);
});

test("a window says drift and performance, or that labels are unknown", () => {
  const w = { rows: 140, labelled: 0, judged_columns: 2, drifted_columns: 1, verdict: "drift",
    columns: [{ name: "volume", drifted: true }, { name: "x", drifted: false }],
    performance: { model: null, other: null, worse: false } };
  eq(words.windowSentence(w), "1 of 2 columns drifts (volume) in the last window of 140 rows; labels are not yet known, so the error is not either.");
  eq(words.windowSign(w), "▲");
  eq(words.windowTone(w), "warn");
});

test("events say what and why", () => {
  assert.deepEqual(words.eventWords("serve.rolled_back", { why: "wrong" }), { tone: "warn", what: "rolled back", why: "wrong" });
  eq(words.eventWords("data.version_added", { version: 2, rows: 18935 }).why, "version 2, 18,935 rows");
  eq(words.eventWords("flow.decided", { fired: true, reason: "r" }).what, "trigger fired");
  eq(words.eventWords("new.kind_of", {}).what, "kind of");
});

test("numbers: four digits, true minus, groups; unknown, NaN and infinity differ", () => {
  const { num, count, percent, bytes, duration, pValue, column } = format;
  eq(num(0.00685573), "0.006856");
  eq(num(-1234.567), "−1,235");
  eq(num(0), "0");
  eq(num(null), "–");
  eq(num(NaN), "NaN");
  eq(num(-Infinity), "−∞");
  eq(num(0.0000123), "1.2e−5");
  eq(count(19362), "19,362");
  eq(count(48_100_000), "48.1 M");
  eq(count(1_460_000_000), "1.46 G");
  eq(percent(-0.049, true), "−4.9 %");
  eq(percent(0.31, true), "+31 %");
  eq(percent(null), "–");
  eq(pValue(0.00001), "< 0.0001");
  eq(bytes(997208), "974 KiB");
  eq(duration(70_000), "1 min 10 s");
  eq(duration(0.31), "310 µs");
  eq(duration(0), "0 s");
  const f = column([1.5, 22.25]);
  eq(f(1.5), "1.50");
  eq(f(22.25), "22.25");
});

test("links of MLflow's page become ours", () => {
  const { fromMlflow } = router;
  eq(fromMlflow("#/experiments/1/runs/abc"), "/runs/abc");
  eq(fromMlflow("#/experiments/1"), "/runs?experiment=1");
  eq(fromMlflow("#/models/next-range"), "/models/next-range");
  eq(fromMlflow("#/models/next-range/versions/2"), "/models/next-range/2");
  eq(fromMlflow('#/compare-runs?runs=["a","b"]&experiments=["1"]'), "/runs/compare?ids=a%2Cb");
  eq(fromMlflow("#/experiments/1/runs/abc/artifacts/model/MLmodel"), "/runs/abc");
  eq(fromMlflow("#/experiments/1?searchFilter=metrics.mae%20%3C%201&orderByKey=metrics.%60mae%60&orderByAsc=true"),
    "/runs?experiment=1&q=metrics.mae+%3C+1&sort=metrics.mae");
  eq(fromMlflow("#/experiments/1?orderByKey=attributes.start_time&orderByAsc=false"), "/runs?experiment=1&sort=-start_time");
  eq(fromMlflow("#/experiments/1/runs/%E0%A4%A"), "/runs/%25E0%25A4%25A"); // a broken link still lands
  eq(fromMlflow("#/what"), null);
});

test("what answered then follows the acts up to the moment", () => {
  const act = (at, action, to, weight = 0, from = null) => ({ at, action, from, to, weight, why: "" });
  const history = [act("2023-04-01T00:00:00Z", "rollback", 1), act("2023-03-01T00:00:00Z", "promote", 2),
    act("2023-02-01T00:00:00Z", "canary", 2, 0.1), act("2023-01-01T00:00:00Z", "deploy", 1)];
  const at = (t) => facts.stateAt(history, Date.parse(t));
  eq(at("2022-12-01").champion, null);
  eq(at("2023-02-15").champion, 1);
  eq(at("2023-02-15").canary, 2);
  eq(at("2023-03-15").champion, 2);
  eq(at("2023-05-15").champion, 1);
});

test("the interval is paired by day and needs enough days", () => {
  const days = Array.from({ length: 50 }, (_, i) => [i, 1 + (i % 2) * 0.1, 1.2]);
  const r = facts.pairedByDay(days, 1, 2);
  assert.ok(Math.abs(r.mid - (1.05 - 1.2) / 1.2) < 1e-12);
  assert.ok(r.half > 0 && r.mid + r.half < 0);
  eq(facts.pairedByDay(days.slice(0, 3), 1, 2), null);
});

test("a drawing's state is read from the address, what is odd there is passed over", () => {
  const of = (q) => plots.drawingOf(new URLSearchParams(q));
  assert.deepEqual(of(""), { axis: "step", smooth: 0, log: [], range: null, picked: [] });
  assert.deepEqual(of("x=time&smooth=0.9&log=loss,a/b&from=-5&to=20&pick=r1"),
    { axis: "time", smooth: 0.9, log: ["loss", "a/b"], range: [-5, 20], picked: ["r1"] });
  assert.deepEqual(of("x=moon&smooth=7&from=9&to=3"), of(""));
  assert.deepEqual(of("from=3"), of(""));
  const path = plots.historyPath(["a", "b"], "loss", of("x=time&smooth=0.9&log=loss&from=1&to=20"), 523);
  eq(path, "/api/v1/runs/history?metric=loss&points=600&x=time&run=a&run=b&from=1&to=20&smooth=0.9&log=1");
  eq(plots.pixels(1200, 1), 1200);
  eq(plots.pixels(1200, 20), 100);
  eq(plots.pixels(1200, 1000), 40);
});

test("an axis of values is a scale of numbers, or words in order", () => {
  const a = plots.axisOf("params.rate", ["0.1", null, "0.3", "0.2", ""]);
  assert.deepEqual([...a.at].map((v) => Math.round(v * 1e9) / 1e9), [0, NaN, 1, 0.5, NaN]);
  eq(a.name, "rate");
  eq(a.value(0.5), "0.2");
  const b = plots.axisOf("params.kind", ["svr", "gbdt", null, "svr"]);
  assert.deepEqual([...b.at], [1, 0, NaN, 1]);
  assert.deepEqual(b.words, ["gbdt", "svr"]);
  const log = plots.axisOf("metrics.mae", [1, 100, 10, 0, -1, "NaN", "Infinity"], true);
  assert.deepEqual([...log.at].map((v) => Math.round(v * 1e9) / 1e9), [0, 1, 0.5, NaN, NaN, NaN, NaN]);
  eq(plots.axisOf("metrics.same", [7, 7]).at[1], 0.5);
  eq(Number.isNaN(plots.axisOf("metrics.none", [null]).at[0]), true);
});

test("ranges keep the runs within, stand in the address, and may be open at an end", () => {
  const axes = [plots.axisOf("metrics.mae", [0.1, 0.2, 0.3, null]), plots.axisOf("params.a~b, c", ["x", "y", "x", "y"])];
  const kept = (text) => plots.within(4, axes, plots.brushesOf(text));
  assert.deepEqual(kept(""), [0, 1, 2, 3]);
  assert.deepEqual(kept("metrics.mae~0.2~0.3"), [1, 2]);
  assert.deepEqual(kept("metrics.mae~~0.2"), [0, 1]);
  assert.deepEqual(kept("metrics.mae~-5~0.1"), [0]);
  assert.deepEqual(kept("metrics.gone~1~2"), [0, 1, 2, 3]);
  const text = plots.brushText(new Map([["params.a~b, c", ["x", "x"]], ["metrics.mae", ["0.1", "0.2"]]]));
  assert.deepEqual(kept(text), [0]);
  eq(plots.brushText(plots.brushesOf(text)), text);
});

test("a logarithmic axis has ticks at powers of ten, and the nearest value is found", () => {
  const y = scale.logarithmic(0.001, 1000, 200, 0);
  assert.deepEqual(y.ticks.map((t) => Math.log10(t)), [-3, -2, -1, 0, 1, 2, 3]);
  assert.ok(Math.abs(y(1) - 100) < 1e-9);
  assert.ok(scale.logarithmic(1, 5, 0, 100).ticks.length >= 3);
  assert.ok(scale.logarithmic(3, 3, 0, 100).ticks.length >= 1);
  eq(scale.nearest([1, 5, 9], 6), 1);
  eq(scale.nearest([1, 5, 9], 7.5), 2);
  eq(scale.nearest([1, 5, 9], -3), 0);
  eq(scale.nearest([], 1), -1);
});
