/* Runs as the list wants them: pages of rows that carry only the shown
   columns, sorted and counted by the server. */
import { get, post } from "./api";
import type { PageOf } from "./pages";
import { type Answer, type Search, SEARCH_MOST } from "./plots";
import type { RunRow } from "./types";

export interface RunQuery { q: string; sort: string; experiment: string; cols: string[] }

interface MlflowRun {
  info: { run_id: string; run_name: string; experiment_id: string; status: string;
    start_time: number; end_time?: number; lifecycle_stage?: string };
  data: { metrics?: { key: string; value: number; step: number; timestamp: number }[];
    params?: { key: string; value: string }[]; tags?: { key: string; value: string }[] };
  inputs?: { dataset_inputs?: { dataset: { name: string; digest: string } }[] };
}

export function fromMlflowRun(r: MlflowRun): RunRow {
  const values: RunRow["values"] = {};
  for (const m of r.data.metrics ?? []) values[`metrics.${m.key}`] = m.value;
  for (const p of r.data.params ?? []) values[`params.${p.key}`] = p.value;
  for (const t of r.data.tags ?? []) values[`tags.${t.key}`] = t.value;
  return { id: r.info.run_id, name: r.info.run_name, experiment: r.info.experiment_id,
    status: r.info.status, start: r.info.start_time ?? null, end: r.info.end_time || null, values };
}

/** A row of /api/v1/runs. */
interface NativeRun { id: string; name: string; experiment_id: string; status: string;
  started_at_ms: number; ended_at_ms: number | null; values: RunRow["values"] }

export async function runPage(query: RunQuery, offset: number, limit: number): Promise<PageOf<RunRow>> {
  const p = new URLSearchParams({ limit: String(limit), offset: String(offset) });
  const { q, sort, experiment, cols } = query;
  for (const [k, v] of Object.entries({ q, sort, experiment, cols: cols.join(",") })) if (v) p.set(k, v);
  const a = await get<{ total: number; runs: NativeRun[] }>(`/api/v1/runs?${p}`);
  return { total: a.total, rows: a.runs.map((r) => ({ id: r.id, name: r.name, experiment: r.experiment_id,
    status: r.status, start: r.started_at_ms, end: r.ended_at_ms, values: r.values })) };
}

/** The same by columns, of a whole search at once. */
export async function searchValues(q: RunQuery, most = SEARCH_MOST): Promise<Search> {
  const p = new URLSearchParams({ limit: String(most) });
  for (const [k, v] of Object.entries({ q: q.q, sort: q.sort, experiment: q.experiment, cols: q.cols.join(",") })) if (v) p.set(k, v);
  const a = await get<Answer>(`/api/v1/runs/values?${p}`);
  const made = new Map<number, RunRow>();
  return { ...a, row: (i) => {
    let r = made.get(i);
    if (!r) made.set(i, r = { id: a.ids[i]!, name: a.names[i]!, status: a.statuses[i]!, start: a.started_at_ms[i]!, end: a.ended_at_ms[i]!,
      experiment: String(a.experiment_ids[i]), values: Object.fromEntries(Object.entries(a.columns).map(([k, v]) => [k, v[i]!])) });
    return r;
  } };
}

/** The names of all metrics, parameters and tags. */
export const columnNames = async () => (await get<{ columns: string[] }>("/api/v1/runs/columns?limit=1000")).columns;

export interface Experiment { experiment_id: string; name: string; lifecycle_stage: string }
export async function experiments(): Promise<Experiment[]> {
  const a = await post<{ experiments?: Experiment[] }>("/api/2.0/mlflow/experiments/search", { max_results: 1000 });
  return a.experiments ?? [];
}

export interface RunDetail extends RunRow {
  metrics: { key: string; value: number; step: number; timestamp: number }[];
  inputs: { name: string; digest: string }[];
  deleted: boolean;
}
export async function run(id: string): Promise<RunDetail> {
  const a = await get<{ run: MlflowRun }>(`/api/2.0/mlflow/runs/get?run_id=${encodeURIComponent(id)}`);
  return { ...fromMlflowRun(a.run), metrics: a.run.data.metrics ?? [],
    inputs: (a.run.inputs?.dataset_inputs ?? []).map((d) => d.dataset), deleted: a.run.info.lifecycle_stage === "deleted" };
}
