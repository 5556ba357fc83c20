/* Settings: the event log with its chain, who may do what, and about. */
import { useState } from "preact/hooks";
import { useGet } from "../lib/api";
import { count, toMs } from "../lib/format";
import { go, place, withQuery } from "../lib/router";
import type { Event, Job } from "../lib/types";
import { Card, Empty, Head, Reading, Tabs, Time } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { Mark } from "../parts/mark";
import { usePage } from "../parts/page";
import { EventRows, JobRow } from "../parts/rows";
import { type Col, Table } from "../parts/table";

const ROOMS = ["", "data", "features", "train", "registry", "serve", "monitor", "flow", "jobs"];

function EventLog() {
  const kind = place.value.query.get("kind") ?? "", subject = place.value.query.get("subject") ?? "";
  const [draft, setDraft] = useState(subject);
  const before = place.value.query.get("before") ?? "0";
  const path = `/api/v1/events?limit=100&before=${before}${kind ? `&kind=${kind}.` : ""}${subject ? `&subject=${encodeURIComponent(subject)}` : ""}`;
  const list = useGet<{ events: Event[] }>(path, ["data.", "serve.", "flow.", "registry.", "monitor.", "features."]);
  const chain = useGet<{ events: number; whole: boolean }>("/api/v1/events/verify");
  const rows = [...(list.data?.events ?? [])].sort((a, b) => b.id - a.id);
  const last = rows[rows.length - 1];
  return <Card title="Event log" note={chain.data && <Mark tone={chain.data.whole ? "ok" : "bad"}>{chain.data.whole ? `chain whole to event ${count(chain.data.events)}` : "chain BROKEN"}</Mark>}>
    <form class="act" onSubmit={(e) => { e.preventDefault(); go(withQuery({ subject: draft || null, before: null }), true); }}>
      <label>room <select value={kind} onChange={(e) => go(withQuery({ kind: e.currentTarget.value || null, before: null }), true)}>{ROOMS.map((r) => <option key={r} value={r}>{r || "all"}</option>)}</select></label>
      <label>object <input value={draft} onInput={(e) => setDraft(e.currentTarget.value)} /></label><button>Filter</button></form>
    <Reading of={list} rows={8} isEmpty={() => !rows.length} empty={<Empty>No event matches.</Empty>}>{() => <><EventRows events={rows} />
      <div class="act">{before !== "0" && <a class="btn" href={withQuery({ before: null })} data-replace>Newest</a>}
        {rows.length === 100 && last && <a class="btn" href={withQuery({ before: last.id })} data-replace>Older</a>}</div></>}</Reading></Card>;
}

interface Token { name: string; role: string; created_at_ms?: number; used_at_ms?: number | null; last_used_at_ms?: number | null }

function Access() {
  const list = useGet<{ tokens: Token[] }>("/api/v1/tokens", ["access."]);
  return <><Card title="Tokens" note="secrets are shown once, by the command line">
    <Reading of={list} rows={2} isEmpty={(d) => !d.tokens.length} empty={<Empty command="slipway token make NAME --role reader">No token: everybody who reaches this address may do everything. The first token closes it:</Empty>}>
      {(d) => <Table rows={d.tokens} cols={[["Name", (t) => t.name], ["Role", (t) => t.role, "v"],
        ["Made", (t) => <Time ms={toMs(t.created_at_ms)} />, "l"], ["Last used", (t) => <Time ms={toMs(t.used_at_ms ?? t.last_used_at_ms)} />, "l"],
        ["", (t) => <ActButton small danger label="Revoke" act={{ title: `Revoke the token ${t.name}`, method: "DELETE", path: `/api/v1/tokens/${encodeURIComponent(t.name)}`, danger: true }} />]]} />}</Reading></Card>
  <Card title="Roles"><Table flat rows={[["read everything, predict", 0], ["log, add data, train, judge", 1], ["promote, roll back, set weights", 2], ["tokens, clock", 3]] as [string, number][]}
    cols={[["May", ([what]) => what, "h"], ...["reader", "writer", "deployer", "admin"].map((role, i): Col<[string, number]> =>
      [role, ([, from]) => i >= from ? "✓ may" : "– may not"])]} /></Card></>;
}

function About() {
  const project = useGet<{ yaml: string }>("/api/v1/project", ["flow.project"]);
  const clock = useGet<{ now: string; manual: boolean }>("/api/v1/clock", ["clock"]);
  const jobs = useGet<{ jobs: Job[] }>("/api/v1/jobs?limit=20", ["job"]);
  return <><Card title="Project file" note="as it was applied last; the file stays the truth"><Reading of={project} isEmpty={(d) => !d.yaml} empty={<Empty command="slipway run slipway.yaml">No project was applied yet.</Empty>}>
    {(d) => <pre tabIndex={0} aria-label="Project file">{d.yaml}</pre>}</Reading></Card>
  <Card title="Server"><dl><dt>Clock</dt><dd>{clock.data?.now ?? "–"}{clock.data?.manual && ", set by hand"}</dd><dt>Interfaces</dt><dd><a href="/openapi.json">openapi.json</a>, <a href="/metrics">metrics</a></dd></dl></Card>
  <Card title="Jobs"><Reading of={jobs} isEmpty={(d) => !d.jobs.length} empty={<Empty>No job has run yet.</Empty>}>{(d) => <>{d.jobs.map((j) => <JobRow key={j.id} job={j} cancel />)}</>}</Reading></Card></>;
}

export function SettingsPage() {
  usePage([["Settings", null]], { access: "slipway token list", about: "slipway doctor" }[place.value.query.get("tab") ?? ""] ?? "slipway events");
  const at = place.value.query.get("tab") ?? "events";
  const to = (t: string) => withQuery({ tab: t === "events" ? null : t });
  return <><Head title="Settings" />
    <Tabs label="Settings" at={at} tabs={[["events", "Event log", to("events")], ["access", "Access", to("access")], ["about", "About", to("about")]]} />
    {at === "access" ? <Access /> : at === "about" ? <About /> : <EventLog />}</>;
}
