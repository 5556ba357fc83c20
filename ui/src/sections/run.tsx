/* One run: its curves, parameters, inputs, files and what became of it. */
import { useMemo } from "preact/hooks";
import { authorization, useGet, useLoad } from "../lib/api";
import { bytes, count, hash, num, plural } from "../lib/format";
import { go, href, place, withQuery } from "../lib/router";
import { useOverview } from "../lib/overview";
import { only } from "../lib/plots";
import { columnNames, experiments, run, type RunDetail, searchValues } from "../lib/runs";
import { runSentence } from "../lib/words";
import { Card, Copy, Empty, Head, Oops, Reading, Time } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { Curve } from "../parts/curve";
import { MetricCharts } from "../parts/metrics";
import { Mark } from "../parts/mark";
import { usePage } from "../parts/page";
import { Part } from "../parts/part";
import { runTone, runWord, took } from "./runs";
import { Table } from "../parts/table";

const enc = encodeURIComponent;

/** The curves of a run: of each metric with a step behind it. */
function Curves({ r }: { r: RunDetail }) {
  const metrics = useMemo(() => r.metrics.filter((m) => m.step > 0).map((m) => m.key), [r]);
  const one = useMemo(() => [{ id: r.id, name: r.name || hash(r.id, 8) }], [r.id, r.name]);
  return <MetricCharts runs={one} metrics={metrics} />;
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

const SCORES = ["metrics.valid_mae", "metrics.valid_loss", "metrics.valid_rmse"];

/** The trials of a search: best so far, and parallel coordinates. */
function Trials({ r }: { r: RunDetail }) {
  const names = useLoad("columns", columnNames, ["train.", "track."]);
  const q = `tags.mlflow.parentRunId = '${r.id}'`, kind = "tags.slipway.candidate";
  const cols = [...(names.data ?? []).filter((k) => k.startsWith("params.")).slice(0, 40), ...(names.data ?? []).filter((k) => SCORES.includes(k) || k === kind)];
  const list = useLoad(`trials:${r.id}:${cols.length}`, async () => cols.length ? await searchValues({ q, sort: "start_time", experiment: r.experiment, cols }) : undefined,
    ["track.", "flow.trained"]);
  const score = SCORES.find((k) => list.data?.columns[k]?.some((v) => typeof v === "number")) ?? "";
  const kinds = [...new Set((list.data?.columns[kind] ?? []).filter((k) => k !== null).map(String))], pick = place.value.query.get("candidate") ?? kinds[0];
  const shown = useMemo(() => list.data && only(list.data, (i) => typeof list.data!.columns[score]?.[i] === "number"
    && (!kinds.length || String(list.data!.columns[kind]?.[i]) === pick)), [list.data, score, pick]);
  if (!list.data?.ids.length || !score || !shown) return null;
  const values = list.data.columns[score]!.filter((v): v is number => typeof v === "number");
  let best = Infinity;
  const soFar = values.map((v) => best = Math.min(best, v)), x = values.map((_, i) => i + 1);
  const usual = [...cols.filter((k) => k.startsWith("params.")), score];
  return <><Card title="Best so far" note={`${score.slice(8)} over ${plural(values.length, "trial")}`}><Curve title="Best so far" series={[
    { name: "best so far", x, y: soFar }, { name: "each trial", x, y: values, rule: true }]} /></Card>
  <Card title="Trials" note="coloured by the last axis; lower is better" side={kinds.length > 1 && <select aria-label="Candidate" value={pick}
    onChange={(e) => go(withQuery({ candidate: e.currentTarget.value }), true)}>{kinds.map((k) => <option key={k}>{k}</option>)}</select>}>
    <Part name="plots">{(m: typeof import("../lazy/plots")) => <m.Parallel search={shown} known={usual} usual={usual} brushing={false} />}</Part>
    <p><a href={href(["runs"], { q, experiment: r.experiment, sort: score, view: "parallel" })}>All {count(values.length)} trials in the list</a></p></Card></>;
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
