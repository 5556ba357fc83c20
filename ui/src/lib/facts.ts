/* What is computed in the page from what the server answers. */
import { toMs } from "./format";
import type { DeploymentAct } from "./types";

/** Replays the acts, oldest first, up to a moment. */
export function stateAt(history: DeploymentAct[], at: number): { champion: number | null; canary: number | null;
  weight: number; withdrawn: boolean; last: DeploymentAct | null } {
  const s = { champion: null as number | null, canary: null as number | null, weight: 0, withdrawn: false, last: null as DeploymentAct | null };
  for (const a of [...history].reverse()) {
    if ((toMs(a.at) ?? 0) > at) break;
    s.last = a;
    if (a.action === "deploy" || a.action === "promote" || a.action === "rollback") {
      s.champion = a.to; s.canary = null; s.weight = 0; s.withdrawn = false;
    } else if (a.action === "canary") { s.canary = a.to; s.weight = a.weight; }
    else if (a.action === "weight") { s.weight = a.weight; if (!a.weight) s.canary = null; }
    else if (a.action === "withdraw") s.withdrawn = true;
    else if (a.action === "restore") s.withdrawn = false;
  }
  return s;
}

/** Mean difference in percent of the rule's error, with its 95 % half-width,
    paired by day: the days are the independent pieces, not the rows. */
export function pairedByDay(days: number[][], a: number, b: number): { mid: number; half: number; days: number } | null {
  const pairs = days.filter((d) => Number.isFinite(d[a]) && Number.isFinite(d[b]));
  if (pairs.length < 8) return null;
  const diff = pairs.map((d) => d[a]! - d[b]!);
  const n = diff.length, mean = diff.reduce((s, x) => s + x, 0) / n;
  const sd = Math.sqrt(diff.reduce((s, x) => s + (x - mean) ** 2, 0) / (n - 1));
  const base = pairs.reduce((s, d) => s + d[b]!, 0) / n;
  return base ? { mid: mean / base, half: 1.96 * sd / Math.sqrt(n) / base, days: n } : null;
}
