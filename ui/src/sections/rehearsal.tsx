/* Rehearsal: the loop replayed over history, policies compared. */
import { useGet } from "../lib/api";
import { column, count, duration, percent } from "../lib/format";
import { href } from "../lib/router";
import type { Job } from "../lib/types";
import { Card, Empty, Head, Reading, Time } from "../parts/block";
import { usePage } from "../parts/page";
import { JobRow } from "../parts/rows";
import { type Col, Table } from "../parts/table";

interface Policy { name: string; by_year?: { year: number | string; error?: number; mae?: number }[];
  error?: number; mae?: number; alerts?: number; retrains?: number; refused?: number; refusals?: number;
  rollbacks?: number; fallback_days?: number; training_minutes?: number }
interface Result { policies?: Policy[]; from?: string; to?: string }

const value = (y: { error?: number; mae?: number } | undefined) => y?.error ?? y?.mae ?? null;

/** "slipway erred 3 % less than the rule." */
export function rehearsalSentence(r: Result): string {
  const of = (n: string) => r.policies?.find((p) => p.name === n);
  const own = value(of("slipway")), said: string[] = [];
  if (own === null) return "";
  for (const [n, words] of [["rule", "the rule"], ["notebook", "the notebook model"]] as const) {
    const other = value(of(n));
    if (other) said.push(`${percent(Math.abs(own / other - 1))} ${own < other ? "less" : "more"} than ${words}`);
  }
  return said.length ? `The policy “slipway” erred ${said.join(" and ")}.` : "";
}

function ResultTable({ r }: { r: Result }) {
  const years = [...new Set((r.policies ?? []).flatMap((p) => p.by_year?.map((y) => String(y.year)) ?? []))];
  const text = column((r.policies ?? []).flatMap((p) => [value(p), ...(p.by_year ?? []).map((y) => value(y))]));
  return <Table flat rows={r.policies ?? []} cols={[["Policy", (p) => p.name, "h"],
    ...years.map((y): Col<Policy> => [y, (p) => text(value(p.by_year?.find((x) => String(x.year) === y))), "r"]),
    ["All", (p) => <b>{text(value(p))}</b>, "r"], ["Alerts", (p) => count(p.alerts), "r"], ["Retrains", (p) => count(p.retrains), "r"],
    ["Refused", (p) => count(p.refused ?? p.refusals), "r"], ["Rollbacks", (p) => count(p.rollbacks), "r"],
    ["On the rule", (p) => p.fallback_days !== undefined ? `${count(p.fallback_days)} d` : "–", "r"],
    ["Training", (p) => p.training_minutes !== undefined ? duration(p.training_minutes * 60e3) : "–", "r"]]} />;
}

export function RehearsalPage({ id }: { id: string | null }) {
  const cmd = "slipway rehearse --from 2019-01-01 --to 2023-12-29";
  usePage(id ? [["Rehearsal", "/rehearsal"], [id, null]] : [["Rehearsal", null]], cmd);
  const jobs = useGet<{ jobs: Job[] }>("/api/v1/jobs?kind=rehears&limit=50", ["job"]);
  const list = (jobs.data?.jobs ?? []).filter((j) => j.kind.startsWith("rehears"));
  const one = id ? list.find((j) => String(j.id) === id) : list.find((j) => j.result?.policies);
  const result = one?.result as Result | null | undefined;
  return <>
    <Head title="Rehearsal" lead={result ? rehearsalSentence(result) : "The loop over past years, with the clock as a parameter: what would each policy have cost?"} />
    {result && <Card title="Error by year and policy" note={`${result.from ?? ""} to ${result.to ?? ""}`}><ResultTable r={result} /></Card>}
    <Card title="Rehearsals"><Reading of={jobs} rows={2} isEmpty={() => !list.length}
      empty={<Empty command={cmd}>No rehearsal has run on this server. One replays the loop with other policies in a store of its own and touches nothing here:</Empty>}>
      {() => <>{list.map((j) => <div key={j.id}><JobRow job={j} cancel /><p class="sml"><a href={href(["rehearsal", j.id])}>Rehearsal {j.id}</a> <Time ms={j.created_at_ms} /></p></div>)}</>}</Reading></Card>
  </>;
}
