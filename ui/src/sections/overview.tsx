/* Overview: is it well now, and what is being done about it. */
import { useMemo } from "preact/hooks";
import { type Read, useLoad } from "../lib/api";
import { ago, count, day, duration, num, percent, plural, serverNow } from "../lib/format";
import { liveFigures, movingJobs } from "../lib/live";
import { errorHistory, useOverview } from "../lib/overview";
import { href, place, withQuery, go } from "../lib/router";
import type { Deployment, ErrorHistory, ErrorPoint, GateFigures, Job, Overview } from "../lib/types";
import {
  againstRule, belowRule, calls, deploymentTone, deploymentWord, gateTone, overviewSentence, sinceChange, type Tone, v, worstFirst,
} from "../lib/words";
import { Card, Command, Empty, Head, Oops, Reading, Time } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { rollbackAct, retrainAct } from "../parts/acts";
import { Icon, Mark } from "../parts/mark";
import { usePage } from "../parts/page";
import { EventRows, JobRow, WeightBar } from "../parts/rows";
import { Timeline } from "../parts/timeline";
import { Table } from "../parts/table";

interface Station { name: string; to: string; tone: Tone; big: string; small: string; command: string }

function stations(o: Overview): Station[] {
  const stale = o.sources.filter((s) => s.fresh === false).length;
  const source = [...o.sources].sort((a, b) => (b.known_at_ms ?? 0) - (a.known_at_ms ?? 0))[0];
  const newest = source?.known_at_ms ?? 0;
  const made = Math.max(0, ...o.features.map((f) => f.materialized_at_ms ?? 0));
  const champions = o.models.filter((m) => m.champion !== null).length;
  const waiting = o.models.filter((m) => m.challenger !== null && m.challenger !== m.champion).length;
  const onRule = o.deployments.filter((d) => d.withdrawn).length;
  const served = o.deployments.filter((d) => d.champion_version !== null && !d.withdrawn).length;
  const canary = o.deployments.find((d) => d.canary_version !== null);
  const moving = o.flows.filter((f) => !f.ended);
  const last = o.flows[0];
  const drifts = Object.values(o.windows ?? {}).reduce((n, w) => n + (w?.drifted_columns ?? 0), 0);
  const job = o.running.find((j) => j.kind.startsWith("flow.train"));
  return [
    { name: "Data", to: "/data", tone: !o.sources.length ? "idle" : stale ? "warn" : "ok",
      big: !o.sources.length ? "No source" : stale ? `${stale} late` : "Fresh",
      small: source?.version ? `${source.name} ${v(source.version)}, ${ago(newest) || day(newest)}` : "", command: "slipway run slipway.yaml" },
    { name: "Features", to: "/features", tone: o.features.length ? "ok" : "idle",
      big: o.features.length ? plural(o.features.length, "view") : "None",
      small: made ? `online ${ago(made) || day(made)}` : "", command: "slipway features materialize" },
    { name: "Runs", to: "/runs", tone: job ? "info" : o.runs ? "ok" : "idle",
      big: job ? `Training ${percent(job.progress)}` : plural(o.runs, "run"),
      small: job ? job.subject : "", command: "slipway train NAME" },
    { name: "Models", to: "/models", tone: waiting ? "info" : champions ? "ok" : "idle",
      big: champions ? plural(champions, "champion") : o.models.length ? "No champion" : "None",
      small: waiting ? plural(waiting, "challenger") : plural(o.models.length, "model"), command: "slipway gate NAME/1" },
    { name: "Deployments", to: "/deployments", tone: onRule ? "bad" : canary ? "info" : served ? "ok" : "idle",
      big: onRule ? `${onRule} on the rule` : canary ? `Canary ${percent(canary.canary_weight)}`
        : served ? `${served} serving` : "None", small: served ? o.deployments.filter((d) => d.champion_version !== null)
        .map((d) => `${v(d.champion_version)}`).join(", ") : "", command: "slipway deploy NAME@1" },
    { name: "Monitoring", to: "/monitoring", tone: o.alerts.length ? "warn" : o.deployments.length ? "ok" : "idle",
      big: o.alerts.length ? plural(o.alerts.length, "alert") : "Quiet",
      small: o.alerts[0]?.kind ?? (drifts ? `${plural(drifts, "column drifts", "columns drift")}` : ""), command: "slipway drift NAME" },
    { name: "Flows", to: "/flows", tone: moving.length ? "info" : last?.state === "failed" ? "bad" : last ? "ok" : "idle",
      big: moving.length ? `Retrain ${job ? percent(job.progress) : moving[0]!.state}` : last ? last.state.replace("_", " ") : "None yet",
      small: last ? `${last.model}, ${ago(last.started_at_ms) || day(last.started_at_ms)}` : "", command: "slipway flow start NAME" },
  ];
}

function Loop({ o }: { o: Overview }) {
  const list = stations(o);
  const bare = !o.sources.length && !o.models.length;
  return <Card title="The loop"><div class="loop">{list.map((s) =>
    <a key={s.name} href={s.to}><span class="rail"><Icon tone={s.tone} /></span>
      <h3>{s.name}</h3><strong>{s.big}</strong><small>{bare ? s.command : s.small}</small></a>)}
    <div class="back" aria-hidden="true"><span>drift, lost performance or new data start the next round</span></div></div></Card>;
}

/** A version with the figures of its gate: checks passed, error against the rule. */
function Judged({ m, n, g }: { m: string; n: number | null | undefined; g: GateFigures | null | undefined }) {
  if (!n) return <span class="mut">–</span>;
  return <><a href={href(["models", m, n])}>{v(n)}</a> <Mark tone={gateTone(g?.verdict)}>{g ? `${g.passed} of ${g.checks}` : "not judged"}</Mark>
    {g?.rule_error ? <span class="mut sml"> {percent(g.error! / g.rule_error - 1, true)}</span> : null}</>;
}

function Who({ o, deployments, errors }: { o: Overview; deployments: Deployment[]; errors: Record<string, ErrorHistory> }) {
  const live = liveFigures.value;
  return <Card title="Who answers, and how well" note="checks passed and error against the rule at the gate; then since the version serves">
    <Table rows={deployments.map((d) => ({ d, m: o.models.find((x) => x.name === d.model), e: againstRule(sinceChange(errors[d.name])), p99: live[d.name]?.p99_ms }))} cols={[
      ["Deployment", ({ d }) => <a href={href(["deployments", d.name])}>{d.name}</a>],
      ["Traffic", ({ d }) => <WeightBar d={d} />, "w"],
      ["Champion", ({ m }) => m && <Judged m={m.name} n={m.champion} g={m.champion_gate} />, "lw"],
      ["Challenger", ({ m }) => m && <Judged m={m.name} n={m.challenger} g={m.challenger && m.gate?.version === m.challenger ? m.gate : null} />, "lw"],
      ["Error", ({ e }) => num(e && e.model), "r"],
      ["Against the rule", ({ e }) => e ? percent(e.ratio, true) : <span class="mut">no labels yet</span>, "r"],
      ["p99", ({ p99 }) => duration(p99), "r"],
      ["State", ({ d }) => <Mark tone={deploymentTone(d)}>{deploymentWord(d)}</Mark>, "v"]]} /></Card>;
}

/** Newest row of each running job, from the stream where it is newer. */
function running(o: Overview): Job[] {
  const moved = movingJobs.value;
  const rows = o.running.map((j) => moved[j.id] ?? j);
  for (const j of Object.values(moved)) if (!rows.some((r) => r.id === j.id)) rows.push(j);
  return rows.filter((j) => j.state === "running" || j.state === "queued").slice(0, 8);
}

const useErrors = (names: string[]): Read<Record<string, ErrorHistory>> =>
  useLoad(`errors:${names.join(",")}`, async () => {
    const list = await Promise.all(names.map(async (n) => [n, await errorHistory(n)] as const));
    return Object.fromEntries(list);
  }, ["serve.", "monitor.", "flow.run", "registry.alias"]);

function Filled({ o }: { o: Overview }) {
  const order = useMemo(() => worstFirst(o.deployments, o.alerts), [o]);
  const shown = order.find((d) => d.name === place.value.query.get("d")) ??
    order.find((d) => d.champion_version !== null) ?? order[0];
  const served = order.filter((d) => d.champion_version !== null || d === shown);
  const errors = useErrors(served.slice(0, 4).map((d) => d.name));
  const jobs = running(o);
  const history = shown && errors.data?.[shown.name];
  const empty = !o.sources.length && !o.models.length;
  return <>
    <Head title={o.project || "Slipway"} lead={overviewSentence(o, errors.data ?? {})} actions={shown && <>
      <ActButton label="Roll back" danger act={rollbackAct(shown)}
        not={shown.previous_version === null ? "no version to go back to" : null} />
      <ActButton label="Retrain" act={retrainAct(shown.model)} /></>} />
    {empty && <Command text="slipway run slipway.yaml" />}
    {calls(o).slice(0, 4).map((c, i) => <div key={i} class={`call ${c.tone}`}><Icon tone={c.tone} />
      <p>{c.text}</p><a class="btn" href={c.to}>{c.action}</a></div>)}
    <Loop o={o} />
    {shown && <Card title={`Error over time, ${shown.name}`} note={history?.points.length
      ? `${againstPhrase(history.points)} ${history.points.length} days with labels` : undefined}
      side={order.length > 1 && <select aria-label="Deployment whose curve is drawn" value={shown.name}
        onChange={(e) => go(withQuery({ d: e.currentTarget.value }), true)}>
        {order.map((d) => <option key={d.name}>{d.name}</option>)}</select>}>
      {errors.failure && !errors.data ? <Oops failure={errors.failure} again={errors.again} />
        : <Reading of={errors} rows={6}>{() => history && (history.points.length || history.marks.length)
          ? <Timeline history={history} />
          : <Empty>No labels have come yet. A label is what really happened; with the first ones the curve begins.</Empty>}</Reading>}
    </Card>}
    {order.length > 0 && <Who o={o} deployments={order} errors={errors.data ?? {}} />}
    <div class="g2 rv"><Card title="Running now">{jobs.length ? jobs.map((j) => <JobRow key={j.id} job={j} />)
        : <p class="empty">Nothing is running. {o.flows[0] && <>The last retrain was <Time ms={o.flows[0].started_at_ms} />.</>}</p>}</Card>
    <Card title="Latest events" side={<a href="/settings?tab=events">All events</a>}>
      {o.events.length ? <EventRows events={[...o.events].sort((a, b) => b.id - a.id).slice(0, 12)} />
        : <p class="empty">Nothing has happened yet.</p>}</Card></div>
    <p class="note">{count(o.events.length ? Math.max(...o.events.map((e) => e.id)) : 0)} events are in the log, as of {day(serverNow())}.</p>
  </>;
}

const againstPhrase = (points: ErrorPoint[]) => {
  const e = againstRule(points);
  return e ? `${belowRule(e.ratio)} over` : "";
};

export function OverviewPage() {
  usePage([["Overview", null]], "slipway status");
  const o = useOverview();
  if (o.data) return <>{o.failure && <Oops failure={o.failure} again={o.again} />}<Filled o={o.data} /></>;
  return <><Head title="Overview" /><Card title="The loop"><Reading of={o} rows={6}>{() => null}</Reading></Card></>;
}
