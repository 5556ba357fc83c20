/* One run: its curves, parameters, inputs, files and what became of it. */
import { useMemo, useState } from "preact/hooks";
import { authorization, useGet, useLoad } from "../lib/api";
import { bytes, count, hash, num, plural } from "../lib/format";
import { go, href, place, withQuery } from "../lib/router";
import { useOverview } from "../lib/overview";
import { experiments, fromMlflowRun, histories, run, type RunDetail } from "../lib/runs";
import { post } from "../lib/api";
import type { RunRow } from "../lib/types";
import { runSentence } from "../lib/words";
import { Card, Copy, Empty, Head, Oops, Reading, Time } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { Curve, type Series } from "../parts/curve";
import { Mark } from "../parts/mark";
import { usePage } from "../parts/page";
import { runTone, runWord, took } from "./runs";
import { Table, Wide } from "../parts/table";

const enc = encodeURIComponent;
const MOST = 12;

function Metric({ id, name, byTime }: { id: string; name: string; byTime: boolean }) {
  const h = useLoad(`h:${name}:${id}`, () => histories([id], name, 800), ["track."]);
  const series = useMemo((): Series[] => {
    const p = h.data?.get(id) ?? [];
    return [{ name, x: p.map((q) => byTime ? q.timestamp / 1000 : q.step), y: p.map((q) => q.value) }];
  }, [h.data, byTime]);
  return <Card title={name}>{h.data ? <Curve title={name} series={series} times={byTime} controls sync="run" />
    : h.failure ? <Oops failure={h.failure} again={h.again} /> : <div class="skel" />}</Card>;
}

function Curves({ r }: { r: RunDetail }) {
  const [q, setQ] = useState("");
  const [byTime, setByTime] = useState(false);
  // A metric with a step behind it has a history; the others are one number.
  const curves = r.metrics.filter((m) => m.step > 0).map((m) => m.key).filter((k) => k.includes(q));
  if (!r.metrics.some((m) => m.step > 0)) return null;
  return <><div class="act"><label>find a metric <input value={q} onInput={(e) => setQ(e.currentTarget.value)} /></label>
    <span class="seg" role="group" aria-label="Axis"><button aria-pressed={!byTime} onClick={() => setByTime(false)}>Step</button>
      <button aria-pressed={byTime} onClick={() => setByTime(true)}>Time</button></span>
    {curves.length > MOST && <span class="mut">{MOST} of {curves.length} are shown</span>}</div>
  <p /><div class="g2 half">{curves.slice(0, MOST).map((k) => <Metric key={k} id={r.id} name={k} byTime={byTime} />)}</div></>;
}

interface File { path: string; is_dir: boolean; file_size?: number }
const TEXT = /\.(txt|md|json|ya?ml|csv|tsv|py|sql|log|toml|cfg|ini|html|xml)$|^(MLmodel|requirements)/i;
const IMAGE = /\.(png|jpe?g|gif|webp)$/i;

/** A file in place: text as text, pictures as pictures; never as HTML of ours. */
function FileView({ id, path }: { id: string; path: string }) {
  const url = `/get-artifact?path=${enc(path)}&run_uuid=${enc(id)}`;
  const text = useLoad(`file:${id}:${path}`, async () => {
    if (!TEXT.test(path.split("/").pop() ?? "")) return null;
    const a = await fetch(url, { headers: authorization() });
    if (!a.ok) throw new Error(`The server answered ${a.status}.`);
    return (await a.text()).slice(0, 200_000);
  });
  const shown = useMemo(() => {
    if (text.data && path.endsWith(".json")) try { return JSON.stringify(JSON.parse(text.data), null, 1); } catch { return text.data; }
    return text.data;
  }, [text.data]);
  return <><p><a class="btn" href={url} download>Download {path.split("/").pop()}</a></p>
    {IMAGE.test(path) ? <img src={url} alt={`Picture ${path}`} style={{ maxWidth: "100%" }} />
      : text.failure ? <Oops failure={text.failure} /> : shown ? <pre tabIndex={0} aria-label={path}>{shown}</pre>
        : <p class="mut">This kind of file is not shown in place.</p>}</>;
}

function Artifacts({ id }: { id: string }) {
  const dir = place.value.query.get("dir") ?? "", file = place.value.query.get("file");
  const list = useGet<{ files?: File[] }>(`/api/2.0/mlflow/artifacts/list?run_id=${enc(id)}${dir ? `&path=${enc(dir)}` : ""}`, ["track."]);
  const up = dir.split("/").slice(0, -1).join("/");
  return <Card title="Artifacts" note={dir || undefined}><Reading of={list} rows={2} isEmpty={(d) => !d.files?.length && !dir} empty={<Empty>No file was logged.</Empty>}>
    {(d) => <table><tbody>{dir && <tr><td><a href={withQuery({ dir: up, file: null })} data-replace>..</a></td><td /></tr>}
      {(d.files ?? []).slice(0, 200).map((f) => <tr key={f.path}><td><a data-replace href={f.is_dir ? withQuery({ dir: f.path, file: null }) : withQuery({ file: f.path })}>
        {f.path.split("/").pop()}{f.is_dir && "/"}</a></td><td class="r mut">{f.is_dir ? "" : bytes(f.file_size)}</td></tr>)}</tbody></table>}</Reading>
    {file && <FileView key={file} id={id} path={file} />}</Card>;
}

/** Parallel coordinates of a search: the parameters that vary and the score. */
function Parallel({ rows, score }: { rows: RunRow[]; score: string }) {
  const keys = [...new Set(rows.flatMap((r) => Object.keys(r.values).filter((k) => k.startsWith("params."))))]
    .filter((k) => new Set(rows.map((r) => r.values[k])).size > 1).slice(0, 7);
  const axes = [...keys, score];
  const W = 900, H = 220;
  const values = axes.map((k) => {
    const raw = rows.map((r) => r.values[k]);
    const nums = raw.map(Number), numeric = raw.every((v) => v === undefined || v === null || Number.isFinite(Number(v)));
    if (!numeric) {
      const cats = [...new Set(raw.map(String))];
      return { name: k, lo: cats[0] ?? "", hi: cats[cats.length - 1] ?? "", at: raw.map((v) => v === undefined ? null : cats.indexOf(String(v)) / Math.max(1, cats.length - 1)) };
    }
    const known = nums.filter(Number.isFinite), lo = Math.min(...known), hi = Math.max(...known);
    return { name: k, lo: num(lo, 3), hi: num(hi, 3), at: nums.map((v, i) => raw[i] === undefined || raw[i] === null ? null : hi > lo ? (v - lo) / (hi - lo) : 0.5) };
  });
  const scores = values[values.length - 1]!.at;
  const order = rows.map((_, i) => i).sort((a, b) => (scores[b] ?? 1) - (scores[a] ?? 1));
  const x = (i: number) => 60 + i * (W - 120) / Math.max(1, axes.length - 1), y = (v: number) => 176 - v * 146;
  return <Wide class="ch"><svg viewBox={`0 0 ${W} ${H}`} style={{ minWidth: "560px" }} role="img"
    aria-label={`Parallel coordinates of ${rows.length} trials over ${axes.map((a) => a.replace(/^\w+\./, "")).join(", ")}; the five best are drawn strong`}>
    {order.map((r, rank) => {
      const pts = values.map((v, i) => [x(i), v.at[r]] as const).filter((p): p is readonly [number, number] => p[1] !== null && p[1] !== undefined);
      const best = rank >= order.length - 5;
      return <path key={r} d={pts.map(([px, v], i) => `${i ? "L" : "M"}${px} ${y(v)}`).join("")} fill="none"
        stroke={best ? "var(--c1)" : "var(--edge)"} stroke-width={best ? 2 : 1} opacity={best ? 1 : 0.45}><title>{rows[r]!.name}</title></path>;
    })}
    {values.map((v, i) => <g key={v.name}><path class="axis" d={`M${x(i)} 30V176`} /><text class="k" x={x(i)} y="14" text-anchor="middle">{v.name.replace(/^\w+\./, "")}</text>
      <text x={x(i)} y="26" text-anchor="middle">{v.hi}</text><text x={x(i)} y="192" text-anchor="middle">{v.lo}</text></g>)}
  </svg></Wide>;
}

function Trials({ r }: { r: RunDetail }) {
  const list = useLoad(`trials:${r.id}`, async () => {
    const a = await post<{ runs?: any[] }>("/api/2.0/mlflow/runs/search", { experiment_ids: [r.experiment],
      filter: `tags.mlflow.parentRunId = '${r.id}'`, max_results: 500 });
    return (a.runs ?? []).map(fromMlflowRun).sort((x, y) => (x.start ?? 0) - (y.start ?? 0));
  }, ["track.", "flow.trained"]);
  if (!list.data?.length) return null;
  const score = ["metrics.valid_mae", "metrics.valid_loss", "metrics.valid_rmse"].find((k) => list.data!.some((t) => k in t.values));
  if (!score) return null;
  const rows = list.data.filter((t) => typeof t.values[score] === "number");
  let best = Infinity;
  const soFar = rows.map((t) => best = Math.min(best, t.values[score] as number));
  const byKind = new Map<string, RunRow[]>();
  for (const t of rows) {
    const k = String(t.values["tags.slipway.candidate"] ?? "trials");
    if (!byKind.has(k)) byKind.set(k, []);
    byKind.get(k)!.push(t);
  }
  const kinds = [...byKind.keys()], pick = place.value.query.get("candidate") ?? kinds[0]!;
  return <><Card title="Best so far" note={`${score.slice(8)} over ${plural(rows.length, "trial")}`}><Curve title="Best so far" series={[
    { name: "best so far", x: rows.map((_, i) => i + 1), y: soFar }, { name: "each trial", x: rows.map((_, i) => i + 1), y: rows.map((t) => t.values[score] as number), dash: true }]} controls /></Card>
  <Card title="Trials" note="the five best are drawn strong; lower is better" side={kinds.length > 1 && <select aria-label="Candidate" value={pick}
    onChange={(e) => go(withQuery({ candidate: e.currentTarget.value }), true)}>{kinds.map((k) => <option key={k}>{k}</option>)}</select>}>
    <Parallel rows={byKind.get(pick) ?? rows} score={score} />
    <p><a href={href(["runs"], { q: `tags.mlflow.parentRunId = '${r.id}'`, experiment: r.experiment, sort: score })}>All {count(rows.length)} trials in the list</a></p></Card></>;
}

/** Makes what the run logged a version of a model. */
function Register({ id }: { id: string }) {
  const files = useGet<{ files?: File[] }>(`/api/2.0/mlflow/artifacts/list?run_id=${enc(id)}`, ["track."]);
  const models = useOverview().data?.models ?? [];
  const dirs = files.data?.files?.filter((f) => f.is_dir).map((f) => f.path) ?? [];
  const dir = dirs.find((d) => /model/.test(d)) ?? dirs[0], name = models[0]?.name;
  return <ActButton label="Register" not={!dir ? "it logged no model" : name ? null : "no model is declared"}
    act={{ title: "Register as a version", path: "/api/2.0/mlflow/model-versions/create",
      body: { name, run_id: id, source: `runs:/${id}/${dir}` },
      fields: (body, set) => <label>model <select onChange={(e) => set({ ...body, name: e.currentTarget.value })}>
        {models.map((m) => <option key={m.name}>{m.name}</option>)}</select></label>,
      done: (a) => go(href(["models", a.model_version.name, a.model_version.version])) }} />;
}

export function RunPage({ id }: { id: string }) {
  const one = useLoad(`run:${id}`, () => run(id), ["track.", "flow.trained"]);
  const exps = useLoad("experiments", experiments);
  const models = useGet<{ model_versions?: { name: string; version: string }[] }>(
    `/api/2.0/mlflow/model-versions/search?filter=${enc(`run_id = '${id}'`)}`, ["registry."]);
  const r = one.data;
  usePage([["Runs", "/runs"], [r?.name || hash(id, 8), null]], `slipway runs show ${id}`);
  const made = models.data?.model_versions ?? [];
  const main = ["test_mae", "mae", "valid_mae", "loss"].find((k) => r && `metrics.${k}` in r.values) ?? r?.metrics[0]?.key ?? null;
  const params = Object.entries(r?.values ?? {}).filter(([k]) => k.startsWith("params."));
  const tags = Object.entries(r?.values ?? {}).filter(([k]) => k.startsWith("tags."));
  const parent = r?.values["tags.mlflow.parentRunId"];
  const exp = exps.data?.find((e) => e.experiment_id === r?.experiment);
  return <>
    <Head title={<>{r?.name || id} {r && <Mark tone={runTone(r.status)}>{runWord(r.status)}</Mark>}</>} lead={r && <>{runSentence(r, main)}
      {made.map((v) => <> It became <a key={v.version} href={href(["models", v.name, v.version])}>{v.name} v{v.version}</a>.</>)}</>}
    actions={r && <>{r.deleted
      ? <ActButton label="Restore" act={{ title: "Restore this run", path: "/api/2.0/mlflow/runs/restore", body: { run_id: id } }} />
      : <><Register key={id} id={id} /><ActButton label="Delete" danger act={{ title: "Delete this run", path: "/api/2.0/mlflow/runs/delete", body: { run_id: id }, danger: true }} /></>}</>} />
    <Reading of={one} rows={6}>{(x) => <>
      <Curves r={x} />
      <Trials r={x} />
      <div class="g2"><div><Card title="Metrics" note={plural(x.metrics.length, "metric")}>{x.metrics.length ? <Table flat rows={x.metrics.slice(0, 200)} cols={[["Metric", (m) => m.key],
          ["Last", (m) => <span title={String(m.value)}>{num(m.value)}</span>, "r"], ["Step", (m) => count(m.step), "r"]]} /> : <Empty>No metric was logged.</Empty>}</Card>
        <Artifacts id={id} /></div>
      <div><Card title="Parameters">{params.length ? <dl>{params.slice(0, 200).map(([k, v]) => <><dt key={k}>{k.slice(7)}</dt><dd>{String(v)}</dd></>)}</dl> : <Empty>No parameter was logged.</Empty>}</Card>
        <Card title="This run"><dl><dt>Id</dt><dd><code>{hash(x.id, 12)}</code> <Copy text={x.id} /></dd>
          <dt>Experiment</dt><dd><a href={href(["runs"], { experiment: x.experiment })}>{exp?.name ?? x.experiment}</a></dd>
          {parent && <><dt>Part of</dt><dd><a href={href(["runs", String(parent)])}>{hash(String(parent), 8)}</a></dd></>}
          <dt>Started</dt><dd><Time ms={x.start} /></dd><dt>Took</dt><dd>{took(x)}</dd>
          {x.inputs.map((i) => <><dt key={i.digest}>Data</dt><dd><a href={href(["data", i.name])}>{i.name}</a> <code>{hash(i.digest)}</code></dd></>)}</dl></Card>
        <Card title="Tags"><dl>{tags.slice(0, 100).map(([k, v]) => <><dt key={k}>{k.slice(5)}</dt><dd>{String(v).slice(0, 300)}</dd></>)}</dl></Card></div></div></>}</Reading>
  </>;
}
