/* Features: views, one definition for training and serving. */
import { useState } from "preact/hooks";
import { type Failure, post, useGet } from "../lib/api";
import { ago, count, day, duration, hash, num, plural } from "../lib/format";
import { href } from "../lib/router";
import type { Dataset, FeatureView, Model, Lineage } from "../lib/types";
import { Card, Copy, Empty, Head, Oops, Reading, Time } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { Mark } from "../parts/mark";
import { useNeighbours, usePage } from "../parts/page";
import { LineageMap } from "../parts/lineage";
import { Table } from "../parts/table";

const TOPICS = ["features."];

export function FeatureList() {
  usePage([["Features", null]], "slipway features list");
  const list = useGet<{ features: FeatureView[] }>("/api/v1/features", TOPICS);
  const n = list.data?.features.length;
  return <>
    <Head title="Features" lead={n ? `${plural(n, "view")}: the same SQL serves training and prediction.` : undefined}
      actions={n ? <ActButton label="Materialise all" act={{ title: "Materialise all views", path: "/api/v1/features/materialize" }} /> : undefined} />
    <Card title="Feature views"><Reading of={list} isEmpty={(d) => !d.features.length}
      empty={<Empty command="slipway run slipway.yaml">Feature views stand here. They are declared under <code>features:</code> of the project file, each an SQL over the sources.</Empty>}>
      {(d) => <Table rows={d.features} cols={[["View", (f) => <><a href={href(["features", f.name])}>{f.name}</a> <span class="mut">f{f.version}</span></>],
        ["Entity", (f) => f.definition.entity, "v"], ["Columns", (f) => count(f.columns.length), "r"], ["Keys online", (f) => count(f.online_count), "r"],
        ["From data", (f) => Object.entries(f.pins).map(([k, n]) => <a key={k} href={href(["data", k, n])}>{k} v{n}</a>), "l"],
        ["Materialised", (f) => <Time ms={f.materialized_at_ms} />], ["Kept for", (f) => duration(f.definition.ttl_ms), "r"]]} />}</Reading></Card>
  </>;
}

interface Online { metadata?: { feature_names?: string[] }; results?: { values: unknown[]; statuses?: string[]; event_timestamps?: string[] }[] }

function Lookup({ f }: { f: FeatureView }) {
  const entity = f.definition.entity;
  const [keyed, setKey] = useState("");
  const [rows, setRows] = useState<{ name: string; value: unknown; status: string; at: string }[] | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const look = async (e: Event) => {
    e.preventDefault();
    setFailure(null);
    try {
      const a = await post<Online>("/get-online-features", {
        features: f.columns.map((c) => `${f.name}:${c.name}`), entities: { [entity]: [keyed] } });
      const names = a.metadata?.feature_names ?? [];
      setRows((a.results ?? []).map((r, i) => ({ name: names[i] ?? String(i), value: r.values?.[0],
        status: r.statuses?.[0] ?? "", at: r.event_timestamps?.[0] ?? "" })).filter((r) => r.name !== entity));
    } catch (x) { setFailure(x as Failure); setRows(null); }
  };
  return <Card title="Look up online">
    <form onSubmit={look} class="act"><label>{entity} <input value={keyed} onInput={(e) => setKey(e.currentTarget.value)} required /></label>
      <button>Look up</button></form>
    {failure && <Oops failure={failure} />}
    <div aria-live="polite">{rows && <Table flat rows={rows} cols={[["Column", (r) => r.name], ["Value", (r) => typeof r.value === "number" ? num(r.value) : String(r.value ?? "–"), "r"],
      ["Event time", (r) => r.at ? r.at.slice(0, 16).replace("T", " ") : "–"], ["State", (r) => r.status === "PRESENT" ? <Mark tone="ok">present</Mark>
        : <Mark tone="warn">{r.status.toLowerCase().replace("_", " ") || "unknown"}</Mark>]]} />}</div>
  </Card>;
}

/** The view's place in the loop, drawn as a version's lineage is. */
function lineage(f: FeatureView, models: Model[]): Lineage {
  const own = `features:${f.name}`;
  const of: Lineage = { nodes: [{ id: own, kind: "features", label: f.name }], edges: [] };
  for (const [k, n] of Object.entries(f.pins)) {
    of.nodes.push({ id: `dataset:${k}`, kind: "dataset", label: `${k} v${n}` });
    of.edges.push([`dataset:${k}`, own]);
  }
  for (const m of models) {
    const at = m.aliases.champion ?? m.versions[0]?.version;
    if (!m.definition?.features?.includes(f.name) || at === undefined) continue;
    of.nodes.push({ id: `v:${m.name}`, kind: "version", label: `${m.name}/${at}` },
      { id: `d:${m.name}`, kind: "deployment", label: m.name });
    of.edges.push([own, `v:${m.name}`], [`v:${m.name}`, `d:${m.name}`]);
  }
  return of;
}

export function FeaturePage({ name }: { name: string }) {
  usePage([["Features", "/features"], [name, null]], `slipway features show ${name}`);
  const one = useGet<FeatureView>(`/api/v1/features/${encodeURIComponent(name)}`, TOPICS);
  const list = useGet<{ features: FeatureView[] }>("/api/v1/features", TOPICS);
  const models = useGet<{ models: Model[] }>("/api/v1/models?limit=1", ["registry.", "train."]);
  const data = useGet<{ datasets: Dataset[] }>("/api/v1/datasets", ["data."]);
  useNeighbours(list.data?.features.map((f) => f.name) ?? [], name, (x) => href(["features", x]));
  const f: FeatureView | undefined = (one.data as any)?.feature ?? one.data;
  const behind = f && data.data?.datasets.filter((d) => f.pins[d.name] !== undefined && f.pins[d.name]! < d.version);
  const url = `/api/v1/features/${encodeURIComponent(name)}/data`;
  const lead = f && (f.materialized_at_ms === null ? "It was not materialised yet, so predictions cannot read it."
    : `${plural(f.columns.length, "column")} for ${plural(f.online_count, "key")} are online, computed ${ago(f.materialized_at_ms) || `as of ${day(f.materialized_at_ms)}`}` +
      (behind?.length ? `; ${behind.map((d) => `${d.name} v${d.version}`).join(", ")} is newer.` : "; no newer data is there."));
  return <>
    <Head title={<>{name} {f && <Mark tone={behind?.length ? "warn" : "ok"}>{behind?.length ? "newer data is there" : "up to date"}</Mark>}</>}
      lead={lead} actions={<>
        <ActButton label="Materialise" act={{ title: `Materialise ${name}`, path: "/api/v1/features/materialize", body: { views: [name] } }} />
        <a class="btn" href={`${url}.parquet`} download>Parquet</a><a class="btn" href={`${url}.csv`} download>CSV</a></>} />
    <Reading of={one}>{() => f && <>
      <div class="g2"><Card title="Definition" note={`entity ${f.definition.entity} · time ${f.definition.event_time} · kept for ${duration(f.definition.ttl_ms)}`}
        side={<Copy text={f.definition.sql} />}><pre tabIndex={0} aria-label={`SQL of ${name}`}>{f.definition.sql}</pre>
        {f.definition.lags?.map((l) => <p class="note" key={l.of}>and the last {l.count} values of {l.of} as columns</p>)}</Card>
      <div><Lookup f={f} /><Card title="This view"><dl><dt>Version</dt><dd>f{f.version}, <code>{hash(f.hash, 12)}</code></dd>
        <dt>Declared</dt><dd><Time ms={f.updated_at_ms} /></dd><dt>Materialised</dt><dd><Time ms={f.materialized_at_ms} /></dd></dl></Card></div></div>
      <Card title="Columns"><Table flat rows={f.columns} cols={[["Column", (c) => c.name], ["Type", (c) => c.type.toLowerCase(), "q"]]} /></Card>
      <Card title="Lineage" note="each box opens its object"><LineageMap of={lineage(f, models.data?.models ?? [])} own={`features:${f.name}`} /></Card></>}</Reading>
  </>;
}
