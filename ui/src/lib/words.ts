/* The sentences.  Each page opens with one that a product owner understands,
   made of facts by the fixed templates here and nowhere else.  Pure functions:
   tests/page/words.test.mjs holds them to their words. */
import { pairedByDay } from "./facts";
import { day, num, percent, plural } from "./format";
import type {
  Alert, Dataset, Deployment, ErrorHistory, ErrorPoint, Flow, Gate, GateCheck, Model, Overview,
  RunRow, Window,
} from "./types";

export type Tone = "ok" | "warn" | "bad" | "info" | "idle";

const and = (list: string[]) => list.length < 2 ? list.join("")
  : `${list.slice(0, -1).join(", ")} and ${list[list.length - 1]}`;
const big = (text: string) => /^v\d/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);

/** "v7", or "the rule" where no version answers. */
export const v = (version: number | null | undefined) =>
  version === null || version === undefined ? "the rule" : `v${version}`;

/* ---- deployments ---- */

export function deploymentTone(d: Deployment): Tone {
  if (d.withdrawn) return "bad";
  if (d.champion_version === null) return "idle";
  return d.canary_version !== null ? "info" : "ok";
}

export function deploymentWord(d: Deployment): string {
  if (d.withdrawn) return "on the rule";
  if (d.champion_version === null) return d.state === "empty" ? "the rule answers" : d.state;
  if (d.canary_version !== null)
    return `canary ${v(d.canary_version)} ${percent(d.canary_weight)}`;
  return `${v(d.champion_version)} 100 %`;
}

/** Who answers: "v7 answers 90 %, v8 10 % of the keys". */
export function whoAnswers(d: Deployment): string {
  if (d.withdrawn) return `the rule answers every request, as ${v(d.champion_version)} was withdrawn`;
  if (d.champion_version === null) return "the rule answers every request, as no version is deployed";
  if (d.canary_version !== null)
    return `${v(d.champion_version)} answers ${percent(1 - d.canary_weight)}, ` +
      `${v(d.canary_version)} as canary ${percent(d.canary_weight)} of the keys`;
  return `${v(d.champion_version)} answers every request`;
}

/** The served error against the rule's, over the points that know both. */
export function againstRule(points: ErrorPoint[]):
    { model: number; rule: number; rows: number; ratio: number } | null {
  let model = 0, rule = 0, rows = 0;
  for (const p of points) {
    if (p.model === null || p.rule === null) continue;
    const n = p.rows || 1;
    model += p.model * n; rule += p.rule * n; rows += n;
  }
  if (!rows || !rule) return null;
  return { model: model / rows, rule: rule / rows, rows, ratio: model / rule - 1 };
}

/** The points since who answers changed last: what was served before says
    nothing about who serves now. */
export function sinceChange(h: ErrorHistory | undefined): ErrorPoint[] {
  if (!h) return [];
  const changes = h.marks.filter((m) => m.kind === "release" || m.kind === "rollback").map((m) => m.from);
  const from = changes.length ? Math.max(...changes) - 86400e3 : -Infinity;
  return h.points.filter((p) => p.t >= from && p.model !== null && p.rule !== null).slice(-60);
}

/** How well it serves, no surer than the days allow. */
export function howWell(points: ErrorPoint[]): string {
  if (!points.length) return "is serving; how well is not known until labels come";
  const d = pairedByDay(points.map((p) => [p.t, p.model!, p.rule!]), 1, 2);
  if (!d) return `is serving; ${plural(points.length, "day")} with labels are too few to judge it`;
  if (d.mid + d.half < 0) return "is serving and better than its rule";
  if (d.mid - d.half > 0) return "is serving, but worse than its rule";
  return `is serving, no better and no worse than its rule as far as ${plural(points.length, "day")} show`;
}

/** "3.1 % below the rule". */
export function belowRule(ratio: number): string {
  if (Math.abs(ratio) < 0.0005) return "equal to the rule's";
  return `${percent(Math.abs(ratio))} ${ratio < 0 ? "below" : "above"} the rule`;
}

/** The first sentence about one deployment. */
export function deploymentSentence(d: Deployment, history?: ErrorHistory,
  window?: Window): string {
  const said = [whoAnswers(d)];
  const error = againstRule(sinceChange(history));
  if (error && d.champion_version !== null && !d.withdrawn)
    said.push(`its error is ${belowRule(error.ratio)} over ` +
      `${plural(error.rows, "labelled prediction")} since it serves`);
  if (window) said.push(driftPhrase(window));
  return `${big(said.join("; "))}.`;
}

/* ---- overview ---- */

/** Deployments, the worst first. */
export function worstFirst(list: Deployment[], alerts: Alert[]): Deployment[] {
  const weight = (d: Deployment) => (d.withdrawn ? 0 : 4)
    + (alerts.some((a) => a.deployment === d.name) ? 0 : 2)
    + (d.champion_version === null ? 1 : 0);
  return [...list].sort((a, b) => weight(a) - weight(b) || (a.name < b.name ? -1 : 1));
}

export function overviewSentence(o: Overview, errors: Record<string, ErrorHistory>): string {
  if (!o.deployments.length) {
    if (!o.models.length) return "Nothing is declared yet. A project file starts the loop.";
    return `${plural(o.models.length, "model is", "models are")} declared, none is deployed yet.`;
  }
  const said: string[] = [];
  for (const d of worstFirst(o.deployments, o.alerts)) {
    if (d.withdrawn) said.push(`${d.name} is on the rule: ${v(d.champion_version)} was withdrawn`);
    else if (d.champion_version === null)
      said.push(`${d.name} is answered by the rule, as no version is deployed`);
    else {
      const points = sinceChange(errors[d.name]), e = againstRule(points);
      said.push(`${d.name} ${howWell(points)}: ${whoAnswers(d)}` + (e ? `, error ${belowRule(e.ratio)}` : ""));
    }
  }
  const head = said.slice(0, 2).map((s) => `${s}.`).join(" ");
  const more = said.length > 2 ? ` ${plural(said.length - 2, "more deployment")}.` : "";
  const n = o.alerts.length;
  const alerts = n ? ` ${plural(n, "alert is", "alerts are")} open.` : " No alert is open.";
  return head + more + alerts;
}

/** What asks for attention, the gravest first. */
export interface Call { tone: Tone; text: string; to: string; action: string }

export function calls(o: Overview): Call[] {
  const list: Call[] = [];
  for (const d of o.deployments)
    if (d.withdrawn)
      list.push({ tone: "bad", text: `${d.name}: ${v(d.champion_version)} was withdrawn and the rule answers until a version is put back.`,
        to: `/deployments/${d.name}`, action: `Open ${d.name}` });
  for (const a of o.alerts)
    list.push({ tone: "warn", text: `${a.deployment}, ${a.kind}: ${a.reason}${
      a.acknowledged_by ? ` (taken on by ${a.acknowledged_by})` : ""}`,
      to: `/monitoring/${a.deployment}`, action: "Look at it" });
  for (const m of o.models) {
    if (m.challenger === null) continue;
    const g = m.gate && m.gate.version === m.challenger ? m.gate : null;
    const d = o.deployments.find((x) => x.model === m.name);
    if (d?.canary_version === m.challenger) continue; // it is being tried out
    if (g?.verdict === "refused") continue;           // decided already
    list.push({ tone: "info", text: `${m.name} v${m.challenger} waits for a decision` +
      (g ? `: ${g.passed} of ${g.checks} checks passed.` : ": it was not judged yet."),
      to: `/models/${m.name}/${m.challenger}`, action: `Review v${m.challenger}` });
  }
  for (const f of o.flows)
    if (f.state === "failed")
      list.push({ tone: "warn", text: `The last retrain of ${f.model} failed: ${f.reason}`,
        to: `/flows/${f.id}`, action: "Why" });
  const order: Tone[] = ["bad", "warn", "info"];
  return list.sort((a, b) => order.indexOf(a.tone) - order.indexOf(b.tone));
}

/* ---- data ---- */

export function datasetSentence(d: Dataset, fresh: boolean | null, failed: number): string {
  const known = `Version ${d.version} has ${plural(d.row_count, "row")}` +
    (d.event_max_ms ? ` from ${day(d.event_min_ms)} to ${day(d.event_max_ms)}` : "");
  const state = fresh === null ? "" : fresh ? "; it is fresh" : "; it is older than its limit allows";
  const checks = failed ? `; ${plural(failed, "expectation is", "expectations are")} not met`
    : "; every expectation is met";
  const quarantined = d.quarantined_count
    ? `; ${plural(d.quarantined_count, "row is", "rows are")} in quarantine` : "";
  return `${known}${state}${checks}${quarantined}.`;
}

/* ---- models ---- */

export const gateOf = (g: Gate | string | null | undefined): Gate | null => {
  if (!g) return null;
  if (typeof g !== "string") return g;
  try { return JSON.parse(g) as Gate; } catch { return null; }
};

export const judged = (g: Gate) => g.checks.filter((c) => !c.skipped);
export const passed = (g: Gate) => judged(g).filter((c) => c.passed).length;

/** "6 of 7", or that it was not judged. */
export const gateCount = (g: Gate | null) =>
  g ? `${passed(g)} of ${judged(g).length}` : "not judged";

export function gateTone(verdict: string | null | undefined): Tone {
  return verdict === "passed" ? "ok" : verdict === "refused" ? "bad"
    : verdict ? "warn" : "idle";
}

export type Verdict = { tone: Tone; word: string };

/** pass, fail or unproven: better on the test rows, but not shown. */
export function checkVerdict(c: GateCheck): Verdict {
  if (c.skipped) return { tone: "idle", word: "not asked" };
  if (c.passed) return { tone: "ok", word: "pass" };
  if (c.p !== null && c.p !== undefined && typeof c.value === "number"
    && typeof c.limit === "number" && c.value < c.limit)
    return { tone: "warn", word: "unproven" };
  return { tone: "bad", word: "fail" };
}

export function versionSentence(name: string, ver: { version: number; description: string },
  gate: Gate | null, aliases: string[]): string {
  const role = aliases.includes("champion") ? "It is the champion. "
    : aliases.includes("challenger") ? "It is the challenger. " : "";
  if (!gate) return `${role}${name} ${v(ver.version)} was not judged by the gate yet.`;
  const failed = gate.checks.filter((c) => !c.skipped && !c.passed);
  const n = judged(gate).length;
  if (!failed.length)
    return `${role}It passed all ${n} checks of the gate: ${gate.checks[0]?.why ?? ""}.`;
  return `${role}It passed ${passed(gate)} of ${n} checks: ${and(failed.map((c) => c.why))}.`;
}

export function modelSentence(m: Model): string {
  const champion = m.aliases.champion, challenger = m.aliases.challenger;
  if (!m.total) return "No version yet.";
  const parts = [champion === undefined ? "No champion: the rule answers" : `v${champion} is the champion`];
  if (challenger !== undefined && challenger !== champion) parts.push(`v${challenger} the challenger`);
  return `${parts.join(", ")}; ${plural(m.total, "version")} in all.`;
}

/** How many rows would decide an unproven difference, from the interval. */
export function rowsToDecide(mean: number, half: number, rows: number): number | null {
  if (!mean || half <= Math.abs(mean)) return null;
  return Math.ceil(rows * (half / mean) ** 2);
}

/* ---- monitoring ---- */

export function windowTone(w: Window): Tone {
  if (w.performance?.worse) return "bad";
  if (w.drifted_columns > 0 || w.verdict === "drift") return "warn";
  return w.labelled === 0 ? "idle" : "ok";
}
export const windowSign = (w: Window) => w.performance?.worse ? "■"
  : w.drifted_columns > 0 ? "▲" : w.labelled === 0 ? "–" : "·";
export const windowWord = (w: Window) => w.performance?.worse ? "lost performance"
  : w.drifted_columns > 0 ? "drift" : w.labelled === 0 ? "quiet, labels unknown" : "quiet";

export function driftPhrase(w: Window): string {
  const n = w.drifted_columns;
  if (!n) return `none of ${plural(w.judged_columns, "column")} drifts`;
  const names = w.columns.filter((c) => c.drifted).map((c) => c.name);
  const shown = names.slice(0, 3);
  return `${n} of ${plural(w.judged_columns, "column")} ${n === 1 ? "drifts" : "drift"} (` +
    and(names.length > 3 ? [...shown, `${names.length - 3} more`] : shown) + ")";
}

export function windowSentence(w: Window): string {
  const p = w.performance;
  const perf = !p || p.model === null || p.other === null
    ? "labels are not yet known, so the error is not either"
    : `the error ${num(p.model)} is ${p.worse ? "shown to be worse than" :
      p.model <= p.other ? "below" : "above, but not shown to be worse than,"} ` +
      `${num(p.other)} of the ${p.against === "fallback" ? "rule" : p.against}` +
      ` over ${plural(p.labelled, "labelled prediction")}`;
  return `${big(driftPhrase(w))} in the last window of ${plural(w.rows, "row")}; ${perf}.`;
}

/* ---- flows ---- */

export function flowTone(state: string, ended: boolean): Tone {
  if (state === "promoted" || state === "trained") return "ok";
  if (state === "failed") return "bad";
  if (["refused", "rolled_back", "cancelled", "superseded"].includes(state)) return "warn";
  return ended ? "idle" : "info";
}

const TRIGGER: Record<string, string> = {
  manual: "by hand", new_data: "by new data", drift: "by drift", performance: "by lost performance",
  schedule: "by schedule",
};
export const triggerWords = (t: string) => TRIGGER[t] ?? `by ${t}`;

export const flowSentence = (f: Flow) =>
  `Started ${triggerWords(f.trigger)}${f.spec?.reason ? ` (${f.spec.reason})` : ""}; ` +
  `${f.ended ? f.state.replace("_", " ") : `now: ${f.state}`}: ${f.reason}.`;

/* ---- runs ---- */

export function runSentence(r: RunRow, shown: string | null): string {
  const state: Record<string, string> = { FINISHED: "finished", RUNNING: "is running",
    FAILED: "failed", KILLED: "was stopped", SCHEDULED: "is scheduled" };
  const value = shown ? r.values[`metrics.${shown}`] : undefined;
  return `${r.name || r.id} ${state[r.status] ?? r.status.toLowerCase()}` +
    (typeof value === "number" ? ` with ${shown} ${num(value)}` : "") + ".";
}

/* ---- events ---- */

/** Words for kinds whose own name does not say it; tones by what they mean. */
const EVENT: Record<string, string> = {
  "data.source_put": "source declared", "data.version_added": "new data version",
  "features.view_put": "feature view declared", "train.model_put": "model declared",
  "registry.version_added": "version registered", "registry.alias_set": "alias moved",
  "registry.gated": "gate judged", "serve.canaried": "canary started", "serve.weighted": "weight set",
  "serve.withdrawn": "withdrawn, the rule answers", "flow.run_started": "retrain started",
  "flow.run_moved": "retrain goes on", "flow.run_ended": "retrain ended", "flow.decided": "trigger asked",
};
const TONES: [Tone, RegExp][] = [
  ["bad", /withdrawn|failed|BROKEN/], ["warn", /rolled_back|alert$/],
  ["ok", /version_added|materialized|deployed|promoted|restored|run_ended|trained|reproduced|closed/],
  ["info", /alias_set|gated|canaried|weighted|shadowed|run_started|run_moved|acknowledged/],
];

/** An event in a mark, a word and what is known about why. */
export function eventWords(kind: string, payload: Record<string, any>):
    { tone: Tone; what: string; why: string } {
  let tone = TONES.find(([, of]) => of.test(kind))?.[0] ?? "idle";
  let what = EVENT[kind] ?? (kind.split(".")[1] ?? kind).replace(/_/g, " ");
  if (kind === "flow.decided" && payload.fired) { tone = "info"; what = "trigger fired"; }
  if (kind === "jobs.finished") {
    what = `${payload.kind ?? ""} ${payload.state ?? "ended"}`;
    if (payload.state === "failed") tone = "bad";
  }
  if (/fail|refus/.test(String(payload.state ?? payload.verdict ?? ""))) tone = tone === "bad" ? "bad" : "warn";
  const why = payload.why ?? payload.reason ?? payload.sentence ??
    (kind === "data.version_added" ? `version ${payload.version}, ${plural(payload.rows ?? 0, "row")}`
      : kind === "registry.alias_set" ? `${payload.alias}: ${payload.previous ? `v${payload.previous} → ` : ""}v${payload.version}`
        : payload.version !== undefined ? `v${payload.version}` : "");
  return { tone, what, why: String(why) };
}
