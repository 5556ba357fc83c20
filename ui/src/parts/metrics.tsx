/* Metrics of one or many runs as curves: one chart a metric, of which at most
   twelve are there and each is made when it comes into view.  The server
   thins what is stored to the chart's pixels, again at every zoom; all
   settings stand in the address. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useGet } from "../lib/api";
import { count, plural } from "../lib/format";
import { drawingOf, type History, historyPath, list } from "../lib/plots";
import { go, href, place, withQuery } from "../lib/router";
import { Card, Oops } from "./block";
import { Curve, Key, type Range, type Series, strong } from "./curve";
import { useWidth } from "./size";

const MOST = 12;
const RUN_MOST = 100; // of the server, at once
const set = (change: Record<string, string | number | null>) => go(withQuery(change), true);

export interface Subject { id: string; name: string }

const notes = (runs: History[]): string => {
  const sum = (k: "total" | "shown" | "nan" | "above" | "below" | "hidden") => runs.reduce((n, r) => n + r[k], 0);
  const drawn = runs.reduce((n, r) => n + r.x.length, 0), shown = sum("shown");
  return [drawn < shown ? `${count(drawn)} points stand for ${count(shown)}` : "",
    sum("nan") ? `${count(sum("nan"))} NaN (×)` : "", sum("above") ? `${count(sum("above"))} +∞ (▲)` : "",
    sum("below") ? `${count(sum("below"))} −∞ (▼)` : "",
    sum("hidden") ? `${count(sum("hidden"))} at or below 0 have no place on a log axis` : ""].filter(Boolean).join(", ");
};

/** One metric. */
function Chart({ metric, runs, cursor }: { metric: string; runs: Subject[]; cursor: Signal<number | null> }) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const [seen, setSeen] = useState(false);
  const [table, setTable] = useState(false);
  const d = drawingOf(place.value.query), log = d.log.includes(metric);
  useEffect(() => {
    if (!ref.current) return;
    const see = new IntersectionObserver((e) => { if (e.some((x) => x.isIntersecting)) setSeen(true); }, { rootMargin: "200px" });
    see.observe(ref.current);
    return () => see.disconnect();
  }, []);
  const ids = runs.slice(0, RUN_MOST).map((r) => r.id);
  const h = useGet<{ runs: History[] }>(seen && W ? historyPath(ids, metric, d, W) : null, ["track."]);
  const kept = useRef<History[] | null>(null); // stays until the next range is there
  if (h.data) kept.current = h.data.runs;
  const data = h.data?.runs ?? kept.current;
  const series = useMemo((): Series[] => (data ?? []).map((r) => ({ id: r.id, name: runs.find((s) => s.id === r.id)?.name || r.id.slice(0, 8),
    x: r.x, y: r.y, smooth: r.smooth, breaks: r.breaks })), [data]);
  return <Card title={metric} side={<>
    <label><input type="checkbox" checked={log} aria-label={`Log axis of ${metric}`} onChange={() =>
      set({ log: (log ? d.log.filter((m) => m !== metric) : [...d.log, metric]).join(",") || null })} />log axis</label>
    <button class="sm" aria-pressed={table} aria-label={`${metric} as ${table ? "chart" : "table"}`} onClick={() => setTable(!table)}>{table ? "Chart" : "Table"}</button></>}>
    <div ref={ref} style={{ minHeight: "224px" }}>{h.failure ? <Oops failure={h.failure} again={h.again} />
      : data && seen ? <Curve title={metric} series={series} axis={d.axis} log={log} table={table} picked={d.picked} cursor={cursor}
        legend={false} range={d.range} onRange={(r: Range | null) => set({ from: r?.[0] ?? null, to: r?.[1] ?? null })} />
        : <div class="skel" aria-busy={seen ? "true" : undefined} />}
      {data && <p class="note">{notes(data)}</p>}</div></Card>;
}

/** Which run is which; of many a press picks those with a colour. */
function Legend({ runs }: { runs: Subject[] }) {
  const picked = list(place.value.query, "pick");
  const main = strong(runs.map((r) => ({ ...r, x: [], y: [] })), picked).map((s) => s.id);
  const press = (id: string) => {
    const now = picked.length ? picked : main as string[];
    set({ pick: (now.includes(id) ? now.filter((p) => p !== id) : [...now.slice(-5), id]).join(",") || null });
  };
  return <div class="read" role="group" aria-label="Runs">{runs.slice(0, RUN_MOST).map((r) => {
    const i = main.indexOf(r.id);
    return runs.length > 6 ? <button key={r.id} class="sm key" aria-pressed={i >= 0} onClick={() => press(r.id)}><Key i={i} />{r.name}</button>
      : <a key={r.id} class="key" href={href(["runs", r.id])}><Key i={i} />{r.name}</a>;
  })}{runs.length > 6 && <span class="mut">Six have a colour: press to choose which.</span>}
    {runs.length > RUN_MOST && <span class="mut">{RUN_MOST} of {count(runs.length)} are drawn.</span>}</div>;
}

/** Which of many pieces are shown; `key` in the address. */
export function Pager({ at, total, size, what, name }: { at: number; total: number; size: number; what: string; name: string }) {
  const last = Math.max(0, Math.ceil(total / size) - 1);
  if (!last) return null;
  return <div class="act" role="group" aria-label={`Which ${what}`}>
    <button class="sm" aria-disabled={!at} onClick={() => { if (at) set({ [name]: at > 1 ? at : null }); }}>Before</button>
    <span class="mut">{count(at * size + 1)} to {count(Math.min(total, (at + 1) * size))} of {plural(total, what)}</span>
    <button class="sm" aria-disabled={at >= last} onClick={() => { if (at < last) set({ [name]: at + 2 }); }}>Next</button></div>;
}
export const pageAt = (name: string, total: number, size: number) =>
  Math.max(0, Math.min(Math.ceil(total / size) - 1, Number(place.value.query.get(name) ?? 1) - 1 || 0));

const SMOOTH = [0, 0.3, 0.6, 0.9, 0.97];
export function MetricCharts({ runs, metrics, wide }: { runs: Subject[]; metrics: string[]; wide?: boolean }) {
  const d = drawingOf(place.value.query), find = place.value.query.get("find") ?? "";
  const cursor = useSignal<number | null>(null);
  const found = metrics.filter((k) => k.includes(find));
  const at = pageAt("charts", found.length, MOST);
  if (!metrics.length) return null;
  const axis = (name: string, to: string | null) => <button aria-pressed={d.axis === (to ?? "step")}
    onClick={() => set({ x: to, from: null, to: null })}>{name}</button>;
  return <section aria-label="Curves"><div class="act">
    {metrics.length > 1 && <label>find a metric <input value={find} onInput={(e) => set({ find: e.currentTarget.value || null, charts: null })} /></label>}
    <span class="seg" role="group" aria-label="Axis">{axis("Step", null)}{axis("Time", "time")}{axis("Since start", "relative")}</span>
    <label>smoothing <select value={String(d.smooth)} onChange={(e) => set({ smooth: Number(e.currentTarget.value) || null })}>
      {(SMOOTH.includes(d.smooth) ? SMOOTH : [...SMOOTH, d.smooth]).map((s) => <option key={s} value={String(s)}>{s || "off"}</option>)}</select></label>
    {d.range ? <button onClick={() => set({ from: null, to: null })}>Whole range (0)</button> : <span class="mut sml">Drag, or + and −, to zoom.</span>}</div>
  {runs.length > 1 && <Legend runs={runs} />}
  <Pager at={at} total={found.length} size={MOST} what="metric" name="charts" />
  <p /><div class={wide ? "" : "g2 half"}>{found.slice(at * MOST, (at + 1) * MOST).map((k) => <Chart key={k} metric={k} runs={runs} cursor={cursor} />)}</div></section>;
}
