/* The timeline of a deployment: its error and the rule's, the strip "against
   the rule" beneath, and lanes of what was done about it.  Marks that would
   lie nearer than eight pixels become one with a count, so that the drawing
   stays small whatever the history.  Arrow keys read the values, Enter opens
   the event there, + and - zoom; `t` shows the same as a table. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { day, num, percent, plural } from "../lib/format";
import { onKeys } from "../lib/keys";
import { go } from "../lib/router";
import { linear, path, perPixel, timeTicks } from "../lib/scale";
import type { ErrorHistory, ErrorPoint, Mark } from "../lib/types";
import { againstRule, belowRule } from "../lib/words";
import { useWidth } from "./size";
import { Table } from "./table";

const DAY = 86400e3;
const LANES: [Mark["kind"], string, string][] = [
  ["alert", "Alert", "var(--warn)"], ["retrain", "Retrain", "var(--info)"],
  ["release", "Release", "var(--ok)"], ["rollback", "Rollback", "var(--bad)"],
  ["fallback", "Fallback", "var(--rule)"],
];
const SIGN: Record<Mark["kind"], string> = {
  alert: "M0 -5 5 4H-5z", retrain: "M-4 0A4 4 0 1 0 0 -4",
  release: "M0 -5 5 0 0 5 -5 0z", rollback: "M4 -5V5L-5 0z", fallback: "M-5 -2H5V2H-5z",
};

interface Spot { x: number; marks: Mark[] }

/** Marks of one lane, merged where they would touch. */
function spots(marks: Mark[], x: (t: number) => number): Spot[] {
  const out: Spot[] = [];
  for (const m of [...marks].sort((a, b) => a.from - b.from)) {
    const last = out[out.length - 1], at = x(m.from);
    if (last && at - last.x < 8) last.marks.push(m);
    else out.push({ x: at, marks: [m] });
  }
  return out.slice(-60);
}

export function timelineSummary(h: ErrorHistory): string {
  const e = againstRule(h.points);
  const n = (k: Mark["kind"]) => h.marks.filter((m) => m.kind === k).length;
  const first = h.points[0], last = h.points[h.points.length - 1];
  const when = first && last ? ` from ${day(first.t)} to ${day(last.t)}` : "";
  return `Error of the served answers and of the rule${when}` +
    (e ? `: the served error is ${belowRule(e.ratio)} over ${plural(e.rows, "row")}` : "") +
    `. ${plural(n("alert"), "alert")}, ${plural(n("retrain"), "retrain")}, ` +
    `${plural(n("release"), "release")}, ${plural(n("rollback"), "rollback")}.`;
}

function AsTable({ points }: { points: ErrorPoint[] }) {
  const step = Math.max(1, Math.ceil(points.length / 50));
  return <Table flat caption={`At most 50 of ${points.length} points`} rows={points.filter((_, i) => i % step === 0)} cols={[
    ["Day", (p) => day(p.t)], ["Served", (p) => num(p.model), "r"], ["Rule", (p) => num(p.rule), "r"],
    ["Against the rule", (p) => p.model !== null && p.rule ? percent(p.model / p.rule - 1, true) : "–", "r"], ["Rows", (p) => p.rows, "r"]]} />;
}

const RANGES: [string, number][] = [["All", 0], ["1 year", 365], ["90 days", 90], ["30 days", 30]];

export function Timeline({ history, lanes = true, limit, label }: { history: ErrorHistory;
  lanes?: boolean; limit?: number | null; label?: string }) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const [range, setRange] = useState<[number, number] | null>(null);
  const [at, setAt] = useState(-1);
  const [table, setTable] = useState(false);
  const all = history.points;
  const lo0 = Math.min(all[0]?.t ?? Infinity, ...history.marks.map((m) => m.from));
  const hi0 = Math.max(all[all.length - 1]?.t ?? -Infinity,
    ...history.marks.map((m) => m.to ?? m.from));
  const [lo, hi] = range ?? [lo0, Math.max(hi0, lo0 + DAY)];
  const points = useMemo(() => all.filter((p) => p.t >= lo && p.t <= hi), [all, lo, hi]);
  const zoom = (by: number) => {
    const mid = at >= 0 ? points[at]?.t ?? (lo + hi) / 2 : (lo + hi) / 2;
    const half = Math.max(DAY, (hi - lo) / 2 * by);
    setAt(-1);
    setRange(by > 1 && half * 2 >= hi0 - lo0 ? null
      : [Math.max(lo0, mid - half), Math.min(hi0, mid + half)]);
  };
  useEffect(() => onKeys({ t: () => setTable((x) => !x) }), []);

  const L = W < 480 ? 60 : 66, R = W < 480 ? 8 : 62, H = 176, strip = 44;
  const x = linear(lo, hi, L, Math.max(L + 10, W - R));
  const top = Math.max(1e-12, limit ?? 0, ...points.map((p) => Math.max(p.model ?? 0, p.rule ?? 0)));
  const y = linear(0, top * 1.06, H, 8, 5);
  const dense = perPixel(points, Math.max(50, W - L - R), (p) => p.model ?? p.rule);
  // A gap is drawn as a gap: where days are missing, no line is made up.
  const gap = Math.max(8 * DAY, (hi - lo) / 12);
  const shown = dense.flatMap((p, i): ErrorPoint[] => {
    const next = dense[i + 1];
    return next && next.t - p.t > gap ? [p, { t: p.t + 1, model: null, rule: null, rows: 0 }] : [p];
  });
  const alone = shown.filter((p, i) => p.model !== null && (shown[i - 1]?.model ?? null) === null && (shown[i + 1]?.model ?? null) === null);
  const ratio = (p: ErrorPoint) => p.model !== null && p.rule ? p.model / p.rule - 1 : null;
  const worst = Math.min(1.5, Math.max(0.05, ...points.map((p) => Math.abs(ratio(p) ?? 0))));
  const sy = H + 30 + strip / 2;
  const lane0 = H + 30 + strip + 26;
  const height = lanes ? lane0 + LANES.length * 20 + 22 : lane0 + 8;
  const kept = useMemo(() => LANES.map(([kind]) =>
    spots(history.marks.filter((m) => m.kind === kind && m.from >= lo && m.from <= hi), x)),
  [history, lo, hi, W]);
  const near = (t: number) => history.marks.filter((m) =>
    Math.abs(x(m.from) - x(t)) < 8 || (m.to !== null && m.from <= t && t <= m.to));
  const p = at >= 0 ? points[at] : undefined;
  const here = p ? near(p.t) : [];
  const move = (e: PointerEvent) => {
    const box = (e.currentTarget as Element).getBoundingClientRect();
    const px = e.clientX - box.left;
    let best = -1;
    points.forEach((q, i) => {
      if (best < 0 || Math.abs(x(q.t) - px) < Math.abs(x(points[best]!.t) - px)) best = i;
    });
    setAt(best);
  };
  const key = (e: KeyboardEvent) => {
    const step = e.shiftKey ? 10 : 1;
    if (e.key === "ArrowRight") setAt((i) => Math.min(points.length - 1, i + step));
    else if (e.key === "ArrowLeft") setAt((i) => Math.max(0, (i < 0 ? points.length : i) - step));
    else if (e.key === "Home") setAt(0);
    else if (e.key === "End") setAt(points.length - 1);
    else if (e.key === "+") zoom(0.5);
    else if (e.key === "-") zoom(2);
    else if (e.key === "Enter" && here[0]?.ref) go(here[0].ref);
    else if (e.key === "Escape") setAt(-1);
    else return;
    e.preventDefault();
  };
  const last = shown[shown.length - 1];
  const ends: [number, string, string][] = last ? [
    [y(last.model ?? 0), label ?? "served", "var(--c1)"], [y(last.rule ?? 0), "rule", "var(--rule)"]] : [];
  if (ends.length === 2 && Math.abs(ends[0]![0] - ends[1]![0]) < 13) {
    const up = ends[0]![0] <= ends[1]![0] ? 0 : 1, mid = (ends[0]![0] + ends[1]![0]) / 2;
    ends[up]![0] = mid - 7;
    ends[1 - up]![0] = mid + 7;
  }
  return <div>
    <div class="read"><span class="seg" role="group" aria-label="Range">
      {RANGES.filter(([, d]) => !d || d * DAY < hi0 - lo0).map(([name, d]) =>
        <button key={name} aria-pressed={d ? !!range && Math.abs(hi - lo - d * DAY) < DAY : !range}
          onClick={() => { setAt(-1); setRange(d ? [hi0 - d * DAY, hi0] : null); }}>{name}</button>)}
    </span>
    <button class="sm" aria-pressed={table} onClick={() => setTable(!table)}>
      {table ? "Chart" : "Table"}</button></div>
    {table ? <AsTable points={points} /> :
      <div ref={ref} class="ch" role="group" tabIndex={0} onKeyDown={key}
        aria-label={`${timelineSummary(history)} Arrow keys read values.`}>
        {W > 0 && <svg viewBox={`0 0 ${W} ${height}`} height={height} aria-hidden="true"
          onPointerMove={move} onPointerLeave={() => setAt(-1)}>
          {history.marks.filter((m) => m.kind === "fallback" && m.to !== null && m.to >= lo && m.from <= hi)
            .slice(0, 60).map((m, i) => <rect key={i} class="fbspan" x={x(Math.max(lo, m.from))}
              width={Math.max(2, x(Math.min(hi, m.to!)) - x(Math.max(lo, m.from)))} y="4" height={H - 4} />)}
          {y.ticks.map((t, i) => <g key={t}><path class="grid" d={`M${L} ${y(t)}H${W - R}`} />
            <text x={L - 6} y={y(t) + 4} text-anchor="end">{num(t, 3)}{i === y.ticks.length - 1 && !L ? "" : ""}</text></g>)}
          {timeTicks(lo, hi, Math.max(2, Math.floor((W - L - R) / 90))).map(({ t, text }) =>
            <text key={t} x={x(t)} y={H + 16} text-anchor="middle">{text}</text>)}
          {limit && <g><path d={`M${L} ${y(limit)}H${W - R}`} stroke="var(--bad)" stroke-dasharray="2 3" />
            <text x={W - R} y={y(limit) - 4} text-anchor="end">guard</text></g>}
          <path class="srule" d={path(shown.map((q) => [x(q.t), q.rule === null ? null : y(q.rule)]))} />
          <path class="l s1" d={path(shown.map((q) => [x(q.t), q.model === null ? null : y(q.model)]))} />
          {alone.map((q) => q.model !== null &&
            <circle key={q.t} cx={x(q.t)} cy={y(q.model)} r="3.5" fill="var(--c1)" />)}
          {W >= 480 && ends.map(([py, name, color]) =>
            <text key={name} x={W - R + 6} y={py + 4} style={{ fill: color, fontWeight: 600 }}>{name}</text>)}
          <path class="axis" d={`M${L} ${sy}H${W - R}`} />
          <text x={L - 6} y={sy + 4} text-anchor="end">rule</text>
          {W >= 480 && <text x={W - R + 6} y={sy + 4}>±{percent(worst)}</text>}
          {shown.map((q) => {
            const r = ratio(q);
            if (r === null) return null;
            const h = Math.min(1, Math.abs(r) / worst) * strip / 2;
            const w = Math.max(1, Math.min(6, (W - L - R) / shown.length - 1));
            return <rect key={q.t} class={r < 0 ? "better" : "worse"} x={x(q.t) - w / 2} width={w}
              y={r < 0 ? sy : sy - h} height={Math.max(1, h)} />;
          })}
          {lanes && LANES.map(([kind, name, color], i) => {
            const ly = lane0 + i * 20;
            return <g key={kind}><text x={L - 8} y={ly + 4} text-anchor="end">{name}</text>
              <path class="grid" d={`M${L} ${ly}H${W - R}`} />
              {kind === "fallback" && history.marks.filter((m) => m.kind === "fallback" && m.to !== null
                && m.to >= lo && m.from <= hi).slice(0, 60).map((m, j) =>
                <rect key={`s${j}`} x={x(Math.max(lo, m.from))} y={ly - 3} height="6" rx="2"
                  width={Math.max(3, x(Math.min(hi, m.to!)) - x(Math.max(lo, m.from)))} fill={color} />)}
              {kept[i]!.map((s, j) => {
                const sign = <g transform={`translate(${s.x} ${ly})`}>
                  <path d={SIGN[kind]} fill={kind === "retrain" ? "none" : color} stroke={color}
                    stroke-width={kind === "retrain" ? 2 : 0} />
                  {s.marks.length > 1 && <text x="7" y="4" class="k">{s.marks.length}</text>}
                  <title>{s.marks.map((m) => `${day(m.from)} ${m.reason}`).slice(0, 6).join("\n")}</title></g>;
                const to = s.marks[s.marks.length - 1]!.ref;
                return <g key={j} class={to ? "go" : undefined} onClick={to ? () => go(to) : undefined}>{sign}</g>;
              })}</g>;
          })}
          {p && <g><path d={`M${x(p.t)} 4V${height - 18}`} stroke="var(--edge)" />
            {p.model !== null && <circle cx={x(p.t)} cy={y(p.model)} r="3.5" fill="var(--c1)" />}
            {p.rule !== null && <circle cx={x(p.t)} cy={y(p.rule)} r="3" fill="var(--rule)" />}</g>}
        </svg>}
      </div>}
    <div class="read" aria-live="polite">{p
      ? <><b>{day(p.t)}</b><span>served {num(p.model)}</span><span>rule {num(p.rule)}</span>
        {ratio(p) !== null && <span>{percent(ratio(p), true)}</span>}<span>{plural(p.rows, "row")}</span>
        {here.slice(0, 3).map((m, i) => <b key={i}>{m.kind}: {m.reason}</b>)}</>
      : <><span class="key"><svg viewBox="0 0 16 10" aria-hidden="true"><path class="l s1" d="M0 5H16" /></svg>{label ?? "served"}</span>
        <span class="key"><svg viewBox="0 0 16 10" aria-hidden="true"><path class="srule" d="M0 5H16" /></svg>the rule, in shadow</span>
        <span class="mut">Bars: green below the rule (better), amber above.</span>
        {lanes && <span class="mut">▲ alert ◔ retrain ◆ release ◀ rollback ▬ fallback</span>}</>}
    </div>
  </div>;
}
