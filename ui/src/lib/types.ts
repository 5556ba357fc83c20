/* What the REST API answers, as far as the page reads it.  Times ending in _ms
   are milliseconds; `at` is ISO 8601. */

export interface Dataset {
  name: string; version: number; parent: number | null; hash: string;
  size: number; new_size: number; chunk_count: number;
  row_count: number; quarantined_count: number;
  event_min_ms: number | null; event_max_ms: number | null;
  known_at_ms: number; created_at_ms: number;
}

export interface Histogram { edges: number[]; counts: number[] }
export interface ColumnProfile {
  type: string; count: number; nulls: number; distinct: number;
  min?: number | string; max?: number | string; mean?: number; std?: number;
  quantiles?: Record<string, number>; histogram?: Histogram;
  top?: { value: string; count: number }[];
}
export interface Check {
  check: string; failed: number; on_fail: string; implied: boolean; examples: unknown[];
}
export interface SourceDefinition {
  name: string; entity?: string; event_time?: string; path?: string; expect?: string[];
}
export interface DatasetVersion extends Dataset {
  schema: { name: string; type: string }[];
  profile: { rows: number; columns: Record<string, ColumnProfile> };
  checks: Check[];
  source?: SourceDefinition;
}
export interface DatasetDiff {
  a: Dataset; b: Dataset;
  rows: { a: number; b: number; added: number; removed: number; changed: number };
  columns: { added: unknown[]; removed: unknown[]; retyped: unknown[] };
  psi: Record<string, number>;
  chunks: { shared: number; total: number };
}

export interface FeatureView {
  name: string; version: number; hash: string; updated_at_ms: number;
  materialized_at_ms: number | null; online_count: number;
  pins: Record<string, number>;
  columns: { name: string; type: string }[];
  definition: { entity: string; event_time: string; sql: string; ttl_ms: number;
    lags?: { of: string; count: number }[] };
}

export interface GateCheck {
  name: string; passed: boolean; skipped?: boolean;
  value?: number | null; limit?: number | null; p?: number | null; why: string;
}
export interface Gate {
  verdict: string; sentence: string; champion: number | null; confidence: number;
  checks: GateCheck[];
  slices?: { slice: string; rows: number; candidate: number;
    fallback?: number | null; champion?: number | null }[];
}
export interface Version {
  model: string; version: number; release: string | null; run_id: string;
  source: string; description: string; stage: string; status: string;
  created_at_ms: number; updated_at_ms: number;
  gate_verdict?: string; gate?: Gate | string | null;
  aliases?: string[]; tags?: Record<string, string>;
}
export interface ModelDefinition {
  features?: string[]; metric?: string; fallback?: { sql: string };
  target?: { of: string; sql: string };
  candidates?: Record<string, unknown>;
  gate?: { beats?: Record<string, number>; confidence?: number; p99_ms?: number };
}
export interface Model {
  name: string; definition: ModelDefinition | null;
  aliases: Record<string, number>; versions: Version[]; total: number;
}
export type Scores = Record<string, number>;
export interface Release {
  as_of_ms: number; candidate: string; metric: string; flavour: string; seed: number;
  code: Record<string, string>; engine: { name: string; version: string };
  datasets: Record<string, { hash: string; version: number }>;
  feature_hashes: Record<string, string>;
  features: { name: string; sql: string }[];
  params: Record<string, unknown>;
  metrics: { test?: Scores; valid?: Scores; fallback?: Scores };
  errors_by_day?: [number, number, number, ...number[]][];
  fallback: { sql: string }; frame_hash: string; model_blob: string; model_size: number;
  profile?: { blob: string; rows: number; from_ms: number; to_ms: number };
  run_id: string; signature: { columns: string[]; entity: string };
  split: Record<string, number>; target: { of: string; sql: string };
  thresholds?: Record<string, unknown>;
  [pin: string]: unknown;
}
export interface VersionAnswer { version: Version; release: Release | null }
export interface Lineage {
  nodes: { id: string; kind: string; label: string; hash?: string }[];
  edges: [string, string][];
}

export interface Deployment {
  name: string; model: string; state: string;
  champion: string | null; champion_version: number | null;
  canary: string | null; canary_version: number | null;
  previous: string | null; previous_version: number | null;
  shadow: string | null; shadow_version: number | null;
  canary_weight: number; rollout_step: number; withdrawn: boolean;
  revision: number; changed_at: string;
  definition: { rollout?: { canary: number; requests: number }[]; timeout_ms?: number;
    shadow?: string[] };
}
export interface DeploymentAct {
  at: string; action: string; from: number | null; to: number | null;
  weight: number; why: string; who?: string;
}
export interface DeploymentAnswer {
  deployment: Deployment; ready: boolean;
  since_change: { champion: number; canary: number; canary_failed: number; fallback: number };
  history: DeploymentAct[];
}
export interface LiveRow {
  name?: string; deployment?: string;
  requests_per_s?: number; p50_ms?: number; p99_ms?: number; errors_per_s?: number;
  fallback_share?: number;
}
export interface Prediction {
  id: string; key: string; at: string; event_time: string; release: string;
  served_by: string; prediction: number | null; model: number | null; rule: number | null;
  latency_us: number; label?: number | null; fallback_reason?: string;
}

export interface ColumnDrift {
  name: string; drifted: boolean; psi: number; p: number; adjusted_p: number;
  ks: number; ks_p: number; days: number; reference_days: number;
  nulls: number; reference_nulls: number; mean: number; reference_mean: number;
  edges: number[]; counts: number[]; reference_counts: number[];
}
export interface Window {
  deployment: string; from_ms: number; to_ms: number; judged_at_ms: number;
  release: string; version: number | null; verdict: string; rows: number; labelled: number;
  judged_columns: number; drifted_columns: number; alpha: number;
  columns: ColumnDrift[];
  performance: { metric: string; against: string; from_ms: number; to_ms: number;
    labelled: number; days: number; model: number | null; other: number | null;
    p: number | null; judged: boolean; worse: boolean };
  alerts: number[];
}
export interface MonitorDefinition {
  columns: string[]; drift?: { alpha: number; floor: number };
  every_ms: number; window_ms: number;
  performance?: { confidence: number; metric: string; min_labels: number;
    window_ms: number; worse_than: string };
}
export interface Monitor { name: string; definition: MonitorDefinition; open_alerts: Alert[] }
export interface MonitorAnswer { name: string; definition: MonitorDefinition; windows: Window[] }
export interface Alert {
  id: number; deployment: string; kind: string; state: string; reason: string;
  opened_at_ms?: number; raised_at_ms?: number; at_ms?: number; at?: string;
  acknowledged_by?: string | null; closed_at_ms?: number | null; [k: string]: unknown;
}

export interface FlowStep {
  step: string; at_ms: number; reason: string; detail?: Record<string, any>;
}
export interface Flow {
  id: number; model: string; deployment: string; trigger: string; state: string;
  ended: boolean; version: number | null; reason: string;
  started_at_ms: number; ended_at_ms: number | null;
  spec: Record<string, any>; steps?: FlowStep[];
}
export interface Decision {
  at_ms: number; model: string; trigger: string; fired: boolean; reason: string; run?: number;
}
export interface Job {
  id: number; kind: string; subject: string; state: string; progress: number;
  note: string; attempt: number; attempt_max: number;
  spec: any; result: any; error: string | null;
  created_at_ms: number; started_at_ms: number | null; ended_at_ms: number | null;
}
export interface Event {
  id: number; at: string; kind: string; subject: string;
  payload: Record<string, any>; hash: string; who?: string;
}

/* ---- the overview: one project's loop at a glance ---- */

/** The last verdict on a version, and its error beside the rule's. */
export interface GateFigures { version: number; verdict: string; passed: number; checks: number;
  error: number | null; rule_error: number | null; sentence?: string }
export interface Overview {
  now_ms: number;
  project: string;
  sources: { name: string; version: number | null; newest_ms: number | null;
    known_at_ms: number | null; fresh: boolean | null; fresh_ms?: number | null }[];
  features: { name: string; materialized_at_ms?: number | null; online_count?: number }[];
  models: { name: string; versions?: number; champion: number | null;
    challenger: number | null; gate?: GateFigures | null; champion_gate?: GateFigures | null }[];
  deployments: Deployment[];
  alerts: Alert[];
  running: Job[];
  flows: Flow[];
  windows: Record<string, Partial<Window> | null>;
  runs: number;
  events: Event[];
}

export interface ErrorPoint { t: number; model: number | null; rule: number | null; rows: number }
export interface Mark {
  kind: "alert" | "retrain" | "release" | "rollback" | "fallback";
  from: number; to: number | null; ref: string | null; reason: string;
}
export interface ErrorHistory { points: ErrorPoint[]; marks: Mark[]; metric: string }

/* ---- runs, in MLflow's words ---- */

export interface RunRow {
  id: string; name: string; experiment: string; status: string;
  start: number | null; end: number | null;
  values: Record<string, number | string | null>; // "metrics.mae", "params.depth", "tags.x"
}
