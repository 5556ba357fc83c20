/* Comparison of 2 to 100 runs: only what differs, the first is the base. */
import { useMemo } from "preact/hooks";
import { useLoad } from "../lib/api";
import { column, count, num, percent, plural } from "../lib/format";
import { go, href, place, withQuery } from "../lib/router";
import { histories, run } from "../lib/runs";
import type { RunRow } from "../lib/types";
import { Card, Empty, Head, Reading } from "../parts/block";
import { Curve, type Series } from "../parts/curve";
import { Wide } from "../parts/table";
import { usePage } from "../parts/page";

function Cell({ value, base, text }: { value: RunRow["values"][string] | undefined; base: RunRow["values"][string] | undefined; text: (v: number) => string }) {
  if (value === undefined || value === null) return <span class="mut">–</span>;
  const n = Number(value), b = Number(base);
  const shown = typeof value === "number" ? text(value) : String(value).slice(0, 80);
  if (base === undefined || value === base) return <>{shown}</>;
  return <><b>{shown}</b>{Number.isFinite(n) && Number.isFinite(b) && b !== 0 && typeof value === "number" &&
    <span class="mut sml"> {n < b ? "↓" : "↑"} {percent(Math.abs(n / b - 1))}</span>}</>;
}

function Table({ rows, all, swap }: { rows: RunRow[]; all: boolean; swap: boolean }) {
  const keys = [...new Set(rows.flatMap((r) => Object.keys(r.values)))].filter((k) => !/^tags\.(mlflow|slipway)\./.test(k));
  const rank = (k: string) => k.startsWith("metrics") ? 0 : k.startsWith("params") ? 1 : 2;
  const differ = keys.filter((k) => new Set(rows.map((r) => r.values[k])).size > 1);
  const shown = (all ? keys : differ).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)).slice(0, 300);
  const text = new Map(shown.map((k) => [k, column(rows.map((r) => Number(r.values[k])))]));
  const name = (r: RunRow) => <a href={href(["runs", r.id])}>{r.name || r.id.slice(0, 8)}</a>;
  const cell = (r: RunRow, k: string) => <Cell value={r.values[k]} base={r === rows[0] ? undefined : rows[0]?.values[k]} text={text.get(k) ?? num} />;
  return <><p class="mut sml">{all ? `All ${keys.length} values.` : `${plural(differ.length, "value differs", "values differ")}, ${count(keys.length - differ.length)} are equal.`} The first is the base.</p>
    <Wide><table>{swap
      ? <><thead><tr><th>Run</th>{shown.map((k) => <th key={k} class="r">{k}</th>)}</tr></thead>
        <tbody>{rows.map((r) => <tr key={r.id}><th scope="row">{name(r)}</th>{shown.map((k) => <td key={k} class="r">{cell(r, k)}</td>)}</tr>)}</tbody></>
      : <><thead><tr><th>Value</th>{rows.map((r) => <th key={r.id} class="r">{name(r)}</th>)}</tr></thead>
        <tbody>{shown.map((k) => <tr key={k}><th scope="row">{k}</th>{rows.map((r) => <td key={r.id} class="r">{cell(r, k)}</td>)}</tr>)}</tbody></>}</table></Wide></>;
}

export function ComparePage() {
  usePage([["Runs", "/runs"], ["Compare", null]]);
  const ids = (place.value.query.get("ids") ?? "").split(",").filter(Boolean).slice(0, 100);
  const all = place.value.query.get("show") === "all", swap = place.value.query.get("swap") === "1";
  const rows = useLoad(`compare:${ids.join(",")}`, () => Promise.all(ids.map(run)), ["track."]);
  const curve = rows.data?.flatMap((r) => r.metrics.filter((m) => m.step > 0).map((m) => m.key))[0] ?? "";
  const key = place.value.query.get("metric") ?? curve;
  const keys = [...new Set(rows.data?.flatMap((r) => r.metrics.filter((m) => m.step > 0).map((m) => m.key)) ?? [])];
  const h = useLoad(`h:${key}:${ids.join(",")}`, () => key ? histories(ids.slice(0, 20), key) : Promise.resolve(new Map()));
  const series = useMemo((): Series[] => (rows.data ?? []).filter((r) => h.data?.get(r.id)?.length).map((r) => ({ name: r.name || r.id.slice(0, 8),
    x: h.data!.get(r.id)!.map((p: any) => p.step), y: h.data!.get(r.id)!.map((p: any) => p.value) })), [h.data, rows.data]);
  return <>
    <Head title={`Compare ${plural(ids.length, "run")}`} actions={<>
      <button aria-pressed={!all} onClick={() => go(withQuery({ show: all ? null : "all" }), true)}>{all ? "Differences only" : "Show all"}</button>
      <button aria-pressed={swap} onClick={() => go(withQuery({ swap: swap ? null : "1" }), true)}>Swap rows and columns</button></>} />
    {ids.length < 2 ? <Card title="Comparison"><Empty>Mark two or more runs in the list, then press x. <a href="/runs">Runs</a></Empty></Card>
      : <Card title="Values"><Reading of={rows}>{(r) => <Table rows={r} all={all} swap={swap} />}</Reading></Card>}
    {keys.length > 0 && <Card title="Curves" side={<select aria-label="Metric" value={key} onChange={(e) => go(withQuery({ metric: e.currentTarget.value }), true)}>{keys.map((k) => <option key={k}>{k}</option>)}</select>}>
      {series.length ? <Curve title={key} series={series} controls /> : <p class="empty">No history of this metric.</p>}</Card>}
  </>;
}
