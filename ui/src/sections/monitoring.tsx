/* Monitoring: did the data change, or the world?  Windows, columns with both
   distributions, performance against the rule, alerts. */
import { useGet } from "../lib/api";
import { count, day, num, percent, plural, pValue, toMs } from "../lib/format";
import { fromWindows, useErrorHistory, useOverview } from "../lib/overview";
import { href, place, withQuery } from "../lib/router";
import type { Alert, ColumnDrift, Monitor, MonitorAnswer, Window } from "../lib/types";
import { windowSentence, windowSign, windowTone, windowWord } from "../lib/words";
import { Card, Empty, Head, Reading, Time } from "../parts/block";
import { type Act, ActButton } from "../parts/dialog";
import { retrainAct } from "../parts/acts";
import { Mark } from "../parts/mark";
import { useNeighbours, usePage } from "../parts/page";
import { MiniDist, TwoDist } from "../parts/shapes";
import { Timeline } from "../parts/timeline";
import { Table } from "../parts/table";

const enc = encodeURIComponent;
const TOPICS = ["monitor.", "flow.window", "jobs.finished"];
const DAY = 86400e3;

export function MonitorList() {
  usePage([["Monitoring", null]], "slipway monitors list");
  const list = useGet<{ monitors: Monitor[] }>("/api/v1/monitors", TOPICS);
  const alerts = useGet<{ alerts: Alert[] }>("/api/v1/alerts?limit=50", TOPICS);
  const open = alerts.data?.alerts.filter((a) => a.state !== "closed").length;
  return <>
    <Head title="Monitoring" lead={open === undefined ? undefined : open ? `${plural(open, "alert is", "alerts are")} open.` : "No alert is open."} />
    <Card title="Monitors"><Reading of={list} isEmpty={(d) => !d.monitors.length}
      empty={<Empty command="slipway run slipway.yaml">No monitor yet. The <code>monitor:</code> section of the project file declares one for a deployment.</Empty>}>
      {(d) => <Table rows={d.monitors} cols={[["Monitor", (m) => <a href={href(["monitoring", m.name])}>{m.name}</a>],
        ["State", (m) => m.open_alerts.length ? <Mark tone="warn">{m.open_alerts.map((a) => a.kind).join(", ")}</Mark> : <Mark tone="ok">quiet</Mark>, "v"],
        ["Columns", (m) => count(m.definition.columns.length), "r"], ["Window", (m) => `${m.definition.window_ms / DAY} d`, "r"],
        ["Judged every", (m) => `${m.definition.every_ms / DAY} d`, "r"], ["Open alerts", (m) => count(m.open_alerts.length), "r"]]} />}</Reading></Card>
    <Alerts title="Alerts" alerts={alerts} />
  </>;
}

/** The audit wants to know who takes it on. */
const ackAct = (a: Alert): Act => ({ title: `Acknowledge alert ${a.id}`, path: `/api/v1/alerts/${a.id}/acknowledge`,
  why: "who", ask: "Your name, kept with the alert" });

function Alerts({ alerts, title, name }: { alerts: ReturnType<typeof useGet<{ alerts: Alert[] }>>; title: string; name?: string }) {
  return <Card title={title}><Reading of={alerts} rows={2} isEmpty={(d) => !d.alerts.length} empty={<Empty>No alert was ever raised{name ? ` for ${name}` : ""}.</Empty>}>
    {(d) => <Table rows={d.alerts} cols={[["Raised", (a) => <Time ms={toMs(a.raised_at_ms ?? a.at)} />],
      ["State", (a) => <Mark tone={a.state === "open" ? "warn" : a.state === "acknowledged" ? "info" : "idle"}>{a.state}{a.acknowledged_by && ` by ${a.acknowledged_by}`}</Mark>, "v"],
      !name && ["Deployment", (a) => <a href={href(["monitoring", a.deployment])}>{a.deployment}</a>],
      ["Kind", (a) => a.kind, "l"], ["Reason", (a) => a.reason, "y"],
      ["Seen", (a) => typeof a.seen_count === "number" ? count(a.seen_count) : "–", "r"],
      ["", (a) => a.state === "open" && <ActButton small label="Acknowledge" act={ackAct(a)} />]]} />}</Reading></Card>;
}

function Strip({ windows, at }: { windows: Window[]; at: Window }) {
  const shown = [...windows].reverse();
  return <Card title="Windows" note="newest right; each opens its columns">
    <div class="wins" ref={(e) => { // the newest is seen first
      if (e && !e.scrollLeft) e.scrollLeft = 1e5; }}>{shown.map((w) => <a key={w.to_ms} class={`plain ${windowTone(w) === "ok" ? "idle" : windowTone(w)}`} href={withQuery({ window: day(w.to_ms) })} data-replace
      aria-current={w === at ? "true" : undefined} aria-label={`Window to ${day(w.to_ms)}: ${windowWord(w)}`} title={`${day(w.from_ms)} to ${day(w.to_ms)}: ${windowWord(w)}`}>{windowSign(w)}</a>)}</div>
    <div class="read"><span>{day(shown[0]?.to_ms)}</span><span class="sp" /><span>{day(shown[shown.length - 1]?.to_ms)}</span></div>
    <div class="read mut">· quiet ▲ drift ■ lost performance – labels not yet known. The test allows {percent(at.alpha)} false alarms a window over all columns.</div></Card>;
}

/** How far the mean moved: in percent, or in the column's own unit where the
    mean lies about zero and a percentage would say nothing. */
function shift(c: ColumnDrift): string {
  const spread = (c.edges[c.edges.length - 1] ?? 0) - (c.edges[0] ?? 0), moved = c.mean - c.reference_mean;
  return Math.abs(c.reference_mean) > spread / 2 ? percent(moved / c.reference_mean, true)
    : (moved > 0 ? "+" : "") + num(moved, 3);
}

function ColumnTable({ w, chosen }: { w: Window; chosen: string }) {
  const rows = [...w.columns].sort((a, b) => a.adjusted_p - b.adjusted_p || b.psi - a.psi);
  return <Card title="Columns" note={`${plural(w.rows, "row")}; sorted by evidence; corrected over ${w.columns.length} columns`}>
    <Table rows={rows} here={(c) => c.name === chosen} cols={[
      ["Column", (c) => <a href={withQuery({ col: c.name })} data-replace>{c.name}</a>, "h"],
      ["Reference | now", (c) => <MiniDist reference={c.reference_counts} current={c.counts} name={`${c.name}: reference and now`} />],
      ["Mean shift", (c) => shift(c), "r"], ["PSI", (c) => num(c.psi, 2), "r"], ["p, corrected", (c) => pValue(c.adjusted_p), "r"],
      ["State", (c) => <Mark tone={c.drifted ? "warn" : "idle"}>{c.drifted ? "drift" : "quiet"}</Mark>, "v"]]} />
    <p class="note">PSI is judged against how far {plural(w.rows, "row")} of the reference stray from the reference itself, not against a fixed 0.1 or 0.2.</p></Card>;
}

function sinceWhen(windows: Window[], name: string): number | null {
  let since: number | null = null;
  for (const w of windows) {
    if (!w.columns.find((c) => c.name === name)?.drifted) break;
    since = w.from_ms;
  }
  return since;
}

function ColumnCard({ c, w, windows }: { c: ColumnDrift; w: Window; windows: Window[] }) {
  const total = c.counts.reduce((a, b) => a + b, 0), ref = c.reference_counts.reduce((a, b) => a + b, 0);
  const since = sinceWhen(windows, c.name);
  return <Card title={c.name} note={c.drifted ? since ? `drifts since ${day(since)}` : "drifts" : "quiet"}>
    <TwoDist edges={c.edges} reference={c.reference_counts} current={c.counts} name={c.name} />
    <div class="read"><span class="key"><svg viewBox="0 0 16 10" aria-hidden="true"><rect width="16" height="10" class="refd" /></svg>reference, {count(ref)} rows in {count(c.reference_days)} days</span>
      <span class="key"><svg viewBox="0 0 16 10" aria-hidden="true"><path class="l s2" d="M0 5H16" /></svg>now, {count(total)} rows in {count(c.days)} days</span></div>
    <Table flat rows={[
      ["Mean", num(c.reference_mean), num(c.mean), shift(c)], ["Null", count(c.reference_nulls), count(c.nulls), "–"],
      ["PSI", "–", num(c.psi, 3), `p ${pValue(c.p)}`], ["KS", "–", num(c.ks, 3), `p ${pValue(c.ks_p)}`]]} cols={[
      ["Figure", (r) => r[0], "h"], ["Reference", (r) => r[1], "r"], ["Now", (r) => r[2], "r"], ["Shift", (r) => r[3], "r"]]} />
    <p class="note">The bins are the reference's own quantiles, so the grey steps are level. Window {day(w.from_ms)} to {day(w.to_ms)}.</p></Card>;
}

export function MonitorPage({ name }: { name: string }) {
  usePage([["Monitoring", "/monitoring"], [name, null]], `slipway drift ${name}`);
  const one = useGet<MonitorAnswer>(`/api/v1/monitors/${enc(name)}?limit=60`, TOPICS);
  const alerts = useGet<{ alerts: Alert[] }>(`/api/v1/alerts?deployment=${enc(name)}&limit=50`, TOPICS);
  const errors = useErrorHistory(name);
  const list = useGet<{ monitors: Monitor[] }>("/api/v1/monitors", TOPICS);
  const deployment = useOverview().data?.deployments.find((d) => d.name === name);
  useNeighbours(list.data?.monitors.map((m) => m.name) ?? [], name, (x) => href(["monitoring", x]));
  const windows = one.data?.windows ?? [];
  const wanted = place.value.query.get("window");
  const w = windows.find((x) => day(x.to_ms) === wanted) ?? windows[0];
  const sorted = w ? [...w.columns].sort((a, b) => a.adjusted_p - b.adjusted_p || b.psi - a.psi) : [];
  const c = sorted.find((x) => x.name === place.value.query.get("col")) ?? sorted[0];
  const def = one.data?.definition;
  const open = alerts.data?.alerts.find((a) => a.state === "open");
  const history = errors.data?.points.length ? errors.data : fromWindows(windows);
  return <>
    <Head title={<>{name} {w && <Mark tone={windowTone(w)}>{windowWord(w)}</Mark>}</>} lead={w && windowSentence(w)} actions={<>
      {open && <ActButton label="Acknowledge" act={ackAct(open)} />}
      <ActButton label="Judge now" act={{ title: "Judge a window now", path: `/api/v1/monitors/${enc(name)}/window`, body: {} }} />
      <ActButton label="Retrain" act={retrainAct(deployment?.model ?? name)} /></>} />
    <Reading of={one} rows={6} isEmpty={() => !windows.length} empty={<Card title="Windows"><Empty>No window was judged yet. A window holds {def ? def.window_ms / DAY : ""} days of predictions
      {def?.performance && ` and wants ${count(def.performance.min_labels)} labels for the error`}; it is judged every {def ? def.every_ms / DAY : ""} d.</Empty></Card>}>
      {() => w && <><Strip windows={windows} at={w} />
        <div class="g2"><ColumnTable w={w} chosen={c?.name ?? ""} />{c && <ColumnCard c={c} w={w} windows={windows.slice(windows.indexOf(w))} />}</div></>}</Reading>
    <Card title="Performance against the rule" note={w?.performance ? `${w.performance.metric}, ${plural(w.performance.labelled, "label")} in this window` : undefined}>
      {history.points.length ? <Timeline history={history} lanes={history.marks.length > 0} />
        : <Empty>Labels are not yet known, so neither is the error.</Empty>}</Card>
    <Alerts title="Alerts" alerts={alerts} name={name} />
    {def && <Card title="How it judges"><dl><dt>Columns</dt><dd>{def.columns.join(", ")}</dd><dt>Window</dt><dd>{def.window_ms / DAY} days, judged every {def.every_ms / DAY} d</dd>
      {def.drift && <><dt>Drift</dt><dd>level {percent(def.drift.alpha)} over all columns, and a PSI of at least {num(def.drift.floor)}</dd></>}
      {def.performance && <><dt>Performance</dt><dd>{def.performance.metric} shown to be worse than the {def.performance.worse_than === "fallback" ? "rule" : def.performance.worse_than} at {percent(def.performance.confidence)}, with at least {count(def.performance.min_labels)} labels</dd></>}</dl></Card>}
  </>;
}
