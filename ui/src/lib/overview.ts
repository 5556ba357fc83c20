/* One project's loop at a glance, for the overview, the navigation's counts
   and Find: one request, shared by all of them. */
import { get, type Read, useLoad } from "./api";
import { toMs } from "./format";
import type {
  Alert, Deployment, DeploymentAnswer, ErrorHistory, Event, FeatureView, Flow, Job, Mark, Overview, Window,
} from "./types";
import { href } from "./router";

const TOPICS = ["data.", "features.", "train.", "registry.", "serve.", "monitor.", "flow.", "job"];

/** The server's answer, with what it leaves out made explicit. */
function whole(raw: any): Overview {
  return {
    project: raw.project ?? "", sources: raw.sources ?? [], features: raw.features ?? [],
    models: (raw.models ?? []).map((m: any) => ({ ...m, champion: m.champion ?? null, challenger: m.challenger ?? null })),
    deployments: (raw.deployments ?? []) as Deployment[],
    alerts: (raw.alerts ?? []) as Alert[], running: (raw.running ?? []) as Job[],
    flows: (raw.flows ?? []) as Flow[], runs: raw.runs?.total ?? raw.runs ?? raw.sentence_facts?.runs ?? null,
    events: (raw.events ?? []) as Event[],
  };
}

export const useOverview = (): Read<Overview> =>
  useLoad("overview", async () => whole(await get("/api/v1/overview")), TOPICS);

/* ---- error over time ---- */

interface RawPoint { t?: number; t_ms?: number; model_error: number | null; rule_error: number | null; rows: number }
interface RawMark { kind: Mark["kind"]; from: number | string; to?: number | string | null; ref?: any; reason?: string; from_ms?: number; to_ms?: number }

/** Where a mark leads. */
function refOf(kind: Mark["kind"], deployment: string, ref: any): string | null {
  if (typeof ref === "string" && ref.startsWith("/")) return ref;
  const id = typeof ref === "object" && ref ? ref.id ?? ref.version ?? ref.run : ref;
  if (kind === "retrain" && id !== undefined && id !== null) return href(["flows", String(id).replace(/\D+/g, "")]);
  if (kind === "alert") return href(["monitoring", deployment]);
  if (kind === "release" && id !== undefined && id !== null) {
    const n = String(id).split(/[/@v]/).pop() ?? "";
    if (/^\d+$/.test(n)) return href(["models", deployment, n]);
  }
  return href(["deployments", deployment]);
}

export async function errorHistory(name: string): Promise<ErrorHistory> {
  const raw = await get<{ points?: RawPoint[]; days?: RawPoint[]; marks?: RawMark[]; lanes?: RawMark[]; metric?: string }>(
    `/api/v1/deployments/${encodeURIComponent(name)}/error?points=800`);
  return {
    metric: raw.metric ?? "error",
    points: (raw.points ?? raw.days ?? []).map((p) => ({ t: p.t ?? p.t_ms ?? 0,
      model: p.model_error ?? null, rule: p.rule_error ?? null, rows: p.rows ?? 0 })),
    marks: (raw.marks ?? raw.lanes ?? []).map((m) => ({ kind: m.kind, from: m.from_ms ?? toMs(m.from) ?? 0,
      to: m.to_ms ?? toMs(m.to) ?? null, ref: refOf(m.kind, name, m.ref), reason: m.reason ?? "" })),
  };
}

export const useErrorHistory = (name: string | null): Read<ErrorHistory> =>
  useLoad(`error:${name}`, async () => name ? errorHistory(name) : { points: [], marks: [], metric: "" },
    ["serve.", "monitor.", "flow.run", "registry.alias"]);

/* ---- a deployment ---- */

export const useDeployment = (name: string): Read<DeploymentAnswer> =>
  useLoad(`deployment:${name}`, () => get(`/api/v1/deployments/${encodeURIComponent(name)}`), ["serve.", "registry.alias"]);

/** The error by window, where days are not known: oldest first. */
export const fromWindows = (windows: Window[]): ErrorHistory => ({
  metric: windows[0]?.performance?.metric ?? "error", marks: [],
  points: windows.filter((w) => w.performance?.model !== null).map((w) => ({ t: w.to_ms,
    model: w.performance.model, rule: w.performance.other, rows: w.performance.labelled })).reverse(),
});

export type { FeatureView };
