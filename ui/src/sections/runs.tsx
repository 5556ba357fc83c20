/* Runs: one virtual list over all, filtered and sorted by the server, with the
   view in the address.  The table is the default; curves are of what is marked. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useLoad } from "../lib/api";
import { count, duration, num, plural, serverNow, time } from "../lib/format";
import { onKeys } from "../lib/keys";
import { lastEvent } from "../lib/live";
import { usePages } from "../lib/pages";
import { go, href, place, withQuery } from "../lib/router";
import { AXES_MOST, list, type Search, varying } from "../lib/plots";
import { columnNames, experiments, runPage, searchValues } from "../lib/runs";
import type { RunRow } from "../lib/types";
import type { Tone } from "../lib/words";
import { Card, Command, Empty, Head, Oops, Skeleton } from "../parts/block";
import { type Column, Grid } from "../parts/grid";
import { Icon } from "../parts/mark";
import { MetricCharts } from "../parts/metrics";
import { usePage } from "../parts/page";
import { Part } from "../parts/part";

export const runTone = (s: string): Tone => s === "FINISHED" ? "ok" : s === "FAILED" ? "bad"
  : s === "KILLED" ? "warn" : s === "RUNNING" ? "info" : "idle";
export const runWord = (s: string) => ({ FINISHED: "done", FAILED: "failed", KILLED: "stopped",
  RUNNING: "running", SCHEDULED: "waiting" }[s] ?? s.toLowerCase());

/** How long it ran; not known where the server's clock stood still. */
export const took = (r: RunRow) => duration(r.start === null ? null : ((r.end ?? (r.status === "RUNNING" ? serverNow() : r.start)) - r.start) || null);

/** Which columns to show when none is chosen: errors on the test rows first. */
function usual(names: string[]): string[] {
  const rank = (k: string) => (/_mae$|\.mae$/.test(k) ? 0 : /rmse|r2|loss/.test(k) ? 2 : 4) + (/test_/.test(k) ? 0 : 1);
  const metrics = names.filter((k) => k.startsWith("metrics.") && !k.startsWith("metrics.fallback"));
  return [...metrics.sort((a, b) => rank(a) - rank(b)).slice(0, 5),
    ...names.filter((k) => /^params\.(max_depth|depth|eta|lr|kind)$/.test(k)).slice(0, 4)];
}

const sortWords = (s: string) => /start_time/.test(s) ? s.startsWith("-") ? "newest" : "oldest"
  : `${s.startsWith("-") ? "highest" : "lowest"} ${s.replace(/^-?(metrics\.|params\.)?/, "")}`;

const KINDS: [string, string][] = [["", "All runs"], ["tags.`slipway.kind` = 'search'", "Searches"], ["tags.`slipway.kind` = 'trial'", "Trials"]];
const joined = (a: string, b: string) => a && b ? `${a} and ${b}` : a || b;

function columnsOf(cols: string[], names: Map<string, string>): Column<RunRow>[] {
  const narrow = innerWidth < 760; // what was measured comes right after the name
  const list: Column<RunRow>[] = [
    { id: "name", name: "Name", width: narrow ? 140 : 230, text: (r) => r.name, cell: (r) => <a tabIndex={-1} href={href(["runs", r.id])}>{r.name || r.id.slice(0, 8)}</a> },
    { id: "status", name: "State", width: 100, sort: true, text: (r) => runWord(r.status), cell: (r) => <span><Icon tone={runTone(r.status)} /> {runWord(r.status)}</span> },
    { id: "start_time", name: "Started", width: 155, sort: true, text: (r) => time(r.start), cell: (r) => time(r.start) },
    { id: "duration", name: "Took", width: 80, right: true, text: took, cell: took },
    ...cols.map((c): Column<RunRow> => ({ id: c, name: c.replace(/^(metrics|params|tags)\./, ""), width: narrow ? 96 : 120, right: c.startsWith("metrics."), sort: true,
      text: (r) => String(r.values[c] ?? ""), cell: (r) => {
        const v = r.values[c];
        return v === undefined || v === null ? <span class="mut">–</span> : typeof v === "number" ? num(v)
          : /^-?[\d.]+(e-?\d+)?$/.test(v) ? num(Number(v)) : <span title={v}>{v}</span>;
      } })),
    { id: "experiment", name: "Experiment", width: 140, text: (r) => names.get(r.experiment) ?? r.experiment, cell: (r) => names.get(r.experiment) ?? r.experiment },
  ];
  if (narrow) list.splice(1, 0, ...list.splice(4, cols.length));
  return list;
}

/** Column names known for choosing. */
function Chooser({ known, shown, onClose }: { known: string[]; shown: string[]; onClose: () => void }) {
  const [q, setQ] = useState("");
  const set = (cols: string[]) => go(withQuery({ cols: cols.join(",") || null }), true);
  return <Card title="Columns" side={<button class="sm" onClick={onClose}>Close</button>}>
    <div class="act"><label>find <input value={q} onInput={(e) => setQ(e.currentTarget.value)} /></label>
      <button onClick={() => set([])}>As usual</button></div>
    <div class="read">{known.filter((k) => k.includes(q)).slice(0, 60).map((k) => <label key={k}><input type="checkbox" checked={shown.includes(k)}
      onChange={() => set(shown.includes(k) ? shown.filter((x) => x !== k) : [...shown, k])} />{k}</label>)}</div></Card>;
}

/** Curves of the marked, one metric at a time. */
function MarkedCurves({ rows, metrics }: { rows: RunRow[]; metrics: string[] }) {
  const asked = place.value.query.get("metric"), key = asked ?? metrics.find((m) => /loss/.test(m)) ?? metrics[0] ?? "";
  const ids = rows.map((r) => r.id).join();
  const subjects = useMemo(() => rows.map((r) => ({ id: r.id, name: r.name || r.id.slice(0, 8) })), [ids]);
  return <><div class="act"><label>curves of <select aria-label="Metric of the curves" value={key} onChange={(e) => go(withQuery({ metric: e.currentTarget.value }), true)}>
    {metrics.map((m) => <option key={m}>{m}</option>)}</select></label></div><MetricCharts runs={subjects} metrics={key ? [key] : []} wide /></>;
}

const SAMPLE = 500;
const VIEWS: [string, string][] = [["", "Table"], ["parallel", "Parallel"], ["scatter", "Scatter"]];

/** What a drawing of a search begins with: parameters, then what was measured. */
const plotted = (known: string[], cols: string[]) => {
  const score = cols.find((c) => c.startsWith("metrics.")) ?? known.find((k) => k.startsWith("metrics."));
  return [...known.filter((k) => k.startsWith("params.")).slice(0, 24), ...(score ? [score] : [])];
};

export function RunList() {
  const q = place.value.query.get("q") ?? "", kind = place.value.query.get("kind") ?? "";
  const sort = place.value.query.get("sort") ?? "-start_time", experiment = place.value.query.get("experiment") ?? "";
  const chosen = place.value.query.get("cols")?.split(",").filter(Boolean) ?? [];
  const sel = useMemo(() => new Set((place.value.query.get("sel") ?? "").split(",").filter(Boolean)), [place.value.query.get("sel")]);
  usePage([["Runs", null]], q ? `slipway runs list --filter "${q}"` : "slipway runs list");
  const exps = useLoad("experiments", experiments, ["train.", "track."]);
  const names = useLoad("columns", columnNames, ["train.", "track."]);
  const known = names.data ?? [];
  const cols = chosen.length ? chosen : usual(known);
  const colKey = cols.join(",");
  const query = { q: joined(q, kind), sort, experiment, cols };
  // Rows wait for the columns' names, so that each page is asked for once.
  const ready = chosen.length > 0 || names.data !== undefined || !!names.failure;
  const view = VIEWS.some(([v]) => v === place.value.query.get("view")) ? place.value.query.get("view")! : "";
  const paged = usePages(JSON.stringify(query) + (ready && !view), (offset, limit) => ready && !view ? runPage(query, offset, limit) : new Promise<never>(() => {}));
  // A drawing is of the whole search, and the table of what it keeps.  Which
  // columns vary is seen on its first runs, so that few are read of all.
  const about = JSON.stringify({ ...query, cols: view && ready ? plotted(known, cols) : [] });
  const first = useLoad(`first:${about}`, async () => view && ready ? await searchValues(JSON.parse(about), SAMPLE) : undefined);
  const usualAxes = useMemo(() => first.data ? varying(first.data, JSON.parse(about).cols).slice(-AXES_MOST) : [], [first.data, about]);
  const wanted = ["axes", "sx", "sy", "sc"].flatMap((k) => list(place.value.query, k)).filter((k) => known.includes(k));
  const plotCols = [...new Set([...cols, ...wanted, ...usualAxes])].slice(0, 64);
  const plotKey = view && first.data ? JSON.stringify({ ...query, cols: plotCols }) : "";
  const search = useLoad(`search:${plotKey}`, async () => plotKey ? await searchValues({ ...query, cols: plotCols }) : undefined);
  const kept = useRef<Search | null>(null);
  if (search.data) kept.current = search.data;
  const drawn = view ? search.data ?? kept.current ?? undefined : undefined;
  const [picked, setPicked] = useState<number[]>([]);
  const rows = !view ? paged : { total: drawn ? picked.length : null, failure: first.failure ?? search.failure ?? null, again: first.failure ? first.again : search.again, need: undefined,
    row: (i: number) => { const at = picked[i]; return at === undefined || !drawn || at >= drawn.ids.length ? undefined : drawn.row(at); } };
  const experimentNames = useMemo(() => new Map((exps.data ?? []).map((e) => [e.experiment_id, e.name])), [exps.data]);
  const columns = useMemo(() => columnsOf(cols, experimentNames), [colKey, experimentNames]);
  const [choosing, setChoosing] = useState(false);
  const panel = place.value.query.get("panel") === "1";
  const setPanel = () => go(withQuery({ panel: place.peek().query.get("panel") ? null : "1" }), true);
  const [draft, setDraft] = useState(q);
  useEffect(() => setDraft(q), [q]);
  const filter = useRef<HTMLInputElement>(null);
  const compare = () => { // what is marked stands in the address, also between two drawings
    const ids = place.peek().query.get("sel") ?? "";
    if (ids.includes(",")) go(href(["runs", "compare"], { ids }));
  };
  useEffect(() => onKeys({ e: () => filter.current?.focus(), x: compare, p: setPanel }), []);
  const mark = (id: string) => {
    const next = new Set(sel);
    if (!next.delete(id)) next.add(id);
    go(withQuery({ sel: [...next].join(",") || null }), true);
  };
  // New runs never move the row under the pointer: they are counted, and come when asked for.
  const [news, setNews] = useState(0);
  useEffect(() => lastEvent.subscribe((e) => { if (e && /^(track\.run_(created|started)|flow\.trained)/.test(e.kind)) setNews((n) => n + 1); }), []);
  const marked = [...sel].map((id) => { for (let i = 0; i < (rows.total ?? 0); i++) { const r = rows.row(i); if (r?.id === id) return r; } return null; }).filter((r): r is RunRow => !!r);
  const metrics = known.filter((k) => k.startsWith("metrics.")).map((k) => k.slice(8));
  return <>
    <Head title="Runs" lead={rows.total === null ? undefined : rows.total ? `${plural(rows.total, "run")}${q || kind || experiment ? " match" : ""}, ${sortWords(sort)} first.` : undefined} />
    <form class="act" role="search" onSubmit={(e) => { e.preventDefault(); go(withQuery({ q: draft || null })); }}>
      <input ref={filter} style={{ flex: "1 1 320px" }} aria-label="Filter, in MLflow's words" aria-describedby="filter-says" value={draft} spellcheck={false} list="filter-words"
        placeholder={'metrics.test_mae < 0.007 and params.max_depth = "3"'} onInput={(e) => setDraft(e.currentTarget.value)} />
      <datalist id="filter-words">{known.map((k) => <option key={k} value={`${draft && !draft.endsWith(" ") ? "" : draft}${k} `} />)}</datalist>
      <button>Filter</button>
      <select aria-label="Experiment" value={experiment} onChange={(e) => go(withQuery({ experiment: e.currentTarget.value || null }), true)}>
        <option value="">All experiments</option>{exps.data?.map((x) => <option key={x.experiment_id} value={x.experiment_id}>{x.name}</option>)}</select>
      <select aria-label="Kind of run" value={kind} onChange={(e) => go(withQuery({ kind: e.currentTarget.value || null }), true)}>
        {KINDS.map(([v, name]) => <option key={v} value={v}>{name}</option>)}</select>
      <span class="seg" role="group" aria-label="View">{VIEWS.map(([v, name]) => <button key={v} type="button" aria-pressed={view === v}
        onClick={() => go(withQuery({ view: v || null, brush: null }), true)}>{name}</button>)}</span>
      <button type="button" aria-expanded={choosing} onClick={() => setChoosing(!choosing)}>Columns</button>
    </form>
    <div class="read" id="filter-says" aria-live="polite">{rows.failure ? null : <>
      <span>{rows.total === null ? "" : `${count(rows.total)} ${rows.total === 1 ? "run" : "runs"}`}</span>
      {news > 0 && <button class="link" onClick={() => { setNews(0); rows.again(); }}>{news} new ↑</button>}
      <b>{sel.size ? `${sel.size} marked:` : ""}</b>{sel.size > 1 && <button class="sm" onClick={compare}>Compare (x)</button>}
      {sel.size > 0 && <><button class="sm" aria-pressed={panel} onClick={setPanel}>Curves (p)</button>
        <button class="sm" onClick={() => go(withQuery({ sel: null }), true)}>Unmark</button></>}</>}</div>
    {rows.failure && <Oops failure={rows.failure} again={rows.again} />}
    {choosing && <Chooser known={known} shown={cols} onClose={() => setChoosing(false)} />}
    {panel && sel.size > 0 && <MarkedCurves rows={marked} metrics={metrics} />}
    {drawn && drawn.ids.length > 0 && <Card title={view === "scatter" ? "Scatter" : "Parallel coordinates"}><Part name="plots">{(m: typeof import("../lazy/plots")) =>
      view === "scatter" ? <m.Scatter search={drawn} known={known.filter((k) => !k.startsWith("tags.")).slice(0, 500)} usual={usualAxes} onPicked={setPicked} />
        : <m.Parallel search={drawn} known={known.filter((k) => !k.startsWith("tags."))} usual={usualAxes} onPicked={setPicked} />}</Part></Card>}
    {rows.total === null ? !rows.failure && <Skeleton rows={8} /> : rows.total === 0 && !q && !kind && !experiment
      ? <Card title="No run yet"><Empty>Three lines of Python log the first one:</Empty>
        <Command text={`import mlflow; mlflow.set_tracking_uri("${location.origin}"); mlflow.log_metric("mae", 0.0071)`} /></Card>
      : rows.total === 0 && drawn?.ids.length ? <p class="empty">No run lies within these ranges.</p>
      : rows.total === 0 ? <Card title="Nothing matches"><p class="empty">No run matches this filter. <a href="/runs">Show all</a></p></Card>
        : <Grid label="Runs" columns={columns} total={rows.total} row={rows.row} need={rows.need} id={(r) => r.id} to={(r) => href(["runs", r.id])}
          sort={sort} onSort={(s) => go(withQuery({ sort: s === "-start_time" ? null : s }), true)} marked={sel} onMark={mark} />}
  </>;
}
