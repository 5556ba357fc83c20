/* Flows: what is running and why; and why something did not run. */
import { useGet } from "../lib/api";
import { count, day, duration, num, percent, plural } from "../lib/format";
import { movingJobs } from "../lib/live";
import { useOverview } from "../lib/overview";
import { href } from "../lib/router";
import type { Decision, Flow, Job } from "../lib/types";
import { flowSentence, flowTone, triggerWords } from "../lib/words";
import { Card, Empty, Head, Reading, Time } from "../parts/block";
import { ActButton } from "../parts/dialog";
import { retrainAct } from "../parts/acts";
import { Icon, Mark } from "../parts/mark";
import { useNeighbours, usePage } from "../parts/page";
import { FlowRows, JobRow } from "../parts/rows";
import { Table } from "../parts/table";

const TOPICS = ["flow.", "job"];

function Decisions({ model, most = 30 }: { model: string | null; most?: number }) {
  const list = useGet<{ decisions: Decision[] }>(`/api/v1/decisions?limit=${most}${model ? `&model=${encodeURIComponent(model)}` : ""}`, ["flow."]);
  return <Card title="Rules" note="why a trigger fired, or did not"><Reading of={list} isEmpty={(d) => !d.decisions.length}
    empty={<Empty>No rule was asked yet. The <code>retrain:</code> section of the project file declares them: drift, performance, new_data, schedule, cooldown.</Empty>}>
    {(d) => {
      const latest = new Map<string, Decision>();
      for (const x of d.decisions) if (!latest.has(`${x.model} ${x.trigger}`)) latest.set(`${x.model} ${x.trigger}`, x);
      return <><dl>{[...latest.values()].map((x) => <><dt>{!model && `${x.model}, `}{x.trigger.replace("_", " ")}</dt><dd>{x.reason}</dd></>)}</dl><p />
        <Table rows={d.decisions} cols={[["When", (x) => <Time ms={x.at_ms} />], !model && ["Model", (x) => x.model, "l"], ["Rule", (x) => x.trigger.replace("_", " "), "l"],
          ["Fired", (x) => x.fired ? <Mark tone="info">fired</Mark> : <Mark tone="idle">no</Mark>, "v"],
          ["Reason", (x) => <>{x.reason}{x.run && <> <a href={href(["flows", x.run])}>retrain {x.run}</a></>}</>, "y"]]} /></>;
    }}</Reading></Card>;
}

export function FlowList({ model }: { model: string | null }) {
  usePage(model ? [["Flows", "/flows"], [model, null]] : [["Flows", null]], model ? `slipway flow list --model ${model}` : "slipway flow list");
  const list = useGet<{ flows: Flow[] }>(`/api/v1/flows?limit=200${model ? `&model=${encodeURIComponent(model)}` : ""}`, TOPICS);
  const jobs = useGet<{ jobs: Job[] }>("/api/v1/jobs?limit=30", ["job"]);
  const o = useOverview();
  const moving = list.data?.flows.filter((f) => !f.ended) ?? [];
  const models = model ? [model] : o.data?.models.map((m) => m.name) ?? [];
  return <>
    <Head title={model ? `Flows of ${model}` : "Flows"} lead={list.data && (moving.length ? `${plural(moving.length, "retrain is", "retrains are")} moving: ${moving.map((f) => `${f.model} (${f.state})`).join(", ")}.`
      : list.data.flows.length ? "Nothing is moving." : undefined)}
    actions={models.slice(0, 3).map((m) => <ActButton key={m} label={`Retrain ${m}`} act={retrainAct(m)} />)} />
    <Card title="Retrains"><Reading of={list} isEmpty={(d) => !d.flows.length}
      empty={<Empty command="slipway flow start NAME">No retrain has run yet. A rule starts one, or this:</Empty>}>{(d) => <FlowRows flows={d.flows} model={!model} />}</Reading></Card>
    <Decisions model={model} />
    <Card title="Jobs" note="newest first"><Reading of={jobs} isEmpty={(d) => !d.jobs.length} empty={<Empty>No job has run yet.</Empty>}>
      {(d) => <>{d.jobs.slice(0, 12).map((j) => <JobRow key={j.id} job={movingJobs.value[j.id] ?? j} cancel />)}</>}</Reading></Card>
  </>;
}

const NEXT = ["snapshot", "train", "gate", "canary", "promote"];

function Steps({ f, job }: { f: Flow; job: Job | null }) {
  const steps = f.steps ?? [];
  const seen = new Set(steps.map((s) => s.step));
  const waiting = f.ended ? [] : NEXT.filter((s) => !seen.has(s) && NEXT.indexOf(s) >= NEXT.indexOf(f.state));
  return <ul class="steps">{steps.map((s, i) => {
    const last = i === steps.length - 1;
    const tone = last && f.state === "failed" ? "bad" : last && ["refused", "rolled_back"].includes(f.state) ? "warn" : "ok";
    const before = steps[i - 1];
    return <li key={i}><Icon tone={tone} /><h3>{s.step} <span class="mut"><Time ms={s.at_ms} />{before && s.at_ms > before.at_ms && `, ${duration(s.at_ms - before.at_ms)} after the step before`}</span></h3>
      <div>{s.reason}</div></li>;
  })}
  {waiting.map((s, i) => <li key={s}><Icon tone={i === 0 ? "info" : "idle"} /><h3>{s}</h3>
    {i === 0 ? job ? <JobRow job={job} /> : <div class="mut">now: {f.reason}</div> : <div class="mut">to come</div>}</li>)}</ul>;
}

interface Candidate { candidate: string; trials: number; run_id: string; chosen: boolean; note: string; seconds: number;
  valid?: Record<string, number>; test?: Record<string, number> }

function Search({ table }: { table: Candidate[] }) {
  return <Card title="The search behind it" note="chosen by validation; the test rows only judge"><Table rows={table} cols={[
    ["Candidate", (c) => <>{c.run_id ? <a href={href(["runs", c.run_id])}>{c.candidate}</a> : c.candidate} <span class="mut">{c.note}</span></>],
    ["Trials", (c) => count(c.trials), "r"], ["Validation MAE", (c) => num(c.valid?.mae), "r"], ["Test MAE", (c) => num(c.test?.mae), "r"],
    ["R²", (c) => num(c.test?.r2, 3), "r"], ["Time", (c) => c.seconds ? duration(c.seconds * 1000) : "–", "r"],
    ["Choice", (c) => c.chosen && <Mark tone="ok">chosen</Mark>, "v"]]} /></Card>;
}

export function FlowPage({ id }: { id: string }) {
  const one = useGet<Flow>(`/api/v1/flows/${id}`, TOPICS);
  const f = one.data;
  const list = useGet<{ flows: Flow[] }>("/api/v1/flows?limit=200", TOPICS);
  usePage([["Flows", "/flows"], ...(f ? [[f.model, href(["flows", f.model])] as [string, string]] : []), [`retrain ${id}`, null]], `slipway flow show ${id}`);
  useNeighbours(list.data?.flows.map((x) => String(x.id)).reverse() ?? [], id, (x) => href(["flows", x]));
  const jobs = useGet<{ jobs: Job[] }>(f && !f.ended ? `/api/v1/jobs?subject=${encodeURIComponent(f.model)}&limit=10` : null, ["job"]);
  const row = jobs.data?.jobs.find((j) => j.spec?.run === f?.id && !j.ended_at_ms) ?? null;
  const job = row ? movingJobs.value[row.id] ?? row : null;
  const table = f?.steps?.map((s) => s.detail?.table).find(Array.isArray) as Candidate[] | undefined;
  return <>
    <Head title={<>{f ? `${f.model}, retrain ${f.id}` : `Retrain ${id}`} {f && <Mark tone={flowTone(f.state, f.ended)}>{f.state.replace("_", " ")}{job && ` ${percent(job.progress)}`}</Mark>}</>}
      lead={f && flowSentence(f)} actions={f && <>
        {job && <ActButton label="Cancel" danger act={{ title: `Cancel job ${job.id}`, path: `/api/v1/jobs/${job.id}/cancel`, danger: true }} />}
        <ActButton label="Retrain again" act={retrainAct(f.model)} /></>} />
    <Reading of={one} rows={6}>{(x) => <div class="g2"><Card title="Steps" note={!x.ended_at_ms ? "under way" : x.ended_at_ms > x.started_at_ms ? `took ${duration(x.ended_at_ms - x.started_at_ms)}` : undefined}><Steps f={x} job={job} /></Card>
      <Card title="This run"><dl><dt>Model</dt><dd><a href={href(["models", x.model])}>{x.model}</a></dd>
        {x.version ? <><dt>Version</dt><dd><a href={href(["models", x.model, x.version])}>v{x.version}</a></dd></> : null}
        <dt>Started</dt><dd><Time ms={x.started_at_ms} /> {triggerWords(x.trigger)}</dd>
        {x.spec?.as_of_ms && <><dt>Data known</dt><dd>as of {day(x.spec.as_of_ms)}</dd></>}
        {x.spec?.pins && <><dt>Pinned</dt><dd>{Object.entries(x.spec.pins as Record<string, number>).map(([k, n]) => <a key={k} href={href(["data", k, n])}>{k} v{n} </a>)}</dd></>}
        <dt>Ends with</dt><dd>{x.spec?.until ?? "promote"}</dd></dl></Card></div>}</Reading>
    {table && <Search table={table} />}
    {f && <Decisions model={f.model} most={20} />}
  </>;
}
