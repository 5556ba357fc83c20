/* Rehearsal: the loop lived through past days again, policies compared. */
import { useGet } from "../lib/api";
import { column, count, duration, percent } from "../lib/format";
import { movingJobs } from "../lib/live";
import { useOverview } from "../lib/overview";
import { href } from "../lib/router";
import type { Job } from "../lib/types";
import { Card, Command, Empty, Head, Reading, Time } from "../parts/block";
import { type Act, ActButton } from "../parts/dialog";
import { Mark } from "../parts/mark";
import { usePage } from "../parts/page";
import { JobRow } from "../parts/rows";
import { type Col, Table } from "../parts/table";

interface Figures { error: number | null; rows: number; alerts: number; retrains: number; promotions: number; refusals: number;
  rollbacks: number; withdrawals: number; days: number; fallback_days: number; symbols: { symbol: string; error: number | null }[] }
interface Year extends Figures { year: number }
interface Policy { name: string; model: string; start: string; metric: string; complete: boolean; by_year: Year[]; total: Figures;
  measured: { training_minutes: number } }
interface Result { id: string; dir: string; complete: boolean; deployment: string; from: string; to: string; requests: number;
  made_at_ms: number; policies: Policy[] }
interface Summary { id: string; deployment: string; from: string; to: string; complete: boolean; made_at_ms: number;
  policies: { name: string; error: number | null }[] }

/** "slipway erred 3 % less than rule and 90 % less than notebook." */
export function rehearsalSentence(policies: { name: string; error: number | null }[]): string {
  const own = policies.find((p) => p.name === "slipway")?.error;
  if (!own) return "";
  const said = policies.filter((p) => p.name !== "slipway" && p.error).map((p) =>
    `${percent(Math.abs(own / p.error! - 1))} ${own < p.error! ? "less" : "more"} than “${p.name}”`);
  return `“slipway” erred ${said.join(", ")}.`;
}

interface Line { year: number; symbol: string; values: (number | null | undefined)[] }

const lines = (r: Result): Line[] => (r.policies[0]?.by_year ?? []).flatMap((first, k) => {
  const of = r.policies.map((p) => p.by_year[k]);
  return [{ year: first.year, symbol: "all", values: of.map((y) => y?.error) },
    ...first.symbols.map(({ symbol }) => ({ year: first.year, symbol,
      values: of.map((y) => y?.symbols.find((s) => s.symbol === symbol)?.error) }))];
});

function ErrorTable({ r }: { r: Result }) {
  const rows = lines(r), text = column(rows.flatMap((l) => l.values));
  return <Table flat rows={rows} cols={[["Year", (l) => l.year, "h"], ["Symbol", (l) => l.symbol],
    ...r.policies.map((p, i): Col<Line> => [p.name, (l) => text(l.values[i]), "r"])]} />;
}

function CountTable({ r }: { r: Result }) {
  const text = column(r.policies.map((p) => p.total.error));
  return <Table flat rows={r.policies} cols={[["Policy", (p) => <>{p.name} {!p.complete && <Mark tone="warn">stopped</Mark>}</>, "h"], ["Model", (p) => p.model],
    ["Error", (p) => text(p.total.error), "r"], ["Alerts", (p) => count(p.total.alerts), "r"], ["Retrains", (p) => count(p.total.retrains), "r"],
    ["Promoted", (p) => count(p.total.promotions), "r"], ["Refused", (p) => count(p.total.refusals), "r"], ["Rolled back", (p) => count(p.total.rollbacks), "r"],
    ["Days on the rule", (p) => `${count(p.total.fallback_days)} of ${count(p.total.days)}`, "r"],
    ["Training", (p) => duration(p.measured.training_minutes * 6e4), "r"]]} />;
}

const CMD = "slipway rehearse --from 2019-01-01 --to 2023-12-29";

type Fields = NonNullable<Act["fields"]>;
const rangeFields: Fields = (body, set) => ["from", "to", "deployment"].map((key) => <><label class="field" for={`act-${key}`}>{key}</label>
  <input id={`act-${key}`} value={String(body[key])} onInput={(e) => set({ ...body, [key]: e.currentTarget.value })} /></>);

const rehearseAct = (newest: number): Act => {
  const iso = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  return { title: "Rehearse", path: "/api/v1/rehearsals", fields: rangeFields,
    body: { from: iso(newest - 365 * 864e5), to: iso(newest), deployment: "" } };
};

function RehearsalList() {
  usePage([["Rehearsal", null]], CMD);
  const list = useGet<{ rehearsals: Summary[] }>("/api/v1/rehearsals", ["jobs.", "job"]);
  const jobs = useGet<{ jobs: Job[] }>("/api/v1/jobs?kind=rehearse.run&limit=10", ["job"]);
  const o = useOverview();
  const moving = (jobs.data?.jobs ?? []).filter((j) => !j.ended_at_ms);
  const newest = Math.max(...(o.data?.sources ?? []).map((s) => s.newest_ms ?? 0));
  return <>
    <Head title="Rehearsal" lead="What would each policy have cost?"
      actions={<ActButton label="Rehearse" primary act={rehearseAct(newest > 0 ? newest : Date.now())} />} />
    {moving.length > 0 && <Card title="Under way">{moving.map((j) => <JobRow key={j.id} job={movingJobs.value[j.id] ?? j} cancel />)}</Card>}
    <Card title="Rehearsals"><Reading of={list} rows={2} isEmpty={(d) => !d.rehearsals.length}
      empty={<Empty command={CMD}>No rehearsal has run on this server.</Empty>}>
      {(d) => <Table rows={d.rehearsals} cols={[["Deployment", (r) => <><a href={href(["rehearsal", r.id])}>{r.deployment}</a> {!r.complete && <Mark tone="warn">stopped</Mark>}</>],
        ["Days", (r) => `${r.from} to ${r.to}`, "l"], ["Result", (r) => rehearsalSentence(r.policies), "y"],
        ["Made", (r) => <Time ms={r.made_at_ms} />, "r"]]} />}</Reading></Card>
  </>;
}

function RehearsalOne({ id }: { id: string }) {
  usePage([["Rehearsal", "/rehearsal"], [id, null]], CMD);
  const one = useGet<Result>(`/api/v1/rehearsals/${encodeURIComponent(id)}`, []);
  const r = one.data;
  return <>
    <Head title={r ? `${r.deployment}, rehearsed` : "Rehearsal"}
      lead={r && <>{r.from} to {r.to}. {rehearsalSentence(r.policies.map((p) => ({ name: p.name, error: p.total.error })))}</>} />
    <Reading of={one} rows={8}>{(x) => <>
      <Card title="Policies"><CountTable r={x} /></Card>
      <Card title="Error by year and symbol"><ErrorTable r={x} /></Card>
      <Command text={`slipway up --data ${x.dir}/slipway`} /></>}</Reading>
  </>;
}

export function RehearsalPage({ id }: { id: string | null }) {
  return id ? <RehearsalOne id={id} /> : <RehearsalList />;
}
