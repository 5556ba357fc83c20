/* Data: sources with their versions; one version with its expectations, its
   profile and what changed against another. */
import { useState } from "preact/hooks";
import { type Failure, ask, useGet, post, happened } from "../lib/api";
import { bytes, column, count, day, duration, hash, num, percent, plural, serverNow } from "../lib/format";
import { href, place, withQuery, go } from "../lib/router";
import type { ColumnProfile, Dataset, DatasetDiff, DatasetVersion, Model, FeatureView } from "../lib/types";
import { datasetSentence } from "../lib/words";
import { Card, Copy, Empty, Head, Oops, Reading, Time } from "../parts/block";
import { Dialog } from "../parts/dialog";
import { Mark } from "../parts/mark";
import { useNeighbours, usePage } from "../parts/page";
import { Histo, MiniDist } from "../parts/shapes";
import { type Col, Table } from "../parts/table";

const enc = encodeURIComponent;
const TOPICS = ["data."];

/** The limit of fresh(5d) in milliseconds. */
export function freshLimit(expect: string[] | undefined): number | null {
  for (const e of expect ?? []) {
    const m = /^fresh\(\s*(\d+)\s*([dhm])\s*\)$/.exec(e);
    if (m) return Number(m[1]) * { d: 86400e3, h: 3600e3, m: 60e3 }[m[2] as "d" | "h" | "m"];
  }
  return null;
}

export function DataList() {
  usePage([["Data", null]], "slipway data list");
  const list = useGet<{ datasets: Dataset[] }>("/api/v1/datasets", TOPICS);
  const n = list.data?.datasets.length;
  return <>
    <Head title="Data" lead={n === undefined ? undefined : n
      ? `${plural(n, "dataset")}; every version is kept and can be read again.` : "No data yet."} />
    <Card title="Datasets"><Reading of={list} isEmpty={(d) => !d.datasets.length}
      empty={<Empty command="slipway run slipway.yaml">What a source brings stands here, version by version. A project file declares sources; this applies it:</Empty>}>
      {(d) => <Table rows={d.datasets} cols={[
        ["Dataset", (x) => <a href={href(["data", x.name])}>{x.name}</a>],
        ["Version", (x) => <>v{x.version} <code>{hash(x.hash)}</code></>, "v"],
        ["Rows", (x) => count(x.row_count), "r"],
        ["From", (x) => day(x.event_min_ms), "l"], ["To", (x) => day(x.event_max_ms), "l"],
        ["Quarantine", (x) => count(x.quarantined_count), "r"], ["Size", (x) => bytes(x.size), "r"],
        ["Known", (x) => <Time ms={x.known_at_ms} />, "lw"]]} />}</Reading></Card>
  </>;
}

function VersionStrip({ name, versions, at, vs }: { name: string; versions: Dataset[]; at: number; vs: number | null }) {
  const rows = versions.slice(0, 60);
  return <><Table rows={rows} here={(x) => x.version === at} cols={[
    ["Version", (x) => <><a href={href(["data", name, x.version])} aria-current={x.version === at ? "page" : undefined}>v{x.version}</a> <code>{hash(x.hash)}</code></>],
    ["Known", (x) => <Time ms={x.known_at_ms} />, "v"], ["Rows", (x) => count(x.row_count), "r"],
    ["Change", (x, i) => {
      const before = versions[i + 1];
      return before ? (x.row_count >= before.row_count ? "+" : "−") + count(Math.abs(x.row_count - before.row_count)) : "–";
    }, "r"],
    ["To", (x) => day(x.event_max_ms), "l"], ["New on disk", (x) => bytes(x.new_size), "r"],
    ["Compare", (x) => x.version !== at && <a href={withQuery({ vs: x.version })} data-replace
      aria-current={vs === x.version ? "true" : undefined}>with v{at}</a>]]} />{versions.length > rows.length && <p class="note">The newest {rows.length} of {versions.length}.</p>}</>;
}

function Columns({ d, psi, chosen }: { d: DatasetVersion; psi: Record<string, number> | null; chosen: string | null }) {
  const rows = d.schema.map((c) => [c.name, d.profile.columns[c.name]] as const)
    .filter((x): x is readonly [string, ColumnProfile] => !!x[1]);
  const shown = (c: ColumnProfile, x: number | string | undefined) => typeof x === "number"
    ? column([c.min, c.max, c.quantiles?.["0.5"]].filter((y): y is number => typeof y === "number"))(x)
    : x ? String(x).slice(0, 10) : "–";
  return <Table rows={rows} here={([n]) => n === chosen} cols={[
    ["Column", ([n]) => <a href={withQuery({ col: n })} data-replace>{n}</a>, "h"],
    ["Type", ([, c]) => c.type.toLowerCase(), "qv"],
    ["Null", ([, c]) => c.nulls ? percent(c.nulls / Math.max(1, c.count)) : "0", "r"],
    ["Distinct", ([, c]) => count(c.distinct), "r"],
    ["Min", ([, c]) => shown(c, c.min), "r"], ["Median", ([, c]) => shown(c, c.quantiles?.["0.5"]), "r"],
    ["Max", ([, c]) => shown(c, c.max), "r"],
    ["Distribution", ([n, c]) => c.histogram ? <MiniDist reference={c.histogram.counts} name={`Distribution of ${n}`} />
      : c.top && <span class="mut sml">{plural(c.top.length, "value")}</span>],
    psi && ["PSI of the change", ([n]) => num(psi[n], 2), "r"]]} />;
}

function ColumnDetail({ name, c }: { name: string; c: ColumnProfile }) {
  return <Card title={`Column ${name}`} note={c.type.toLowerCase()}>
    {c.histogram ? <Histo h={c.histogram} name={name} /> : null}
    {c.quantiles && <Table flat rows={[c]} cols={[...Object.entries(c.quantiles).map(([q, x]): Col<ColumnProfile> => [percent(Number(q)), () => num(x), "r"]),
      ["Mean", () => num(c.mean), "r"], ["Deviation", () => num(c.std), "r"]]} />}
    {c.top && <Table flat caption="Most frequent values" rows={c.top.slice(0, 12)} cols={[["Value", (t) => t.value],
      ["Rows", (t) => count(t.count), "r"], ["Share", (t) => percent(t.count / Math.max(1, c.count)), "r"]]} />}
  </Card>;
}

function Diff({ name, from, to }: { name: string; from: number; to: number }) {
  const diff = useGet<DatasetDiff>(`/api/v1/datasets/${enc(name)}/diff?from=${from}&to=${to}`);
  return <Card title={`What changed from v${from} to v${to}`} side={<a href={withQuery({ vs: null })} data-replace>Close</a>}>
    <Reading of={diff} rows={2}>{(d) => <>
      <p><b>{plural(d.rows.added, "row")} added</b>, {count(d.rows.removed)} removed, {count(d.rows.changed)} changed; {d.columns.added.length + d.columns.removed.length + d.columns.retyped.length
        ? `columns: ${d.columns.added.length} added, ${d.columns.removed.length} removed, ${d.columns.retyped.length} of another type`
        : "the columns are the same"}; {d.chunks.shared} of {d.chunks.total} pieces on disk are shared.</p></>}</Reading></Card>;
}

function Ingest({ name, onClose }: { name: string; onClose: () => void }) {
  const [file, setFile] = useState<File | null>(null);
  const [mode, setMode] = useState("replace");
  const [failure, setFailure] = useState<Failure | null>(null);
  const [busy, setBusy] = useState("");
  const [dry, setDry] = useState<{ effects: { sentence: string }[]; refused: string | null } | null>(null);
  const [upload, setUpload] = useState("");
  const body = (id: string) => ({ uploads: [{ upload: id, name: file!.name }], mode });
  const url = `/api/v1/datasets/${enc(name)}/versions`;
  const look = async () => {
    if (!file) return;
    setFailure(null);
    try {
      setBusy("Sending the file…");
      const up = await ask<{ upload: string }>("POST", "/api/v1/uploads", file);
      setUpload(up.upload);
      setDry(await post(`${url}?dry_run=true`, body(up.upload)));
    } catch (e) { setFailure(e as Failure); }
    setBusy("");
  };
  const send = async () => {
    if (!upload || dry?.refused) return;
    setBusy("Asked…");
    try {
      await post(url, body(upload));
      happened(["*"]);
      onClose();
    } catch (e) { setFailure(e as Failure); setBusy(""); }
  };
  return <Dialog title={`Ingest a new version of ${name}?`} onClose={onClose}>
    <label class="field" for="ingest-file">File, CSV or Parquet</label>
    <input id="ingest-file" type="file" onChange={(e) => { setFile(e.currentTarget.files?.[0] ?? null); setDry(null); setUpload(""); }} />
    <label class="field" for="ingest-mode">The file</label>
    <select id="ingest-mode" value={mode} onChange={(e) => { setMode(e.currentTarget.value); setDry(null); }}>
      <option value="replace">is the whole dataset</option><option value="append">holds new rows only</option></select>
    {dry && <><p class="mut">What will happen, as the server computes it:</p><ol>{dry.effects.map((e, i) => <li key={i}>{e.sentence}</li>)}</ol>
      {dry.refused && <div class="box bad" role="alert">Refused: {dry.refused}</div>}</>}
    {failure && <Oops failure={failure} />}
    <div class="row"><button onClick={onClose}>Cancel</button>
      {dry ? <button class="pri" aria-disabled={!!dry.refused || !!busy} onClick={send}>{busy || `Ingest ${file?.name ?? ""}`}</button>
        : <button class="pri" aria-disabled={!file || !!busy} onClick={look}>{busy || "What will happen"}</button>}</div>
  </Dialog>;
}

function Uses({ name, version }: { name: string; version: number }) {
  const features = useGet<{ features: FeatureView[] }>("/api/v1/features", ["features."]);
  const models = useGet<{ models: Model[] }>("/api/v1/models?limit=1", ["registry."]);
  const fs = features.data?.features.filter((f) => new RegExp(`\\b${name.replace(/\W/g, "\\$&")}\\b`).test(f.definition.sql)) ?? [];
  const ms = models.data?.models.filter((m) => m.definition?.target?.of === name) ?? [];
  return <Card title="Used by"><dl>
    <dt>Features</dt><dd>{fs.length ? fs.map((f, i) => <span key={f.name}>{i > 0 && ", "}<a href={href(["features", f.name])}>{f.name}</a>
      {f.pins[name] === version && <span class="mut"> (online from v{version})</span>}</span>) : "–"}</dd>
    <dt>Models</dt><dd>{ms.length ? ms.map((m, i) => <span key={m.name}>{i > 0 && ", "}<a href={href(["models", m.name])}>{m.name}</a></span>) : "–"}</dd></dl></Card>;
}

export function DataVersion({ name, version }: { name: string; version: string }) {
  const log = useGet<{ versions: Dataset[] }>(`/api/v1/datasets/${enc(name)}`, TOPICS);
  const newest = log.data?.versions[0]?.version;
  const ref = version || newest;
  const one = useGet<DatasetVersion>(ref === undefined ? null : `/api/v1/datasets/${enc(name)}/versions/${enc(String(ref))}`, TOPICS);
  usePage([["Data", "/data"], [name, href(["data", name])], ...(version ? [[`v${version}`, null] as [string, null]] : [])], `slipway data log ${name}`);
  const [ingest, setIngest] = useState(false);
  useNeighbours(log.data?.versions.map((x) => String(x.version)).reverse() ?? [], String(ref ?? ""), (x) => href(["data", name, x]));
  const d = one.data;
  const limit = freshLimit(d?.source?.expect);
  const age = d?.event_max_ms ? serverNow() - d.event_max_ms : null;
  const isNewest = d && d.version === newest;
  const fresh = !isNewest || limit === null || age === null ? null : age <= limit;
  const failed = d?.checks.filter((c) => c.failed > 0).length ?? 0;
  const vs = Number(place.value.query.get("vs")) || null;
  const col = place.value.query.get("col");
  const diff = useGet<DatasetDiff>(d && vs ? `/api/v1/datasets/${enc(name)}/diff?from=${Math.min(vs, d.version)}&to=${Math.max(vs, d.version)}` : null);
  const url = d ? `${location.origin}/api/v1/datasets/${enc(name)}/versions/${d.version}/data.parquet` : "";
  return <>
    <Head title={<>{name}{d && ` v${d.version}`}{fresh !== null && <Mark tone={fresh ? "ok" : "warn"}>
      {fresh ? "fresh" : "late"}, {duration(age)} of {duration(limit)} allowed</Mark>}</>}
    lead={d && datasetSentence(d, fresh, failed)} actions={<>
      <button onClick={() => setIngest(true)}>Ingest…</button>
      {d && d.parent && !vs && <button onClick={() => go(withQuery({ vs: d.parent! }), true)}>Compare with v{d.parent}</button>}
      {d && <a class="btn" href={url} download>Parquet</a>}
      {d && <a class="btn" href={url.replace(".parquet", ".csv")} download>CSV</a>}</>} />
    {ingest && <Ingest name={name} onClose={() => setIngest(false)} />}
    {d && vs && <Diff name={name} from={Math.min(vs, d.version)} to={Math.max(vs, d.version)} />}
    <Card title="Expectations"><Reading of={one}>{(x) => <><Table rows={x.checks} cols={[
      ["Expectation", (c) => <><code>{c.check}</code>{c.implied && <span class="mut sml"> implied</span>}</>],
      ["Rows that fail", (c) => count(c.failed), "r"], ["Then", (c) => c.on_fail, "l"],
      ["State", (c) => c.failed ? <Mark tone="warn">not met</Mark> : <Mark tone="ok">met</Mark>, "v"]]} />
      {x.quarantined_count > 0 && <p>{plural(x.quarantined_count, "row is", "rows are")} in quarantine: <a download
        href={`/api/v1/datasets/${enc(name)}/versions/${x.version}/quarantine.csv`}>quarantine.csv</a></p>}</>}</Reading></Card>
    <Card title="Columns" note={d && `${plural(d.row_count, "row")}; a name opens its distribution`}>
      <Reading of={one}>{(x) => <Columns d={x} psi={diff.data?.psi ?? null} chosen={col} />}</Reading></Card>
    {d && col && d.profile.columns[col] && <ColumnDetail name={col} c={d.profile.columns[col]!} />}
    <div class="g2 half">{d && <Card title="This version"><dl><dt>Hash</dt><dd><code>{hash(d.hash, 12)}</code> <Copy text={d.hash} /></dd>
        <dt>Event time</dt><dd>{day(d.event_min_ms)} to {day(d.event_max_ms)}</dd>
        <dt>Known</dt><dd><Time ms={d.known_at_ms} /></dd>
        <dt>On disk</dt><dd>{bytes(d.size)} in {d.chunk_count} pieces, {bytes(d.new_size)} new</dd>
        {d.source && <><dt>Source</dt><dd>{d.source.path} · entity {d.source.entity} · time {d.source.event_time}</dd></>}
        <dt>pandas</dt><dd><code>pandas.read_parquet("{url}")</code> <Copy text={`pandas.read_parquet("${url}")`} /></dd></dl></Card>}
      <Uses name={name} version={d?.version ?? 0} /></div>
    <Card title="Versions"><Reading of={log}>{(l) => <VersionStrip name={name} versions={l.versions} at={d?.version ?? 0} vs={vs} />}</Reading></Card>
  </>;
}
