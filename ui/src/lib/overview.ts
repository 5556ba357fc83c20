/* One project's loop at a glance, for the overview, the navigation's counts
   and Find: one request, shared by all of them. */
import { get, type Read, useLoad } from "./api";
import { serverClock } from "./format";
import type { DeploymentAnswer, ErrorHistory, Mark, Overview, Window } from "./types";
import { href } from "./router";

const TOPICS = ["data.", "features.", "train.", "registry.", "serve.", "monitor.", "flow.", "job", "clock"];

/** The server's time comes with it: a clock days away from ours was set by hand
    and stands still. */
async function overview(): Promise<Overview> {
  const o = await get<Overview>("/api/v1/overview");
  const offset = o.now_ms - Date.now();
  serverClock.value = { offset, manual: Math.abs(offset) > 86400e3 ? o.now_ms : null };
  return o;
}

export const useOverview = (): Read<Overview> => useLoad("overview", overview, TOPICS);

/* ---- error over time ---- */

interface Answer {
  metric: string;
  points: { t: number; model_error: number | null; rule_error: number | null; rows: number }[];
  marks: { kind: Mark["kind"]; from: number; to: number | null; ref: string; reason: string }[];
}

/** Where a mark leads: `ref` is an alert, a retrain or a version. */
const refOf = (kind: Mark["kind"], name: string, ref: string): string =>
  kind === "retrain" ? href(["flows", ref]) : href([kind === "alert" ? "monitoring" : "deployments", name]);

export async function errorHistory(name: string): Promise<ErrorHistory> {
  const raw = await get<Answer>(`/api/v1/deployments/${encodeURIComponent(name)}/error?points=800`);
  return { metric: raw.metric,
    points: raw.points.map((p) => ({ t: p.t, model: p.model_error, rule: p.rule_error, rows: p.rows })),
    marks: raw.marks.map((m) => ({ ...m, ref: refOf(m.kind, name, m.ref) })) };
}

export const useErrorHistory = (name: string): Read<ErrorHistory> =>
  useLoad(`error:${name}`, () => errorHistory(name), ["serve.", "monitor.", "flow.run", "registry.alias"]);

/* ---- a deployment ---- */

export const useDeployment = (name: string): Read<DeploymentAnswer> =>
  useLoad(`deployment:${name}`, () => get(`/api/v1/deployments/${encodeURIComponent(name)}`), ["serve.", "registry.alias"]);

/** The error by window, where days are not known: oldest first. */
export const fromWindows = (windows: Window[]): ErrorHistory => ({
  metric: windows[0]?.performance?.metric ?? "error", marks: [],
  points: windows.filter((w) => w.performance?.model !== null).map((w) => ({ t: w.to_ms,
    model: w.performance.model, rule: w.performance.other, rows: w.performance.labelled })).reverse(),
});
