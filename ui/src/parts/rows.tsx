/* Rows that several sections show: events, moving jobs, retrain runs. */
import { count, duration, percent, serverNow, toMs } from "../lib/format";
import { href } from "../lib/router";
import type { Deployment, Event, Flow, Job } from "../lib/types";
import { eventWords, flowTone, triggerWords, v } from "../lib/words";
import { Time } from "./block";
import { ActButton } from "./dialog";
import { Icon, Mark } from "./mark";
import { Weights } from "./shapes";
import { Table } from "./table";

/** Where an event's subject is shown. */
export function eventLink(e: Event): string | null {
  const [room] = e.kind.split(".");
  const p = e.payload ?? {};
  if (room === "data") return href(p.version ? ["data", e.subject, p.version] : ["data", e.subject]);
  if (room === "features") return e.subject === "features" ? "/features" : href(["features", e.subject]);
  if (room === "registry" || room === "train") {
    const name = e.subject.split("/")[0]!;
    return href(p.version ? ["models", name, p.version] : ["models", name]);
  }
  if (room === "serve") return href(["deployments", e.subject]);
  if (room === "monitor") return href(["monitoring", e.subject]);
  if (room === "flow" && p.run) return href(["flows", p.run]);
  if (room === "flow") return "/flows";
  return null;
}

export function EventRows({ events }: { events: Event[] }) {
  return <ul class="ev">{events.map((e) => {
    const { tone, what, why } = eventWords(e.kind, e.payload ?? {});
    const to = eventLink(e);
    return <li key={e.id}><Time ms={toMs(e.at)} /><Icon tone={tone} />
      <span>{to ? <a href={to}>{e.subject}</a> : e.kind === "jobs.finished" ? `job ${e.subject}` : e.subject} <b>{what}</b>{why && <span class="mut"> {why}</span>}
        {e.who && <span class="mut"> by {e.who}</span>}</span></li>;
  })}</ul>;
}

/** A job with its progress and what is left of it. */
export function JobRow({ job, cancel }: { job: Job; cancel?: boolean }) {
  const ran = job.started_at_ms !== null ? serverNow() - job.started_at_ms : null;
  return <div class="job">
    <div><span><b>{job.kind}</b> {job.subject}{job.attempt > 1 && <span class="mut"> attempt {job.attempt} of {job.attempt_max}</span>}</span>
      <span>{job.state === "running" ? percent(job.progress) : job.state}</span></div>
    {job.state === "running" && <progress value={job.progress} max={1} aria-label={`${job.kind} ${job.subject}`} />}
    <div class="mut sml">{job.note}{ran !== null && ran > 1000 && job.state === "running" && ` · for ${duration(ran)}`}
      {job.error && <span class="badt"> {job.error}</span>}</div>
    {cancel && !job.ended_at_ms && <ActButton small label="Cancel" danger
      act={{ title: `Cancel job ${job.id}`, path: `/api/v1/jobs/${job.id}/cancel`, danger: true }} />}
  </div>;
}

export function FlowRows({ flows, model = true }: { flows: Flow[]; model?: boolean }) {
  return <Table rows={flows} cols={[model && ["Model", (f) => <a href={href(["models", f.model])}>{f.model}</a>],
    ["Run", (f) => <a href={href(["flows", f.id])}>retrain {count(f.id)}</a>],
    ["State", (f) => <Mark tone={flowTone(f.state, f.ended)}>{f.state.replace("_", " ")}</Mark>, "v"],
    ["Why started", (f) => triggerWords(f.trigger), "w"], ["Started", (f) => <Time ms={f.started_at_ms} />],
    ["Version", (f) => f.version ? <a href={href(["models", f.model, f.version])}>v{f.version}</a> : "–", "r"],
    ["Outcome", (f) => f.reason, "y"]]} />;
}

/** Who answers what share of a deployment. */
export function WeightBar({ d }: { d: Deployment }) {
  if (d.withdrawn || d.champion_version === null) return <Weights parts={[{ name: "the rule", share: 1, kind: "brule" }]} />;
  return <Weights parts={[{ name: v(d.champion_version), share: 1 - d.canary_weight, kind: "b1" },
    ...(d.canary_version !== null ? [{ name: v(d.canary_version), share: d.canary_weight, kind: "b2" }] : [])]} />;
}
