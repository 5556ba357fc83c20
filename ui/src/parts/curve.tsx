/* Curves on a canvas, with what a canvas lacks: a role and a name, a cursor
   for the arrow keys with a polite read-out, and a table.  Six curves have a
   colour and a dash of their own; more are drawn grey until they are picked.
   The chart only draws what it is given: points come thinned by the server,
   and a zoom is a wish told to whoever owns the range. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { duration, num, plural, time } from "../lib/format";
import { linear, logarithmic, nearest, timeTicks } from "../lib/scale";
import { colors, paper, useTheme } from "./canvas";
import { useWidth } from "./size";
import { type Col, Table } from "./table";

export interface Line { x: number[]; y: (number | null)[] }
export interface Series extends Line {
  name: string; id?: string;
  /** The rule's look. */
  rule?: boolean;
  /** Its mean, drawn strong; the curve itself stays, faint. */
  smooth?: Line;
  /** Where there is no number: x, and how many NaN, +∞, −∞. */
  breaks?: [number, number, number, number][];
}
export type Range = [number, number];

const MOST = 6;
const DASH = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [1, 4]];
const L = 60, R = 8, T = 8, B = 22;

/** Of many curves those with a colour: the picked ones, else the first. */
export const strong = (series: Series[], picked?: string[]): Series[] => {
  const chosen = picked?.length ? series.filter((s) => picked.includes(s.id ?? s.name)) : [];
  return (chosen.length ? chosen : series).slice(0, MOST);
};

export function Key({ i, rule }: { i: number; rule?: boolean }) {
  return <svg viewBox="0 0 16 10" aria-hidden="true"><path d="M0 5H16" class={rule ? "srule" : i < 0 ? "axis" : `l s${i + 1}`}
    stroke-dasharray={i < 0 ? undefined : DASH[i]?.join(" ")} /></svg>;
}

const inside = (lo: number, hi: number) => (x: number) => x >= lo && x <= hi;

export function Curve(p: { title: string; series: Series[]; axis?: "step" | "time" | "relative"; unit?: string;
  fromZero?: boolean; log?: boolean; table?: boolean; range?: Range | null; onRange?: (r: Range | null) => void;
  cursor?: Signal<number | null>; picked?: string[]; legend?: boolean }) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const own = useSignal<number | null>(null);
  const cursor = p.cursor ?? own;
  const [drag, setDrag] = useState<Range | null>(null); // pixels
  const theme = useTheme();
  const H = 200, main = strong(p.series, p.picked);
  const all = p.series.flatMap((s) => s.x.length ? [s.x[0]!, s.x[s.x.length - 1]!] : []);
  const whole: Range = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
  const [lo, hi] = p.range ?? whole;
  const x = linear(lo, hi, L, Math.max(L + 10, W - R), Math.max(2, (W - L) / 90));

  const y = useMemo(() => {
    let a = Infinity, b = -Infinity;
    const see = (l: Line) => l.y.forEach((v, i) => {
      if (v === null || (p.log && v <= 0) || l.x[i]! < lo || l.x[i]! > hi) return;
      a = Math.min(a, v); b = Math.max(b, v);
    });
    for (const s of p.series) { see(s); if (s.smooth) see(s.smooth); }
    if (a > b) [a, b] = [p.log ? 0.1 : 0, 1];
    if (p.log) return logarithmic(a, b, H - B, T);
    const pad = (b - a || Math.abs(b) || 1) * 0.06;
    return linear(p.fromZero && a >= 0 ? 0 : a - pad, b + pad, H - B, T, 4);
  }, [p.series, p.log, lo, hi]);

  const label = (v: number) => p.axis === "time" ? time(v, true) : p.axis === "relative" ? duration(v) : String(v);

  useEffect(() => {
    if (!canvas.current || W < 60 || p.table) return;
    const g = paper(canvas.current, W, H);
    const [line, ink, edge, rule, ...palette] = colors(["--line", "--ink3", "--edge", "--rule", "--c1", "--c2", "--c3", "--c4", "--c5", "--c6"]
      .map((c) => `var(${c})`));
    g.fillStyle = ink!;
    g.strokeStyle = line!;
    g.textAlign = "right";
    g.beginPath();
    y.ticks.forEach((t) => {
      g.moveTo(L, Math.round(y(t)) + 0.5); g.lineTo(W - R, Math.round(y(t)) + 0.5);
      g.fillText(num(t, 3), L - 6, y(t) + 4);
    });
    g.stroke();
    g.textAlign = "center";
    (p.axis === "time" ? timeTicks(lo, hi, (W - L) / 90).map((t) => [t.t, t.text] as const)
      : x.ticks.map((t) => [t, p.axis === "relative" ? duration(t) : num(t, 3)] as const))
      .forEach(([t, text]) => g.fillText(text, Math.max(L + 8, Math.min(W - R - 14, x(t))), H - 5));
    g.beginPath();
    g.rect(L, 0, W - L - R, H - B + 2);
    g.clip();
    const stroke = (l: Line, breaks: Series["breaks"], color: string, width: number, alpha: number, dash: number[]) => {
      g.strokeStyle = color; g.lineWidth = width; g.globalAlpha = alpha; g.setLineDash(dash);
      g.beginPath();
      let pen = false, k = 0, alone = true;
      l.x.forEach((at, i) => {
        const v = l.y[i]!;
        // A gap is drawn as a gap: the line ends before what is no number.
        for (; breaks && k < breaks.length && breaks[k]![0] <= at; k++) pen = false;
        if (v === null || (p.log && v <= 0)) { pen = false; return; }
        const px = x(at), py = y(v);
        if (pen) { g.lineTo(px, py); alone = false; } else g.moveTo(px, py);
        pen = true;
      });
      g.stroke();
      g.setLineDash([]);
      if (alone || l.x.length < 3) l.x.forEach((at, i) => {
        const v = l.y[i];
        if (v === null || v === undefined || (p.log && v <= 0)) return;
        g.fillStyle = color;
        g.beginPath(); g.arc(x(at), y(v), 3, 0, 7); g.fill();
      });
      g.globalAlpha = 1;
    };
    for (const s of [...p.series].reverse()) {
      const i = main.indexOf(s), color = s.rule ? rule! : i < 0 ? edge! : palette[i]!;
      const dash = s.rule ? [4, 3] : DASH[Math.max(0, i)]!;
      if (i < 0) stroke(s.smooth ?? s, s.breaks, color, 1, 0.55, []);
      else if (s.smooth) {
        stroke(s, s.breaks, color, 1, 0.3, []);
        stroke(s.smooth, s.breaks, color, 2, 1, dash);
      } else stroke(s, s.breaks, color, 2, 1, dash);
      g.fillStyle = color;
      g.textAlign = "center";
      for (const [at, nan, above, below] of s.breaks ?? []) {
        if (above) g.fillText("▲", x(at), T + 6);
        if (below) g.fillText("▼", x(at), H - B);
        if (nan) g.fillText("×", x(at), H - B);
      }
    }
  }, [p.series, y, W, lo, hi, theme, p.table, main.map((s) => s.name).join("|")]);

  /* Reading: the x values of the strong curves, in order. */
  const xs = useMemo(() => [...new Set(main.flatMap((s) => s.x.filter(inside(lo, hi))))].sort((a, b) => a - b),
    [p.series, lo, hi, main.map((s) => s.name).join("|")]);
  const at = cursor.value;
  const valueAt = (l: Line, v: number) => { const i = nearest(l.x, v); return i < 0 ? null : l.y[i]!; };
  const zoom = (by: number, mid = at !== null && at >= lo && at <= hi ? at : (lo + hi) / 2) => {
    const least = p.axis === "step" || !p.axis ? 2 : 10, half = Math.max(least, (hi - lo) * by) / 2;
    ask(mid - half, mid + half);
  };
  const ask = (a: number, b: number) => p.onRange?.([Math.round(a), Math.max(Math.round(a) + 1, Math.round(b))]);
  const key = (e: KeyboardEvent) => {
    const n = xs.length, here = at === null ? -1 : nearest(xs, at), far = Math.max(1, Math.round(n / 20));
    const to = e.key === "Home" ? 0 : e.key === "End" ? n - 1 : e.key === "ArrowRight" ? Math.min(n - 1, here + 1)
      : e.key === "ArrowLeft" ? (here < 0 ? n - 1 : Math.max(0, here - 1)) : e.key === "PageDown" ? Math.min(n - 1, here + far)
        : e.key === "PageUp" ? Math.max(0, here - far) : null;
    if (e.shiftKey && /^Arrow(Left|Right)$/.test(e.key) && p.onRange) {
      const by = (hi - lo) / 4 * (e.key === "ArrowLeft" ? -1 : 1);
      ask(lo + by, hi + by);
    } else if (to !== null && n) cursor.value = xs[to]!;
    else if (p.onRange && (e.key === "+" || e.key === "=")) zoom(0.5);
    else if (p.onRange && e.key === "-") zoom(2);
    else if (p.onRange && e.key === "0") p.onRange(null);
    else if (e.key === "Escape" && at !== null) cursor.value = null;
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  const px = (e: PointerEvent) => Math.max(L, Math.min(W - R, e.clientX - ref.current!.getBoundingClientRect().left));
  const back = (v: number) => lo + (v - L) / Math.max(1, W - R - L) * (hi - lo);
  const down = (e: PointerEvent) => {
    if (!p.onRange || e.button || e.pointerType === "touch") return;
    (e.currentTarget as Element).setPointerCapture(e.pointerId);
    setDrag([px(e), px(e)]);
  };
  const move = (e: PointerEvent) => {
    if (drag) setDrag([drag[0], px(e)]);
    else if (xs.length) cursor.value = xs[nearest(xs, back(px(e)))]!;
  };
  const up = () => {
    if (drag && Math.abs(drag[1] - drag[0]) > 5) ask(back(Math.min(...drag)), back(Math.max(...drag)));
    setDrag(null);
  };

  const last = (l: Line) => l.y[l.y.length - 1];
  const summary = `${p.title}: ` + main.map((s) =>
    `${s.name} ends at ${num(last(s))}${p.unit ? ` ${p.unit}` : ""}`).join("; ")
    + (p.series.length > main.length ? `; and ${p.series.length - main.length} more` : "");
  const step = Math.max(1, Math.ceil(xs.length / 50));
  const shown = at !== null && at >= lo && at <= hi;
  return <div ref={ref}>
    {p.table ? <Table flat caption={`${p.title}, every ${step === 1 ? "" : `${step}th `}point`} rows={xs.filter((_, i) => i % step === 0)} cols={[
      [p.axis === "step" || !p.axis ? "Step" : "Time", (v) => label(v)], ...main.flatMap((s): Col<number>[] => [[s.name, (v) => num(valueAt(s, v)), "r"],
        ...(s.smooth ? [[`${s.name}, smoothed`, (v: number) => num(valueAt(s.smooth!, v)), "r"] as Col<number>] : [])])]} />
      : <div class="ch cv" role="group" tabIndex={0} aria-label={`${summary}. Arrow keys read values${p.onRange ? ", + and − zoom, 0 shows all" : ""}.`} onKeyDown={key}
        onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerLeave={() => { if (!drag) cursor.value = null; }}
        onDblClick={() => p.onRange?.(null)} style={{ height: `${H}px` }}>
        <canvas ref={canvas} aria-hidden="true" />
        {shown && <i class="cx" style={{ left: `${x(at)}px`, height: `${H - B}px` }} />}
        {drag && <i class="sel" style={{ left: `${Math.min(...drag)}px`, width: `${Math.abs(drag[1] - drag[0])}px`, height: `${H - B}px` }} />}</div>}
    <div class="read" aria-live="polite">{shown && !p.table
      ? <><b>{label(at)}</b>{main.map((s) => <span key={s.id ?? s.name}>{s.name} {num(valueAt(s, at))}{s.smooth ? ` (${num(valueAt(s.smooth, at))})` : ""}</span>)}</>
      : p.legend === false ? null : main.map((s, i) => <span class="key" key={s.id ?? s.name}><Key i={i} rule={s.rule} />{s.name}</span>)}</div>
    {main.length > 0 && p.series.every((s) => !s.x.length) && <p class="empty">{plural(p.series.length, "run")} without a point here.</p>}
  </div>;
}
