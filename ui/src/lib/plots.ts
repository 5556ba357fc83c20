/* What drawings of runs ask the server for, and their state in the address:
   which axis, which range, what is smoothed, which part of a search is meant. */
import type { RunRow } from "./types";

/* ---- histories ---- */

export type Axis = "step" | "time" | "relative";
export interface Drawing { axis: Axis; smooth: number; log: string[]; range: [number, number] | null; picked: string[] }

export const list = (q: URLSearchParams, key: string) => (q.get(key) ?? "").split(",").filter(Boolean);

export function drawingOf(q: URLSearchParams): Drawing {
  const axis = q.get("x"), from = Number(q.get("from") ?? NaN), to = Number(q.get("to") ?? NaN);
  const smooth = Number(q.get("smooth") ?? 0);
  return { axis: axis === "time" || axis === "relative" ? axis : "step",
    smooth: smooth > 0 && smooth < 1 ? smooth : 0, log: list(q, "log"), picked: list(q, "pick"),
    range: from < to ? [Math.round(from), Math.round(to)] : null };
}

export interface History {
  id: string; total: number; shown: number; nan: number; above: number; below: number; hidden: number;
  from: number; to: number; x: number[]; y: number[]; smooth?: { x: number[]; y: number[] };
  breaks: [number, number, number, number][];
}

/** As many pixels as are there; fewer a curve where there are many. */
export const pixels = (width: number, runs: number) =>
  Math.max(40, Math.min(Math.ceil(width / 100) * 100, 4000, Math.round(2000 / Math.max(1, runs))));

export function historyPath(ids: string[], metric: string, d: Drawing, width: number): string {
  const p = new URLSearchParams({ metric, points: String(pixels(width, ids.length)), x: d.axis });
  for (const id of ids) p.append("run", id);
  if (d.range) { p.set("from", String(d.range[0])); p.set("to", String(d.range[1])); }
  if (d.smooth) p.set("smooth", String(d.smooth));
  if (d.log.includes(metric)) p.set("log", "1");
  return `/api/v1/runs/history?${p}`;
}

/* ---- values of a search ---- */

export const SEARCH_MOST = 10_000;
export const AXES_MOST = 8;
type Value = number | string | null;
export interface Answer { total: number; ids: string[]; names: string[]; statuses: string[]; started_at_ms: (number | null)[];
  ended_at_ms: (number | null)[]; experiment_ids: number[]; columns: Record<string, Value[]> }
export interface Search extends Answer { row: (i: number) => RunRow }

/** Those runs of a search that `keep` keeps. */
export function only(s: Search, keep: (i: number) => boolean): Search {
  const at = s.ids.map((_, i) => i).filter(keep), of = <T,>(l: T[]) => at.map((i) => l[i]!);
  return { ...s, ids: of(s.ids), names: of(s.names), statuses: of(s.statuses), columns: Object.fromEntries(Object.entries(s.columns).map(([k, v]) => [k, of(v)])),
    row: (i) => s.row(at[i]!) };
}

/* ---- axes of values ---- */

/** An axis: where each value lies between 0 and 1, and back.  Values that are
    all numbers are a scale, others are words in order. */
export interface ValueAxis {
  key: string; name: string; words: string[] | null; lo: number; hi: number; log: boolean;
  at: Float64Array; // NaN: no value, or no place for it
  place: (v: string) => number;
  value: (at: number) => string;
}

const number = (v: Value) => v === null || v === "" ? NaN : Number(v);
export const shortName = (key: string) => key.replace(/^(metrics|params|tags)\./, "");

export function axisOf(key: string, values: Value[], log = false): ValueAxis {
  const known = values.filter((v): v is number | string => v !== null && v !== "");
  const named = known.some((v) => typeof v === "string" && !/^(NaN|-?Infinity)$/.test(v) && !Number.isFinite(Number(v)));
  const name = shortName(key);
  if (named) {
    const words = [...new Set(known.map(String))].sort(), index = new Map(words.map((w, i) => [w, i]));
    const place = (v: string) => words.length > 1 ? (index.get(v) ?? NaN) / (words.length - 1) : index.has(v) ? 0.5 : NaN;
    return { key, name, words, lo: 0, hi: words.length - 1, log: false, place,
      at: Float64Array.from(values, (v) => v === null ? NaN : place(String(v))),
      value: (at) => words[Math.max(0, Math.min(words.length - 1, Math.round(at * (words.length - 1))))] ?? "" };
  }
  const fits = (v: number) => Number.isFinite(v) && (!log || v > 0);
  let lo = Infinity, hi = -Infinity;
  for (const v of values) { const n = number(v); if (fits(n)) { lo = Math.min(lo, n); hi = Math.max(hi, n); } }
  if (lo > hi) lo = hi = log ? 1 : 0;
  const [a, b] = log ? [Math.log(lo), Math.log(hi)] : [lo, hi];
  const put = (n: number) => !fits(n) ? NaN : b > a ? ((log ? Math.log(n) : n) - a) / (b - a) : 0.5;
  return { key, name, words: null, lo, hi, log, place: (v) => put(Number(v)), at: Float64Array.from(values, (v) => put(number(v))),
    value: (at) => { const v = a + at * (b - a); return String(Number((log ? Math.exp(v) : v).toPrecision(9))); } };
}

/* ---- brushes: ranges on axes, in the address as KEY~FROM~TO, by comma ---- */

export type Brushes = Map<string, [string, string]>;
const enc = (s: string) => encodeURIComponent(s).replace(/~/g, "%7E");

export function brushesOf(text: string | null): Brushes {
  const map: Brushes = new Map();
  for (const one of (text ?? "").split(",")) {
    const [key, from, to] = one.split("~").map((s) => { try { return decodeURIComponent(s); } catch { return s; } });
    if (key && from !== undefined && to !== undefined) map.set(key, [from, to]);
  }
  return map;
}
export const brushText = (b: Brushes) => [...b].map(([k, [from, to]]) => [k, from, to].map(enc).join("~")).join(",");

/** The runs that lie within every range.  An end may be open. */
export function within(count: number, axes: ValueAxis[], brushes: Brushes): number[] {
  const tests = axes.flatMap((a): [Float64Array, number, number][] => {
    const b = brushes.get(a.key);
    if (!b) return [];
    const [p, q] = [b[0] === "" ? 0 : a.place(b[0]), b[1] === "" ? 1 : a.place(b[1])];
    const eps = a.words ? 1e-9 : 1e-6;
    // On a scale of numbers the bounds may lie beyond what there is.
    return [[a.at, (Number.isNaN(p) ? 0 : Math.min(p, q)) - eps, (Number.isNaN(q) ? 1 : Math.max(p, q)) + eps]];
  });
  const out: number[] = [];
  for (let i = 0; i < count; i++) if (tests.every(([at, lo, hi]) => at[i]! >= lo && at[i]! <= hi)) out.push(i);
  return out;
}

/** Columns that tell runs of a search apart. */
export const varying = (s: Search, keys: string[]) => keys.filter((k) => {
  const v = s.columns[k] ?? [], first = v.find((x) => x !== null);
  return first !== undefined && v.some((x) => x !== null && x !== first);
});
