/* Deployments: who answers, how fast, what answered then, and the levers. */
import { useState } from "preact/hooks";
import { ask, type Failure, useGet } from "../lib/api";
import { column, count, day, duration, hash, num, percent, plural, time, toMs } from "../lib/format";
import { stateAt } from "../lib/facts";
import { liveFigures } from "../lib/live";
import { useDeployment, useErrorHistory } from "../lib/overview";
import { go, href, place, withQuery } from "../lib/router";
import type { Deployment, DeploymentAnswer, Model, Prediction } from "../lib/types";
import { deploymentSentence, deploymentTone, deploymentWord, v, whoAnswers } from "../lib/words";
import { Card, Empty, Head, Oops, Reading, Time } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { canaryAct, deployAct, promoteAct, rollbackAct, simpleAct, weightAct } from "../parts/acts";
import { Curve } from "../parts/curve";
import { Icon, Mark } from "../parts/mark";
import { useNeighbours, usePage } from "../parts/page";
import { WeightBar } from "../parts/rows";
import { Timeline } from "../parts/timeline";
import { Table } from "../parts/table";

const enc = encodeURIComponent;

export function DeploymentList() {
  usePage([["Deployments", null]], "slipway deployments list");
  const list = useGet<{ deployments: Deployment[] }>("/api/v1/deployments", ["serve."]);
  const d = list.data?.deployments;
  const bad = d?.filter((x) => x.withdrawn).length ?? 0;
  return <>
    <Head title="Deployments" lead={d?.length ? `${plural(d.length, "deployment")}; ${bad ? `${plural(bad, "is", "are")} on the rule after a withdrawal` : "none was withdrawn"}.` : undefined} />
    <Card title="Deployments"><Reading of={list} isEmpty={(x) => !x.deployments.length}
      empty={<Empty command="slipway deploy NAME@VERSION">Nothing is deployed. A deployment is declared in the project file; this puts a version behind it:</Empty>}>
      {(x) => <Table rows={x.deployments} cols={[["Deployment", (e) => <a href={href(["deployments", e.name])}>{e.name}</a>],
        ["State", (e) => <Mark tone={deploymentTone(e)}>{deploymentWord(e)}</Mark>, "v"], ["Traffic", (e) => <WeightBar d={e} />, "w"],
        ["Champion", (e) => vlink(e, e.champion_version), "l"], ["Canary", (e) => vlink(e, e.canary_version), "l"],
        ["Before", (e) => vlink(e, e.previous_version), "l"], ["Changed", (e) => <Time ms={toMs(e.changed_at)} />]]} />}</Reading></Card>
  </>;
}

const vlink = (d: Deployment, n: number | null) => n === null ? <span class="mut">–</span>
  : <a href={href(["models", d.model, n])}>v{n}</a>;

/* ---- live ---- */

const rate = (v: number | undefined) => v === undefined ? "–" : `${num(v, 3)}/s`;

interface Figures { requests_per_s: number; p50_ms: number | null; p99_ms: number | null; errors_per_s: number; fallback_share: number }
interface LiveAnswer {
  points: (Figures & { ago_s: number })[];
  releases: { version: number | null; role: string; requests_per_s: number; p50_ms: number | null; p99_ms: number | null }[];
}

function Live({ name, timeout }: { name: string; timeout: number | undefined }) {
  const past = useGet<LiveAnswer>(`/api/v1/deployments/${enc(name)}/live`, ["serve."]);
  const now = liveFigures.value[name];
  const points = past.data?.points ?? [];
  const x = points.map((p) => -p.ago_s);
  return <Card title="Live" note="the last two seconds; the curve is of the last five minutes, in seconds before now">
    <dl><dt>Requests</dt><dd>{rate(now?.requests_per_s)}</dd>
      <dt>Latency</dt><dd>{now?.p50_ms !== undefined && now.p50_ms !== null ? `p50 ${duration(now.p50_ms)}, p99 ${duration(now.p99_ms)}` : "–"}</dd>
      <dt>Errors</dt><dd>{rate(now?.errors_per_s)}</dd>
      <dt>On the rule</dt><dd>{now?.fallback_share !== undefined ? percent(now.fallback_share) : "–"}</dd>
      {timeout !== undefined && <><dt>p99 of its limit</dt><dd>{now?.p99_ms ? `${percent(now.p99_ms / timeout)} of ${timeout} ms` : `at most ${timeout} ms`}</dd></>}</dl>
    {past.failure && <Oops failure={past.failure} again={past.again} />}
    {!!past.data?.releases.length && <Table flat caption="By release, the last minutes" rows={past.data.releases} cols={[
      ["Version", (r) => <>{v(r.version)} <span class="mut">{r.role}</span></>], ["Requests", (r) => rate(r.requests_per_s), "r"],
      ["p50", (r) => duration(r.p50_ms), "r"], ["p99", (r) => duration(r.p99_ms), "r"]]} />}
    {points.some((p) => p.p50_ms !== null) && <Curve title="Latency" unit="ms" fromZero series={[
      { name: "p50 ms", x, y: points.map((p) => p.p50_ms) }, { name: "p99 ms", x, y: points.map((p) => p.p99_ms) }]} />}
  </Card>;
}

/* ---- what answered then ---- */

function Then({ a }: { a: DeploymentAnswer }) {
  const d = a.deployment;
  const text = place.value.query.get("at") ?? "";
  const at = toMs(text.length === 16 ? `${text}:00Z` : text);
  const s = at === null ? null : stateAt(a.history, at);
  return <Card title="What answered then" note="any moment, UTC">
    <label>at <input type="datetime-local" value={text.slice(0, 16)} aria-label="Moment, UTC"
      onChange={(e) => go(withQuery({ at: e.currentTarget.value }), true)} /></label>
    <div aria-live="polite">{s && <p>{s.withdrawn ? `The rule answered: ${v(s.champion)} was withdrawn.`
      : s.champion === null ? "The rule answered: no version was deployed yet."
        : <><a href={href(["models", d.model, s.champion])}>v{s.champion}</a> answered {percent(1 - s.weight)}
          {s.canary !== null && <>, <a href={href(["models", d.model, s.canary])}>v{s.canary}</a> as canary {percent(s.weight)}</>}.</>}
      {s.last && <> Decided {time(toMs(s.last.at))}: {s.last.action}{s.last.why && `, “${s.last.why}”`}{s.last.who && `, by ${s.last.who}`}. </>}
      {s.champion !== null && <a href={href(["models", d.model, s.champion], { tab: "release" })}>What it was made of</a>}</p>}</div>
  </Card>;
}

const ACT: Record<string, "ok" | "warn" | "bad" | "info" | "idle"> = { deploy: "ok", promote: "ok", rollback: "warn",
  canary: "info", weight: "info", withdraw: "bad", restore: "ok" };

function History({ a }: { a: DeploymentAnswer }) {
  return <Card title="History" note="who, when and why"><ul class="ev">{a.history.slice(0, 100).map((h, i) =>
    <li key={i}><Time ms={toMs(h.at)} /><Icon tone={ACT[h.action] ?? "idle"} /><span><b>{h.action}</b>{" "}
      {h.from !== h.to && h.from !== null && <>{v(h.from)} → </>}{h.to !== null && v(h.to)}
      {h.weight > 0 && ` at ${percent(h.weight)}`} <span class="mut">{h.why}{h.who && `, by ${h.who}`}</span></span></li>)}</ul></Card>;
}

/* ---- try it ---- */

function TryIt({ d }: { d: Deployment }) {
  const model = useGet<{ version: unknown; release: { signature?: { entity: string } } | null }>(
    d.champion_version ? `/api/v1/models/${enc(d.model)}/versions/${d.champion_version}` : null);
  const entity = model.data?.release?.signature?.entity ?? "symbol";
  const [body, setBody] = useState("");
  const [said, setSaid] = useState<{ answer: any; ms: number } | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const text = body || JSON.stringify({ inputs: [{ name: entity, shape: [1], datatype: "BYTES", data: ["TSLA"] }] }, null, 1);
  const send = async () => {
    setFailure(null);
    setSaid(null);
    const began = performance.now();
    try {
      const answer = await ask<any>("POST", `/v2/models/${enc(d.name)}/infer`, JSON.parse(text));
      setSaid({ answer, ms: performance.now() - began });
    } catch (e) {
      setFailure(e instanceof SyntaxError ? ({ message: `Not JSON: ${e.message}`, status: 0, code: "", request: "", retryAfter: 0 } as Failure) : e as Failure);
    }
  };
  const p = said?.answer.parameters ?? {};
  return <Card title="Try it" note="a real prediction; it is logged like any other">
    <textarea rows={6} aria-label="Request" spellcheck={false} value={text} onInput={(e) => setBody(e.currentTarget.value)} />
    <div class="act"><button onClick={send}>Predict</button></div>
    {failure && <Oops failure={failure} />}
    <div aria-live="polite">{said && <><p><b>{said.answer.outputs?.map((o: any) => `${o.name}: ${o.data.slice(0, 5).map((x: unknown) => typeof x === "number" ? num(x) : String(x)).join(", ")}`).join("; ")}</b>,
      answered by the {p.served_by ?? "server"}{said.answer.model_version && ` (v${said.answer.model_version})`}
      {p.fallback_reason && `, because ${p.fallback_reason}`} in {duration(said.ms)}.</p><pre tabIndex={0} aria-label="Answer">{JSON.stringify(said.answer, null, 1)}</pre></>}</div>
  </Card>;
}

function Log({ name }: { name: string }) {
  const log = useGet<{ count: number; predictions: Prediction[] }>(`/api/v1/deployments/${enc(name)}/predictions?limit=20`, []);
  return <Card title="Prediction log" note={log.data && `the last ${log.data.predictions.length} of ${count(log.data.count)}`}
    side={<button class="sm" onClick={log.again}>Read again</button>}>
    <Reading of={log} isEmpty={(x) => !x.predictions.length} empty={<Empty>No prediction was asked for yet.</Empty>}>{(x) => {
      const figure = column(x.predictions.flatMap((p) => [p.prediction, p.rule]));
      return <Table flat rows={[...x.predictions].reverse()} cols={[["Time", (p) => time(toMs(p.at)), "l"], ["Key", (p) => p.key],
      ["Answer", (p) => figure(p.prediction), "r"], ["Rule", (p) => figure(p.rule), "r"],
      ["By", (p) => <>{p.served_by} <span class="mut">{p.fallback_reason}</span></>], ["Latency", (p) => duration(p.latency_us / 1000), "r"]]} />;
    }}</Reading></Card>;
}

function Levers({ d, model }: { d: Deployment; model: Model | undefined }) {
  const newest = model?.versions.map((x) => x.version).filter((x) => x !== d.champion_version && x !== d.canary_version);
  const next = newest?.length ? Math.max(...newest) : null;
  return <>
    {d.canary_version !== null && <><ActButton label="Weights" act={weightAct(d)} />
      <ActButton label={`Promote ${v(d.canary_version)}`} primary act={promoteAct(d, d.canary_version)} /></>}
    {d.canary_version === null && next !== null && (d.champion_version === null
      ? <ActButton label={`Deploy v${next}`} act={deployAct(d, next)} />
      : <ActButton label={`Canary v${next}`} act={canaryAct(d, next)} />)}
    {d.withdrawn ? <ActButton label="Restore" primary act={simpleAct(d, "restore", `Restore ${v(d.champion_version)}`)} />
      : d.champion_version !== null && <ActButton label="Fall back now" danger act={simpleAct(d, "withdraw", `Withdraw ${v(d.champion_version)}: the rule answers`, true)} />}
    <ActButton label="Roll back" danger act={rollbackAct(d)} not={d.previous_version === null ? "no version to go back to" : null} />
  </>;
}

export function DeploymentPage({ name }: { name: string }) {
  usePage([["Deployments", "/deployments"], [name, null]], `slipway deployments show ${name}`);
  const one = useDeployment(name);
  const errors = useErrorHistory(name);
  const d = one.data?.deployment;
  const model = useGet<Model>(d ? `/api/v1/models/${enc(d.model)}?limit=5` : null, ["registry."]);
  const list = useGet<{ deployments: Deployment[] }>("/api/v1/deployments", ["serve."]);
  useNeighbours(list.data?.deployments.map((x) => x.name) ?? [], name, (x) => href(["deployments", x]));
  const since = one.data?.since_change;
  const step = d && d.rollout_step >= 0 ? d.definition.rollout?.[d.rollout_step] : undefined;
  return <>
    <Head title={<>{name} {d && <Mark tone={deploymentTone(d)}>{deploymentWord(d)}</Mark>}</>}
      lead={d && deploymentSentence(d, errors.data)} actions={d && <Levers d={d} model={model.data} />} />
    <Reading of={one} rows={6}>{(a) => <>
      <Card title="Who answers" note={whoAnswers(a.deployment)}><WeightBar d={a.deployment} />
        <div class="read"><span>{a.deployment.champion_version !== null && <>champion {vlink(a.deployment, a.deployment.champion_version)} <code>{hash(a.deployment.champion)}</code></>}</span>
          {a.deployment.canary_version !== null && <span>canary {vlink(a.deployment, a.deployment.canary_version)} <code>{hash(a.deployment.canary)}</code></span>}
          {a.deployment.previous_version !== null && <span class="mut">before: {vlink(a.deployment, a.deployment.previous_version)}</span>}
          {step && <b>step {a.deployment.rollout_step + 1} of {a.deployment.definition.rollout!.length}: {count(since?.canary)} of {count(step.requests)} requests</b>}</div>
        {since && <div class="read mut">Since the last change, {day(toMs(a.deployment.changed_at))}: champion {count(since.champion)}, canary {count(since.canary)}
          {since.canary_failed > 0 && <b class="badt"> ({count(since.canary_failed)} failed)</b>}, rule {count(since.fallback)} answers.</div>}</Card>
      <Card title="Error over time" note="against the rule, and what was done">
        <Reading of={errors}>{(h) => h.points.length || h.marks.length ? <Timeline history={h} /> : <Empty>No labels have come yet. With the first ones the curve begins.</Empty>}</Reading></Card>
      <div class="g2"><div><Then a={a} /><History a={a} /></div><div><Live name={name} timeout={a.deployment.definition.timeout_ms} /><TryIt d={a.deployment} /></div></div>
      <Log name={name} /></>}</Reading>
  </>;
}
