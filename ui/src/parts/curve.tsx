/* Curves by uPlot, in a wrapper that gives them what it lacks: a role and a
   name, a cursor for the arrow keys with a polite read-out, and a table.  The
   chart is made when it comes into view. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { num, plural, time } from "../lib/format";
import { timeTicks } from "../lib/scale";
import { useWidth } from "./size";
import { type Col, Table } from "./table";

export interface Series { name: string; x: number[]; y: (number | null)[]; dash?: boolean }

const STYLE = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"];
const DASH = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [1, 4]];

/** One table of x with a column of each series; missing is null. */
function align(series: Series[]): uPlot.AlignedData {
  if (series.length === 1) return [series[0]!.x, series[0]!.y];
  return uPlot.join(series.map((s) => [s.x, s.y] as uPlot.AlignedData));
}

const token = (name: string) => {
  // Through the browser, as a token is light-dark() until it is a colour.
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
};

export function Curve(p: { title: string; series: Series[]; times?: boolean; unit?: string;
  fromZero?: boolean; controls?: boolean; sync?: string }) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [seen, setSeen] = useState(false);
  const [log, setLog] = useState(false);
  const [smooth, setSmooth] = useState(0);
  const [table, setTable] = useState(false);
  const [at, setAt] = useState<number | null>(null);
  const shown = p.series.slice(0, 6);
  const data = useMemo(() => align(shown.map((s) => ({ ...s,
    y: smooth ? ema(s.y, smooth) : log ? s.y.map((v) => v !== null && v > 0 ? v : null) : s.y }))),
  [p.series, log, smooth]);
  useEffect(() => {
    if (!ref.current) return;
    const see = new IntersectionObserver((e) => { if (e.some((x) => x.isIntersecting)) setSeen(true); });
    see.observe(ref.current);
    return () => see.disconnect();
  }, []);
  const dark = useDark();
  useEffect(() => {
    if (!seen || table || !host.current || W < 60) return;
    const grid = { stroke: token("--line"), width: 1 }, ink = token("--ink3");
    const font = "11.5px system-ui, sans-serif";
    const u = new uPlot({
      width: W, height: 190, legend: { show: false },
      cursor: { y: false, sync: p.sync ? { key: p.sync } : undefined },
      scales: { x: { time: false }, y: { distr: log ? 3 : 1,
        range: log ? undefined : (_u, lo, hi) => {
          const bottom = p.fromZero && lo >= 0 ? 0 : lo;
          const pad = (hi - bottom || Math.abs(hi) || 1) * 0.06;
          return [p.fromZero && lo >= 0 ? 0 : bottom - pad, hi + pad];
        } } },
      axes: [{ stroke: ink, grid: { show: false }, ticks: { stroke: grid.stroke }, font,
        ...(p.times ? {
          splits: (_u: uPlot, _i: number, lo: number, hi: number) => timeTicks(lo * 1e3, hi * 1e3, W / 90).map((t) => t.t / 1e3),
          values: (u: uPlot) => timeTicks((u.scales.x!.min ?? 0) * 1e3, (u.scales.x!.max ?? 0) * 1e3, W / 90).map((t) => t.text),
        } : {}) },
        { stroke: ink, grid, ticks: { show: false }, font, size: 60,
          values: (_u, list) => list.map((v) => v === null ? "" : num(v, 3)) }],
      series: [{}, ...shown.map((s, i) => ({
        label: s.name, stroke: token(s.dash ? "--rule" : STYLE[i]!), width: 2,
        dash: s.dash ? [4, 3] : DASH[i], spanGaps: false,
        points: { show: s.x.length < 3 } }))],
      hooks: { setCursor: [(c) => setAt(c.cursor.idx ?? null)] },
    }, data, host.current);
    chart.current = u;
    return () => { u.destroy(); chart.current = null; };
  }, [seen, W, log, smooth, table, dark, shown.map((s) => s.name).join("|")]);
  useEffect(() => { chart.current?.setData(data); }, [data]);

  const xs = data[0] as number[];
  const xText = (v: number) => p.times ? time(v * 1000, true) : String(v);
  const key = (e: KeyboardEvent) => {
    const n = xs.length;
    const to = e.key === "ArrowRight" ? Math.min(n - 1, (at ?? -1) + 1)
      : e.key === "ArrowLeft" ? Math.max(0, (at ?? n) - 1)
        : e.key === "Home" ? 0 : e.key === "End" ? n - 1 : null;
    if (to === null || !n) return;
    e.preventDefault();
    setAt(to);
    const u = chart.current;
    u?.setCursor({ left: u.valToPos(xs[to]!, "x"), top: 10 }, false);
  };
  const last = (s: Series) => s.y[s.y.length - 1];
  const summary = `${p.title}: ` + shown.map((s) =>
    `${s.name} ends at ${num(last(s))}${p.unit ? ` ${p.unit}` : ""} after ${plural(s.y.length, "point")}`).join("; ");
  const step = Math.max(1, Math.ceil(xs.length / 50));
  return <div ref={ref}>
    {p.controls && <div class="read">
      <label><input type="checkbox" checked={log} onChange={() => setLog(!log)} />log axis</label>
      <label>smoothing <select value={String(smooth)} aria-label={`Smoothing of ${p.title}`}
        onChange={(e) => setSmooth(Number(e.currentTarget.value))}>
        <option value="0">off</option><option value="0.6">0.6</option><option value="0.9">0.9</option></select></label>
      <button class="sm" aria-pressed={table} onClick={() => setTable(!table)}>{table ? "Chart" : "Table"}</button></div>}
    {table ? <Table flat caption={`${p.title}, every ${step === 1 ? "" : `${step}th `}point`} rows={xs.map((_, i) => i).filter((i) => i % step === 0)} cols={[
      [p.times ? "Time" : "Step", (i) => xText(xs[i]!)], ...shown.map((s, j): Col<number> => [s.name, (i) => num((data[j + 1] as (number | null)[])[i]), "r"])]} />
      : <div class="ch" role="group" tabIndex={0} aria-label={`${summary}. Arrow keys read values.`} onKeyDown={key}>
        <div ref={host} aria-hidden="true" style={{ minHeight: "190px" }} /></div>}
    <div class="read" aria-live="polite">{at !== null && xs[at] !== undefined
      ? <><b>{xText(xs[at]!)}</b>{shown.map((s, j) => <span key={s.name}>{s.name} {num((data[j + 1] as (number | null)[])[at])}</span>)}</>
      : shown.map((s, i) => <span class="key" key={s.name}><svg viewBox="0 0 16 10" aria-hidden="true">
        <path d="M0 5H16" class={s.dash ? "srule" : `l s${i + 1}`} stroke-dasharray={DASH[i]?.join(" ")} /></svg>{s.name}</span>)}
      {p.series.length > 6 && <span class="mut">6 of {p.series.length} are drawn: mark fewer.</span>}</div>
  </div>;
}

/** Exponential mean without the bias of its start. */
function ema(y: (number | null)[], k: number): (number | null)[] {
  let sum = 0, weight = 0;
  return y.map((v) => {
    if (v === null || !Number.isFinite(v)) return null;
    sum = sum * k + v * (1 - k);
    weight = weight * k + (1 - k);
    return sum / weight;
  });
}

/** Repaint when the theme changes: a canvas knows no tokens. */
function useDark(): string {
  const now = () => `${document.documentElement.dataset.theme ?? ""}${matchMedia("(prefers-color-scheme: dark)").matches}`;
  const [v, set] = useState(now);
  useEffect(() => {
    const see = () => set(now());
    const media = matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", see);
    const attr = new MutationObserver(see);
    attr.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => { media.removeEventListener("change", see); attr.disconnect(); };
  }, []);
  return v;
}
