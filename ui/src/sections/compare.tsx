/* Comparison of 2 to 100 runs: their curves over each other, and a table of
   only what differs; the first is the base. */
import { useMemo } from "preact/hooks";
import { useLoad } from "../lib/api";
import { column, count, num, percent, plural } from "../lib/format";
import { go, href, place, withQuery } from "../lib/router";
import { run } from "../lib/runs";
import type { RunRow } from "../lib/types";
import { Card, Empty, Head, Reading } from "../parts/block";
import { MetricCharts, pageAt, Pager } from "../parts/metrics";
import { Wide } from "../parts/table";
import { usePage } from "../parts/page";

const CELLS = 1200; // of the table at once: the document stays small

function Cell({ value, base, text }: { value: RunRow["values"][string] | undefined; base: RunRow["values"][string] | undefined; text: (v: number) => string }) {
  if (value === undefined || value === null) return <span class="mut">–</span>;
  const n = Number(value), b = Number(base);
  const shown = typeof value === "number" ? text(value) : String(value).slice(0, 80);
  if (base === undefined || value === base) return <>{shown}</>;
  return <><b>{shown}</b>{Number.isFinite(n) && Number.isFinite(b) && b !== 0 && typeof value === "number" &&
    <span class="mut sml"> {n < b ? "↓" : "↑"} {percent(Math.abs(n / b - 1))}</span>}</>;
}

/** The keys to show: metrics, parameters, tags that are not a tool's own. */
function keysOf(rows: RunRow[], all: boolean) {
  const keys = [...new Set(rows.flatMap((r) => Object.keys(r.values)))].filter((k) => !/^tags\.(mlflow|slipway)\./.test(k));
  const rank = (k: string) => k.startsWith("metrics") ? 0 : k.startsWith("params") ? 1 : 2;
  const differ = keys.filter((k) => new Set(rows.map((r) => r.values[k])).size > 1);
  return { all: keys.length, differ: differ.length, keys: (all ? keys : differ).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)) };
}

function Table({ rows, all, swap }: { rows: RunRow[]; all: boolean; swap: boolean }) {
  const of = useMemo(() => keysOf(rows, all), [rows, all]);
  const size = Math.max(10, Math.floor(CELLS / rows.length)), at = pageAt("values", of.keys.length, size);
  const shown = of.keys.slice(at * size, (at + 1) * size);
  const text = new Map(shown.map((k) => [k, column(rows.map((r) => Number(r.values[k])))]));
  const name = (r: RunRow) => <a href={href(["runs", r.id])}>{r.name || r.id.slice(0, 8)}</a>;
  const cell = (r: RunRow, k: string) => <Cell value={r.values[k]} base={r === rows[0] ? undefined : rows[0]?.values[k]} text={text.get(k) ?? num} />;
  return <><p class="mut sml">{all ? `All ${of.all} values.` : `${plural(of.differ, "value differs", "values differ")}, ${count(of.all - of.differ)} are equal.`} The first is the base.</p>
    <Pager at={at} total={of.keys.length} size={size} what="value" name="values" />
    <Wide><table>{swap
      ? <><thead><tr><th>Run</th>{shown.map((k) => <th key={k} class="r">{k}</th>)}</tr></thead>
        <tbody>{rows.map((r) => <tr key={r.id}><th scope="row">{name(r)}</th>{shown.map((k) => <td key={k} class="r">{cell(r, k)}</td>)}</tr>)}</tbody></>
      : <><thead><tr><th>Value</th>{rows.map((r) => <th key={r.id} class="r">{name(r)}</th>)}</tr></thead>
        <tbody>{shown.map((k) => <tr key={k}><th scope="row">{k}</th>{rows.map((r) => <td key={r.id} class="r">{cell(r, k)}</td>)}</tr>)}</tbody></>}</table></Wide></>;
}

/** Which runs: ids=A,B or run=A&run=B. */
export function comparedIds(q: URLSearchParams): string[] {
  return [...new Set([...q.getAll("run"), ...(q.get("ids") ?? "").split(",")].filter(Boolean))].slice(0, 100);
}

export function ComparePage() {
  const ids = comparedIds(place.value.query);
  usePage([["Runs", "/runs"], ["Compare", null]], ids.length > 1 && ids.length <= 10 ? `slipway runs compare ${ids.map((i) => i.slice(0, 8)).join(" ")}` : "");
  const all = place.value.query.get("show") === "all", swap = place.value.query.get("swap") === "1";
  const rows = useLoad(`compare:${ids.join(",")}`, () => Promise.all(ids.map(run)), ["track."]);
  // A metric with a step behind it has a history; the others are one number.
  const metrics = useMemo(() => [...new Set(rows.data?.flatMap((r) => r.metrics.filter((m) => m.step > 0).map((m) => m.key)) ?? [])].sort(), [rows.data]);
  const subjects = useMemo(() => (rows.data ?? []).map((r) => ({ id: r.id, name: r.name || r.id.slice(0, 8) })), [rows.data]);
  return <>
    <Head title={`Compare ${plural(ids.length, "run")}`} actions={<>
      <button aria-pressed={!all} onClick={() => go(withQuery({ show: all ? null : "all", values: null }), true)}>{all ? "Differences only" : "Show all"}</button>
      <button aria-pressed={swap} onClick={() => go(withQuery({ swap: swap ? null : "1" }), true)}>Swap rows and columns</button></>} />
    {ids.length < 2 ? <Card title="Comparison"><Empty>Mark two or more runs in the list, then press x. <a href="/runs">Runs</a></Empty></Card>
      : <Card title="Values"><Reading of={rows}>{(r) => <Table rows={r} all={all} swap={swap} />}</Reading></Card>}
    <MetricCharts runs={subjects} metrics={metrics} />
  </>;
}
