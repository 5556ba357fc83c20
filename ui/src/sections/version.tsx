/* A model version: may it ship, what is it made of, where does it come from. */
import { useGet, useLoad, get, Failure } from "../lib/api";
import { pairedByDay } from "../lib/facts";
import { bytes, column, count, day, hash, num, percent, plural } from "../lib/format";
import { href, place, withQuery } from "../lib/router";
import type {
  Deployment, ErrorHistory, Event, Gate, GateCheck, Lineage, Model, Release, Version, VersionAnswer,
} from "../lib/types";
import { checkVerdict, gateCount, gateOf, gateTone, rowsToDecide, versionSentence } from "../lib/words";
import { Card, Copy, Empty, Head, Reading, Tabs, Time } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { canaryAct, deployAct, promoteAct, rollbackAct, simpleAct } from "../parts/acts";
import { LineageMap } from "../parts/lineage";
import { Mark } from "../parts/mark";
import { useNeighbours, usePage } from "../parts/page";
import { EventRows } from "../parts/rows";
import { Interval } from "../parts/shapes";
import { Timeline } from "../parts/timeline";
import { MODEL_TOPICS } from "./models";
import { useWidth } from "../parts/size";
import { linear } from "../lib/scale";
import { Table } from "../parts/table";

const enc = encodeURIComponent;

const NAMES: Record<string, string> = { "beats fallback": "Beats the rule", "beats champion": "Beats the champion",
  finite: "Every answer is a number", latency: "p99 of one prediction" };
const unit = (c: GateCheck, v: number | null | undefined) => v === null || v === undefined ? "–"
  : c.name === "latency" ? `${num(v)} ms` : num(v);

function GateCard({ g, days, rows }: { g: Gate; days: number[][]; rows: number }) {
  const rule = pairedByDay(days, 1, 2);
  const reach = rule ? Math.max(Math.abs(rule.mid) + rule.half, 0.01) * 1.1 : 1;
  const unproven = g.checks.find((c) => c.name === "beats fallback" && checkVerdict(c).word === "unproven");
  const need = unproven && rule ? rowsToDecide(rule.mid, rule.half, rule.days) : null;
  return <Card title="Gate" note={`${gateCount(g)} checks passed · ${plural(rows, "test row")}${days.length ? `, ${day(days[0]![0])} to ${day(days[days.length - 1]![0])}` : ""}`}>
    <Table rows={g.checks} cols={[
      ["Check", (c) => <>{NAMES[c.name] ?? c.name}{c.name === "beats champion" && g.champion ? ` v${g.champion}` : ""}<div class="mut sml">{c.why}</div></>],
      ["Measured", (c) => unit(c, c.value), "r"], ["Limit", (c) => c.limit === null || c.limit === undefined ? "–" : `≤ ${unit(c, c.limit)}`, "qr"],
      ["Interval 95 %", (c) => c.name === "beats fallback" && rule && <Interval {...rule} reach={reach} />, "w"],
      ["Verdict", (c) => <Mark tone={checkVerdict(c).tone}>{checkVerdict(c).word}</Mark>, "v"]]} />
    <p class="note">Left of zero is better. {rule && `The interval is of the mean difference to the rule over ${rule.days} days, in percent of the rule's error: ${percent(rule.mid, true)}, ${percent(rule.mid - rule.half, true)} to ${percent(rule.mid + rule.half, true)}. `}
      {need ? `“Unproven” means that the interval holds zero: ${rule!.days} days are too few; about ${count(need)} like them would decide it.`
        : "“Unproven” means better on these rows, but not shown beyond chance."}</p>
  </Card>;
}

/** A dot per slice against the rule, the champion hollow beside it. */
function Slices({ g }: { g: Gate }) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const rows = (g.slices ?? []).slice(0, 24).map((s) => ({ name: s.slice, n: s.rows,
    own: s.fallback ? s.candidate / s.fallback - 1 : null, champion: s.fallback && s.champion ? s.champion / s.fallback - 1 : null }));
  if (!rows.length) return null;
  const reach = Math.max(0.02, ...rows.flatMap((r) => [Math.abs(r.own ?? 0), Math.abs(r.champion ?? 0)])) * 1.15;
  const L = Math.min(120, 12 + 8 * Math.max(...rows.map((r) => r.name.length)));
  const x = linear(-reach, reach, L, Math.max(L + 20, W - 26), W < 420 ? 3 : 5);
  const h = rows.length * 34 + 30;
  const summary = rows.map((r) => `${r.name} ${percent(r.own, true)}`).join(", ");
  return <Card title="By slice" note="error against the rule; left is better">
    <div ref={ref} class="ch"><svg viewBox={`0 0 ${W || 1} ${h}`} height={h} role="img" aria-label={`Error against the rule by slice: ${summary}`}>
      {x.ticks.map((t) => <g key={t}><path d={`M${x(t)} 4V${h - 26}`} class={t ? "grid" : "axis"} />
        <text x={x(t)} y={h - 8} text-anchor="middle">{t ? percent(t, true) : "rule"}</text></g>)}
      {rows.map((r, i) => {
        const y = 20 + i * 34;
        return <g key={r.name}><text class="k" x="0" y={y + 4}>{r.name}</text>
          {r.champion !== null && <path d={`M${x(r.champion)} ${y - 6}l6 6-6 6-6-6z`} fill="none" stroke="var(--c4)" stroke-width="1.6" />}
          {r.own !== null && <circle cx={x(r.own)} cy={y} r="4.5" fill={r.own < 0 ? "var(--ok)" : "var(--warn)"}>
            <title>{r.name}: {percent(r.own, true)} over {r.n} rows</title></circle>}</g>;
      })}</svg></div>
    <div class="read"><span>● this version</span>{rows.some((r) => r.champion !== null) && <span>◇ champion v{g.champion}</span>}<span class="mut">{count(rows[0]!.n)} rows each</span></div></Card>;
}

/* ---- pins ---- */

type Pin = [name: string, value: string, full?: string];

function pins(r: Release): Pin[] {
  return [
    ...Object.entries(r.datasets).map(([k, d]): Pin => [`Dataset ${k}`, `v${d.version} ${hash(d.hash, 12)}`, d.hash]),
    ...Object.entries(r.feature_hashes).map(([k, h]): Pin => [`Features ${k}`, hash(h, 12), h]),
    ["Model", `${r.candidate}, ${bytes(r.model_size)}, ${hash(r.model_blob, 12)}`, r.model_blob],
    ["Parameters", Object.entries(r.params).map(([k, v]) => `${k} ${typeof v === "number" ? num(v) : String(v)}`).join(", ")],
    ["Engine", `${r.engine.name} ${r.engine.version}`],
    ["Code", `slipway ${r.code.slipway ?? ""}, project ${hash(r.code.project_hash, 12)}`, r.code.project_hash],
    ["Training rows", hash(r.frame_hash, 12), r.frame_hash],
    ["Target", r.target.sql], ["Split", `train to ${day(r.split.train_to_ms)} (${count(r.split.train_rows)} rows), valid to ${day(r.split.valid_to_ms)} (${count(r.split.valid_rows)}), test to ${day(r.split.test_to_ms)} (${count(r.split.test_rows)})`],
    ["Rule", r.fallback.sql], ["Metric, seed", `${r.metric}, seed ${r.seed}`],
    ["Monitor's profile", r.profile ? `${count(r.profile.rows)} rows, ${day(r.profile.from_ms)} to ${day(r.profile.to_ms)}, ${hash(r.profile.blob, 12)}` : "–", r.profile?.blob],
  ];
}

function ReleaseCard({ name, version, r }: { name: string; version: Version; r: Release }) {
  const cmd = `slipway reproduce ${name}/${version.version}`;
  return <Card title="Release" note="all that made it, under one hash" side={<ActButton small label="Reproduce"
    act={{ title: `Reproduce v${version.version}`, path: `/api/v1/models/${enc(name)}/versions/${version.version}/reproduce` }} />}>
    <table class="stack"><tbody>{pins(r).map(([k, v, full]) => <tr key={k}><th scope="row" class="mut">{k}</th>
      <td class="why wide">{v}</td><td class="r v">{full ? <Copy text={full} what="Copy hash" /> : null}</td></tr>)}</tbody></table>
    <p class="note">Release <code>{version.release}</code>. <code>{cmd}</code> rebuilds it from these pins and compares the bytes.</p></Card>;
}

/** The pins that differ, old → new. */
function Changes({ name, r, vs }: { name: string; r: Release; vs: number }) {
  const other = useGet<VersionAnswer>(`/api/v1/models/${enc(name)}/versions/${vs}`);
  const all = place.value.query.get("pins") === "all";
  return <Card title={`What changes against v${vs}`}><Reading of={other}>{(o) => {
    if (!o.release) return <Empty>v{vs} has no release document.</Empty>;
    const before = new Map(pins(o.release).map((p) => [p[0], p]));
    const rows = pins(r).map(([k, v, full]) => ({ k, old: before.get(k)?.[1] ?? "–", now: v,
      same: (before.get(k)?.[2] ?? before.get(k)?.[1]) === (full ?? v) }));
    const differ = rows.filter((x) => !x.same), same = rows.filter((x) => x.same);
    const p0 = o.release.params, p1 = r.params;
    return <><p class="mut sml">{differ.length} of {rows.length} pins differ</p>
      <table class="stack"><tbody>{(all ? rows : differ).map((x) => <tr key={x.k}><th scope="row" class="mut">{x.k}</th>
        <td class="wide why">{x.k === "Parameters" ? Object.keys({ ...p0, ...p1 }).filter((k) => p0[k] !== p1[k]).map((k) =>
          <div key={k}>{k} <del>{String(p0[k] ?? "–")}</del> → <ins>{String(p1[k] ?? "–")}</ins></div>)
          : x.same ? x.now : <><del>{x.old}</del> → <ins>{x.now}</ins></>}</td></tr>)}</tbody></table>
      {!all && <p class="note">Same: {same.map((x) => x.k.toLowerCase()).join(", ")}. <a href={withQuery({ pins: "all" })} data-replace>Show all {rows.length}</a></p>}</>;
  }}</Reading></Card>;
}

function Metrics({ r }: { r: Release }) {
  const keys = Object.keys(r.metrics.test ?? {}).filter((k) => k !== "bad" && k !== "rows");
  const history: ErrorHistory = { metric: r.metric, marks: [],
    points: (r.errors_by_day ?? []).map(([t, model, rule]) => ({ t, model, rule, rows: 1 })) };
  return <>
    {history.points.length > 0 && <Card title="Error by day on the test rows" note="never seen in training">
      <Timeline history={history} lanes={false} label="version" /></Card>}
    <Card title="Metrics"><Table flat rows={keys.map((k) => [k, r.metrics.valid?.[k], r.metrics.test?.[k], r.metrics.fallback?.[k]] as const)} cols={[
      ["Metric", ([k]) => k, "h"], ["Validation", ([, a, b, c]) => column([a, b, c])(a), "r"], ["Test", ([, a, b, c]) => column([a, b, c])(b), "r"],
      ["Rule, test", ([, a, b, c]) => column([a, b, c])(c), "r"],
      ["Test against the rule", ([k, , t, f]) => ["mae", "rmse", "mape"].includes(k) && t !== undefined && f ? percent(t / f - 1, true) : "–", "r"]]} /></Card></>;
}

/** The lineage the server knows, with the deployment that serves it. */
const useLineage = (name: string, version: string) => useLoad<Lineage>(`lineage:${name}/${version}`, async () => {
  const l = await get<Lineage>(`/api/v1/models/${enc(name)}/versions/${enc(version)}/lineage`);
  const deps = await get<{ deployments: Deployment[] }>("/api/v1/deployments").catch((e) => {
    if (e instanceof Failure) return { deployments: [] };
    throw e;
  });
  const own = l.nodes.find((n) => n.kind === "version"), run = l.nodes.find((n) => n.kind === "run");
  // What the release pins went through the run that made it.
  if (run) l.edges = l.edges.map(([a, b]) => a !== run.id && b.startsWith("release:") ? [a, run.id] : [a, b]);
  for (const d of deps.deployments)
    if (own && d.model === name && [d.champion_version, d.canary_version].includes(Number(own.label.split("/")[1]))
      && !l.nodes.some((n) => n.kind === "deployment")) {
      l.nodes.push({ id: `deployment:${d.name}`, kind: "deployment", label: d.name },
        { id: `monitor:${d.name}`, kind: "monitor", label: d.name });
      l.edges.push([own.id, `deployment:${d.name}`], [own.id, `monitor:${d.name}`]);
    }
  return l;
}, MODEL_TOPICS);

function Actions({ name, v, d, gated }: { name: string; v: Version; d: Deployment | undefined; gated: boolean }) {
  const judge = <ActButton label={v.gate ? "Judge again" : "Judge"} primary={!v.gate} act={{ title: `Judge v${v.version} by the gate`,
    path: `/api/v1/models/${enc(name)}/versions/${v.version}/gate` }} />;
  if (!d) return <>{judge}<span class="mut sml">No deployment is declared for this model.</span></>;
  if (d.canary_version === v.version)
    return <><ActButton label="Reject" danger act={simpleAct(d, "weight", `Reject v${v.version}: no traffic`, true, { weight: 0 })} />
      <ActButton label="Promote" primary act={promoteAct(d, v.version)} /></>;
  if (d.champion_version === v.version) return <>{judge}{d.previous_version !== null && <ActButton label="Roll back" danger act={rollbackAct(d)} />}</>;
  return <>{judge}{d.champion_version === null
    ? <ActButton label="Deploy" primary={gated} act={deployAct(d, v.version)} />
    : <><ActButton label="Start as canary" primary={gated} act={canaryAct(d, v.version)} />
      <ActButton label="Deploy at once" act={deployAct(d, v.version)} /></>}</>;
}

export function VersionPage({ name, version }: { name: string; version: string }) {
  usePage([["Models", "/models"], [name, href(["models", name])], [`v${version}`, null]], `slipway models show ${name} ${version}`);
  const one = useGet<VersionAnswer>(`/api/v1/models/${enc(name)}/versions/${enc(version)}`, MODEL_TOPICS);
  const model = useGet<Model>(`/api/v1/models/${enc(name)}?limit=1`, MODEL_TOPICS);
  const deps = useGet<{ deployments: Deployment[] }>("/api/v1/deployments", ["serve."]);
  const lineage = useLineage(name, version);
  const events = useGet<{ events: Event[] }>(`/api/v1/events?subject=${enc(name)}&limit=1000`, ["registry.", "serve."]);
  const last = model.data?.versions[0]?.version ?? 0, n = Number(version);
  useNeighbours([n - 1, n, n + 1].filter((x) => x > 0 && x <= last).map(String), version, (x) => href(["models", name, x]));
  const v = one.data?.version, r = one.data?.release ?? null;
  const g = gateOf(v?.gate);
  const aliases = v?.aliases ?? Object.entries(model.data?.aliases ?? {}).filter(([, n]) => n === v?.version).map(([a]) => a);
  const d = deps.data?.deployments.find((x) => x.model === name);
  const tab = place.value.query.get("tab") ?? "gate";
  const days = r?.errors_by_day ?? [];
  const vs = Number(place.value.query.get("vs")) || (g?.champion && g.champion !== v?.version ? g.champion : v && v.version > 1 ? v.version - 1 : null);
  const role = d && v ? d.champion_version === v.version && !d.withdrawn ? "champion" : d.canary_version === v.version ? `canary ${percent(d.canary_weight)}` : null : null;
  return <>
    <Head title={<>{name} v{v?.version ?? version} {role ? <Mark tone={role === "champion" ? "ok" : "info"}>{role}</Mark>
      : v && <Mark tone={gateTone(g?.verdict)}>{g?.verdict ?? "not judged"}</Mark>}</>}
    lead={v && <>{r && <>{r.candidate}, trained as of {day(r.as_of_ms)}. </>}{versionSentence(name, v, g, aliases)}</>}
    actions={v && <Actions name={name} v={v} d={d} gated={g?.verdict === "passed"} />} />
    <Tabs label="Version" at={tab} tabs={[["gate", "Gate", withQuery({ tab: null })], ["release", "Release", withQuery({ tab: "release" })],
      ["lineage", "Lineage", withQuery({ tab: "lineage" })], ["metrics", "Metrics", withQuery({ tab: "metrics" })],
      ["history", "History", withQuery({ tab: "history" })]]} />
    <Reading of={one} rows={6}>{(x) => {
      const map = <Card title="Lineage" note="each box opens its object"><Reading of={lineage}>{(l) =>
        <LineageMap of={l} own={`version:${name}/${x.version.version}`} />}</Reading></Card>;
      if (tab === "lineage") return map;
      if (tab === "release") return r ? <ReleaseCard name={name} version={x.version} r={r} />
        : <Card title="Release"><Empty>This version was registered from outside; it has no release document.</Empty></Card>;
      if (tab === "metrics") return r ? <Metrics r={r} /> : <Card title="Metrics"><Empty>See its <a href={href(["runs", x.version.run_id])}>run</a>.</Empty></Card>;
      if (tab === "history") return <Card title="History"><dl><dt>Made</dt><dd><Time ms={x.version.created_at_ms} />, {x.version.description}</dd>
        <dt>Run</dt><dd>{x.version.run_id ? <a href={href(["runs", x.version.run_id])}>{hash(x.version.run_id, 10)}</a> : "–"}</dd></dl>
        <Reading of={events}>{(e) => <EventRows events={e.events.filter((y) => [y.payload.version, y.payload.to, y.payload.from, y.payload.previous].includes(x.version.version)).reverse().slice(0, 100)} />}</Reading></Card>;
      return <><div class="g2">{g ? <GateCard g={g} days={days} rows={r?.split.test_rows ?? 0} />
        : <Card title="Gate"><Empty command={`slipway gate ${name}/${x.version.version}`}>It was not judged yet. The gate compares it with the rule and with the champion.</Empty></Card>}
      {g?.slices?.length ? <Slices g={g} /> : null}</div>
      {map}{r && vs ? <Changes name={name} r={r} vs={vs} /> : null}</>;
    }}</Reading>
  </>;
}
