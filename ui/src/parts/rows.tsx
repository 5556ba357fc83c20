/* Rows that several sections show: events, moving jobs, retrain runs. */
import { count, duration, percent, serverNow, toMs } from "../lib/format";
import { href } from "../lib/router";
import type { Event, Flow, Job } from "../lib/types";
import { eventWords, flowTone, triggerWords } from "../lib/words";
import { Time } from "./block";
import { ActButton } from "./dialog";
import { Icon, Mark } from "./mark";

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
      <span>{to ? <a href={to}>{e.subject}</a> : e.subject} <b>{what}</b>{why && <span class="mut"> {why}</span>}
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
  return <div class="tw"><table class="stack"><thead><tr>{model && <th>Model</th>}<th>Run</th><th>State</th>
    <th>Why started</th><th>Started</th><th class="r">Version</th><th>Outcome</th></tr></thead>
    <tbody>{flows.map((f) => <tr key={f.id}>
      {model && <td><a href={href(["models", f.model])}>{f.model}</a></td>}
      <td><a href={href(["flows", f.id])}>retrain {count(f.id)}</a></td>
      <td class="v"><Mark tone={flowTone(f.state, f.ended)}>{f.state.replace("_", " ")}</Mark></td>
      <td class="wide" data-l="started">{triggerWords(f.trigger)}</td><td><Time ms={f.started_at_ms} /></td>
      <td class="r" data-l="version">{f.version ? <a href={href(["models", f.model, f.version])}>v{f.version}</a> : "–"}</td>
      <td class="why wide">{f.reason}</td></tr>)}</tbody></table></div>;
}
