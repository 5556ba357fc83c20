/* Models: what is declared, who is champion, every version with its gate. */
import { useMemo } from "preact/hooks";
import { get, useGet } from "../lib/api";
import { count, day, num, percent, plural, time } from "../lib/format";
import { usePages } from "../lib/pages";
import { href, place, withQuery, go } from "../lib/router";
import type { Deployment, Event, Model, Version } from "../lib/types";
import { gateCount, gateOf, gateTone, modelSentence } from "../lib/words";
import { Card, Empty, Head, Reading, Tabs } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { rollbackAct, retrainAct } from "../parts/acts";
import { Grid, type Column } from "../parts/grid";
import { Mark } from "../parts/mark";
import { useNeighbours, usePage } from "../parts/page";
import { EventRows } from "../parts/rows";
import { Table } from "../parts/table";

const enc = encodeURIComponent;
export const MODEL_TOPICS = ["registry.", "train.", "flow.trained", "serve."];

/** Measured error and limit of the check against the rule. */
function againstRule(v: Version): number | null {
  const c = gateOf(v.gate)?.checks.find((x) => x.name === "beats fallback");
  return typeof c?.value === "number" && typeof c.limit === "number" && c.limit ? c.value / c.limit - 1 : null;
}
const error = (v: Version): number | null => {
  const c = gateOf(v.gate)?.checks.find((x) => x.name === "beats fallback");
  return typeof c?.value === "number" ? c.value : null;
};

const link = (m: Model, n: number | undefined) => n === undefined ? <span class="mut">–</span>
  : <a href={href(["models", m.name, n])}>v{n}</a>;

function GateMark({ v }: { v: Version }) {
  const g = gateOf(v.gate);
  return <Mark tone={gateTone(g?.verdict)}>{g ? `${g.verdict} ${gateCount(g)}` : "not judged"}</Mark>;
}

export function ModelList() {
  usePage([["Models", null]], "slipway models list");
  const list = useGet<{ models: Model[] }>("/api/v1/models?limit=1", MODEL_TOPICS);
  const n = list.data?.models;
  return <>
    <Head title="Models" lead={n ? `${plural(n.length, "model")}; ${plural(n.filter((m) => m.aliases.champion !== undefined).length, "has", "have")} a champion, the rule answers for the others.` : undefined} />
    <Card title="Models"><Reading of={list} isEmpty={(d) => !d.models.length}
      empty={<Empty command="slipway run slipway.yaml">No model yet. The project file declares models; runs can be registered from their page.</Empty>}>
      {(d) => <Table rows={d.models.map((m) => ({ m, last: m.versions.reduce<Version | null>((a, b) => a && a.version > b.version ? a : b, null) }))} cols={[
        ["Model", ({ m }) => <a href={href(["models", m.name])}>{m.name}</a>],
        ["Champion", ({ m }) => link(m, m.aliases.champion), "l"], ["Challenger", ({ m }) => link(m, m.aliases.challenger), "l"],
        ["Versions", ({ m }) => count(m.total), "r"],
        ["Newest", ({ m, last }) => last && <>{link(m, last.version)} <span class="mut">{day(last.created_at_ms)}</span></>, "l"],
        ["Error", ({ last }) => num(last && error(last)), "r"], ["Against the rule", ({ last }) => percent(last && againstRule(last), true), "r"],
        ["Gate", ({ last }) => last && <GateMark v={last} />]]} />}</Reading></Card>
  </>;
}

const columnsOf = (name: string, alias: Record<number, string[]>): Column<Version>[] => [
  { id: "version", name: "Version", width: 90, sort: true, text: (v) => String(v.version),
    cell: (v) => <a tabIndex={-1} href={href(["models", name, v.version])}>v{v.version}</a> },
  { id: "aliases", name: "Alias", width: 130, text: (v) => (alias[v.version] ?? []).join(" "),
    cell: (v) => (alias[v.version] ?? []).join(", ") || <span class="mut">–</span> },
  { id: "gate", name: "Gate", width: 160, text: (v) => gateCount(gateOf(v.gate)), cell: (v) => <GateMark v={v} /> },
  { id: "error", name: "Error", width: 110, right: true, text: (v) => num(error(v)), cell: (v) => num(error(v)) },
  { id: "rule", name: "Against the rule", width: 140, right: true, text: (v) => percent(againstRule(v), true), cell: (v) => percent(againstRule(v), true) },
  { id: "created", name: "Made", width: 150, text: (v) => time(v.created_at_ms), cell: (v) => time(v.created_at_ms) },
  { id: "what", name: "From", width: 220, text: (v) => v.description, cell: (v) => v.description || v.source },
];

function History({ name }: { name: string }) {
  const events = useGet<{ events: Event[] }>(`/api/v1/events?subject=${enc(name)}&kind=registry&limit=500`, ["registry."]);
  return <Card title="Who moved which alias, when and why"><Reading of={events} isEmpty={(d) => !d.events.length} empty={<Empty>No alias was moved yet.</Empty>}>
    {(d) => <EventRows events={d.events.filter((e) => /alias|gated|version/.test(e.kind)).reverse().slice(0, 200)} />}</Reading></Card>;
}

export function ModelPage({ name }: { name: string }) {
  usePage([["Models", "/models"], [name, null]], `slipway models show ${name}`);
  const one = useGet<Model>(`/api/v1/models/${enc(name)}?limit=1`, MODEL_TOPICS);
  const list = useGet<{ models: Model[] }>("/api/v1/models?limit=1", MODEL_TOPICS);
  const deps = useGet<{ deployments: Deployment[] }>("/api/v1/deployments", ["serve."]);
  useNeighbours(list.data?.models.map((m) => m.name) ?? [], name, (x) => href(["models", x]));
  const at = place.value.query.get("tab") ?? "versions";
  const by = place.value.query.get("sort") ?? "-version";
  const m = one.data;
  const alias = useMemo(() => {
    const of: Record<number, string[]> = {};
    for (const [a, n] of Object.entries(m?.aliases ?? {})) (of[n] ??= []).push(a);
    return of;
  }, [m]);
  // The first page is read again when something moved.
  const rows = usePages(`${name} ${by} ${m?.total} ${JSON.stringify(m?.aliases)} ${m?.versions[0]?.updated_at_ms}`, async (offset, limit) => {
    const page = await get<Model>(`/api/v1/models/${enc(name)}?limit=${limit}&offset=${offset}&sort=${by}`);
    return { total: page.total, rows: page.versions };
  });
  const d = deps.data?.deployments.find((x) => x.model === name);
  return <>
    <Head title={name} lead={m && modelSentence(m)} actions={<>
      {d && d.previous_version !== null && <ActButton label="Roll back" danger act={rollbackAct(d)} />}
      {m?.definition && <ActButton label="Retrain" act={retrainAct(name)} />}
      {d && <a class="btn" href={href(["deployments", d.name])}>Deployment</a>}</>} />
    <Tabs label="Model" at={at} tabs={[["versions", "Versions", withQuery({ tab: null })],
      ["definition", "Definition", withQuery({ tab: "definition" })], ["history", "History", withQuery({ tab: "history" })]]} />
    {at === "history" ? <History name={name} /> : at === "definition"
      ? <Card title="Definition" note="as the project file declares it"><Reading of={one}>{(x) => <>
        <dl><dt>Target</dt><dd><code>{x.definition?.target?.sql ?? "–"}</code> of {x.definition?.target?.of ?? "–"}</dd>
          <dt>Rule</dt><dd><code>{x.definition?.fallback?.sql ?? "–"}</code></dd><dt>Metric</dt><dd>{x.definition?.metric ?? "–"}</dd>
          <dt>Features</dt><dd>{x.definition?.features?.map((f, i) => <span key={f}>{i > 0 && ", "}<a href={href(["features", f])}>{f}</a></span>) ?? "–"}</dd>
          <dt>Candidates</dt><dd>{Object.keys(x.definition?.candidates ?? {}).join(", ") || "–"}</dd></dl>
        <pre tabIndex={0} aria-label="Definition">{JSON.stringify(x.definition, null, 1)}</pre></>}</Reading></Card>
      : <Reading of={one} isEmpty={(x) => !x.versions.length}
        empty={<Card title="Versions"><Empty command={`slipway train ${name}`}>No version yet. Training makes one; runs can be registered from their page.</Empty></Card>}>
        {() => <Grid label={`Versions of ${name}`} columns={columnsOf(name, alias)} total={rows.total ?? 0} row={rows.row} need={rows.need}
          id={(v) => String(v.version)} to={(v) => href(["models", name, v.version])} sort={by}
          onSort={(s) => go(withQuery({ sort: s === "-version" ? null : s }), true)} />}</Reading>}
  </>;
}

