/* A whole search drawn: parallel coordinates and a scatter, on a canvas, up to
   10,000 runs.  A range marked on an axis (by dragging, or as numbers) keeps
   the runs within; the table beneath shows just those.  Many lines are drawn
   in slices, so that no frame is long. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, num, plural } from "../lib/format";
import { AXES_MOST, axisOf, type Brushes, brushesOf, brushText, list, type Search, type ValueAxis, varying, within } from "../lib/plots";
import { go, href, place, withQuery } from "../lib/router";
import { colors, paper, useTheme } from "../parts/canvas";
import { useWidth } from "../parts/size";

const BINS = 12, SLICE = 400;
const set = (change: Record<string, string | number | null>) => go(withQuery(change), true);
const setBrushes = (b: Brushes) => set({ brush: brushText(b) || null });

/** From low to high in as many steps; the highest bin is the ramp's end. */
const ramp = () => colors(Array.from({ length: BINS }, (_, i) =>
  `color-mix(in oklab, var(--c1) ${Math.round(i / (BINS - 1) * 100)}%, var(--c6))`));
const binOf = (v: number) => Math.min(BINS - 1, Math.floor(v * BINS));

/** Draws slice after slice, a frame each; what it returns stops it. */
function slices(total: number, draw: (from: number, to: number) => void): () => void {
  let at = 0, frame = 0;
  const step = () => {
    draw(at, Math.min(total, at + SLICE));
    at += SLICE;
    if (at < total) frame = requestAnimationFrame(step);
  };
  step();
  return () => cancelAnimationFrame(frame);
}

export interface PlotProps {
  search: Search;
  /** Columns there are values of, and which of them the drawing begins with. */
  known: string[]; usual: string[];
  onPicked?: (rows: number[]) => void;
  brushing?: boolean;
}

/** What is left by the ranges of all axes; told to the table. */
function usePicked(p: PlotProps, axes: ValueAxis[], brushes: Brushes): number[] {
  const key = brushText(brushes);
  const picked = useMemo(() => within(p.search.ids.length, axes, brushes), [p.search, axes, key]);
  useEffect(() => p.onPicked?.(picked), [picked]);
  return picked;
}

function Says({ search, picked, brushes }: { search: Search; picked: number[]; brushes: Brushes }) {
  return <div class="read" role="status"><b>{count(picked.length)} of {plural(search.ids.length, "run")}</b>
    {search.total > search.ids.length && <span>of {count(search.total)}, the first by this order</span>}
    {brushes.size > 0 ? <button class="sm" onClick={() => set({ brush: null })}>Whole search</button>
      : <span class="mut">Drag on an axis to keep a range.</span>}</div>;
}

/** The same ranges by keyboard. */
function Ranges({ axes, brushes }: { axes: ValueAxis[]; brushes: Brushes }) {
  const change = (a: ValueAxis, i: 0 | 1, v: string) => {
    const now: [string, string] = [...(brushes.get(a.key) ?? ["", ""])];
    now[i] = v;
    const next = new Map(brushes);
    if (now[0] || now[1]) next.set(a.key, now); else next.delete(a.key);
    setBrushes(next);
  };
  const field = (a: ValueAxis, i: 0 | 1) => {
    const label = `${a.name} ${i ? "to" : "from"}`, value = brushes.get(a.key)?.[i] ?? "";
    return a.words && a.words.length <= 100 ? <select aria-label={label} value={value} onChange={(e) => change(a, i, e.currentTarget.value)}>
      <option value="">{i ? "last" : "first"}</option>{a.words.map((w) => <option key={w}>{w}</option>)}</select>
      : <input size={8} aria-label={label} value={value} placeholder={a.words ? "" : num(i ? a.hi : a.lo)} onChange={(e) => change(a, i, e.currentTarget.value.trim())} />;
  };
  return <details><summary>Ranges in numbers</summary><div class="act rng">{axes.map((a) =>
    <span key={a.key} role="group" aria-label={a.name}>{a.name} {field(a, 0)} to {field(a, 1)}</span>)}</div></details>;
}

function Axes({ known, chosen, name, most }: { known: string[]; chosen: string[]; name: string; most: number }) {
  const [q, setQ] = useState("");
  const put = (keys: string[]) => set({ [name]: keys.join(",") || null });
  return <details><summary>Axes</summary><div class="act"><label>find <input value={q} onInput={(e) => setQ(e.currentTarget.value)} /></label>
    <button class="sm" onClick={() => put([])}>As usual</button></div>
    <div class="read">{known.filter((k) => k.includes(q)).slice(0, 60).map((k) => <label key={k}><input type="checkbox" checked={chosen.includes(k)}
      disabled={!chosen.includes(k) && chosen.length >= most}
      onChange={() => put(chosen.includes(k) ? chosen.filter((x) => x !== k) : [...chosen, k])} />{k}</label>)}</div></details>;
}

function Ramp({ axis }: { axis: ValueAxis | undefined }) {
  const end = (i: 0 | 1) => axis!.words ? axis!.value(i) : num(i ? axis!.hi : axis!.lo);
  return axis ? <span class="key">{axis.name} {end(0)}<i class="ramp" />{end(1)}</span> : null;
}

/* ---- parallel coordinates ---- */

export function Parallel(p: PlotProps) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const back = useRef<HTMLCanvasElement>(null), front = useRef<HTMLCanvasElement>(null);
  const q = place.value.query, theme = useTheme();
  const brushing = p.brushing !== false;
  const [draft, setDraft] = useState<{ key: string; from: number; to: number } | null>(null); // while dragging, 0 to 1
  const keys = useMemo(() => {
    const asked = list(q, "axes").filter((k) => p.search.columns[k]);
    return (asked.length ? asked : varying(p.search, p.usual)).slice(-AXES_MOST);
  }, [p.search, q.get("axes"), p.usual.join()]);
  const axes = useMemo(() => keys.map((k) => axisOf(k, p.search.columns[k]!)), [p.search, keys]);
  const brushes = useMemo(() => brushesOf(brushing ? q.get("brush") : null), [q.get("brush")]);
  const picked = usePicked(p, axes, brushes);
  const score = axes[axes.length - 1];
  const H = 250, T = 34, B = 20, side = W < 500 ? 26 : 50;
  const x = (i: number) => side + i * (W - 2 * side) / Math.max(1, axes.length - 1), y = (v: number) => H - B - v * (H - B - T);

  const line = (g: CanvasRenderingContext2D, r: number) => {
    let pen = false;
    for (let i = 0; i < axes.length; i++) {
      const v = axes[i]!.at[r]!;
      if (Number.isNaN(v)) { pen = false; continue; }
      if (pen) g.lineTo(x(i), y(v)); else g.moveTo(x(i), y(v));
      pen = true;
    }
  };
  const faint = (n: number) => Math.max(0.06, Math.min(0.8, 120 / n));
  useEffect(() => { // all, grey, behind
    if (!back.current || W < 60) return;
    const g = paper(back.current, W, H), n = p.search.ids.length;
    [g.strokeStyle] = colors(["var(--edge)"]) as [string];
    g.globalAlpha = faint(n) / 2;
    // What is grey needs no line of its own: of very many, every so manieth is drawn.
    const every = Math.ceil(n / 3000);
    return slices(Math.ceil(n / every), (from, to) => { for (let i = from; i < to; i++) { g.beginPath(); line(g, i * every); g.stroke(); } });
  }, [axes, W, theme]);
  useEffect(() => { // those within the ranges, coloured by the last axis
    if (!front.current || W < 60 || !score) return;
    const g = paper(front.current, W, H), tint = ramp();
    const order = picked.filter((r) => !Number.isNaN(score.at[r]!)).sort((a, b) => score.at[b]! - score.at[a]!);
    g.globalAlpha = Math.min(1, faint(order.length) * 2);
    return slices(order.length, (from, to) => {
      for (let i = from; i < to; i++) {
        g.strokeStyle = tint[binOf(score.at[order[i]!]!)]!;
        g.lineWidth = picked.length < 30 ? 2 : 1;
        g.beginPath(); line(g, order[i]!); g.stroke();
      }
    });
  }, [picked, axes, W, theme]);

  const at = (e: PointerEvent) => {
    const box = ref.current!.getBoundingClientRect();
    return Math.max(0, Math.min(1, (H - B - (e.clientY - box.top)) / (H - B - T)));
  };
  const release = (a: ValueAxis) => {
    const next = new Map(brushes);
    if (draft && Math.abs(draft.to - draft.from) > 0.01) {
      const [lo, hi] = [Math.min(draft.from, draft.to), Math.max(draft.from, draft.to)];
      if (a.words) { // whole words only
        const n = a.words.length - 1, first = Math.ceil(lo * n - 1e-9), last = Math.floor(hi * n + 1e-9);
        if (first <= last) next.set(a.key, [a.words[first]!, a.words[last]!]);
      } else next.set(a.key, [a.value(lo), a.value(hi)]);
    } else next.delete(a.key);
    setDraft(null);
    setBrushes(next);
  };
  if (axes.length < 2) return <p class="empty">Fewer than two columns tell these runs apart.</p>;
  return <div><div ref={ref} class="ch pc" style={{ height: `${H}px` }} role="group"
    aria-label={`Parallel coordinates of ${plural(p.search.ids.length, "run")} over ${axes.map((a) => a.name).join(", ")}; ${count(picked.length)} within the ranges, coloured by ${score!.name}`}>
    <canvas ref={back} aria-hidden="true" /><canvas ref={front} aria-hidden="true" />
    {W > 0 && <svg viewBox={`0 0 ${W} ${H}`} height={H} aria-hidden="true">{axes.map((a, i) => {
      const anchor = i === 0 ? "start" : i === axes.length - 1 ? "end" : "middle", tx = i === 0 ? 2 : i === axes.length - 1 ? W - 2 : x(i);
      const room = Math.max(6, Math.floor((W - 2 * side) / Math.max(1, axes.length - 1) / 6.6));
      const cut = (s: string) => s.length > room ? s.slice(0, room - 1) + "…" : s;
      return <g key={a.key}><path class="axis" d={`M${x(i)} ${T}V${H - B}`} /><text class="k" x={tx} y="13" text-anchor={anchor}>{cut(a.name)}<title>{a.key}</title></text>
        <text x={tx} y="27" text-anchor={anchor}>{cut(a.words ? a.value(1) : num(a.hi, 3))}</text><text x={tx} y={H - 5} text-anchor={anchor}>{cut(a.words ? a.value(0) : num(a.lo, 3))}</text></g>;
    })}</svg>}
    {brushing && axes.map((a, i) => {
      const b = brushes.get(a.key), live = draft?.key === a.key ? draft : null;
      const [lo, hi] = live ? [Math.min(live.from, live.to), Math.max(live.from, live.to)]
        : b ? [b[0] === "" ? 0 : a.place(b[0]) || 0, b[1] === "" ? 1 : Number.isNaN(a.place(b[1])) ? 1 : a.place(b[1])] : [0, 0];
      const from = Math.min(1, Math.max(0, Math.min(lo, hi))), to = Math.max(0, Math.min(1, Math.max(lo, hi)));
      return <div key={a.key} class="pax" data-axis={a.key} style={{ left: `${x(i) - 12}px`, top: `${T - 4}px`, height: `${H - B - T + 8}px` }}
        onPointerDown={(e) => { (e.currentTarget as Element).setPointerCapture(e.pointerId); setDraft({ key: a.key, from: at(e), to: at(e) }); }}
        onPointerMove={(e) => { if (draft?.key === a.key) setDraft({ ...draft, to: at(e) }); }} onPointerUp={() => release(a)}>
        {(live || b) && <i class="sel" style={{ top: `${y(to) - T + 4 - 3}px`, height: `${y(from) - y(to) + 6}px` }} />}</div>;
    })}</div>
    {brushing && <><Says search={p.search} picked={picked} brushes={brushes} /><div class="read"><Ramp axis={score} /></div>
      <Ranges axes={axes} brushes={brushes} /><Axes known={p.known} chosen={keys} name="axes" most={AXES_MOST} /></>}</div>;
}

/* ---- scatter ---- */

export function Scatter(p: PlotProps) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const q = place.value.query, theme = useTheme();
  const [drag, setDrag] = useState<[number, number, number, number] | null>(null);
  const [near, setNear] = useState(-1);
  const usual = useMemo(() => varying(p.search, p.usual), [p.search, p.usual.join()]);
  const key = (name: string, dflt: string | undefined) => { const k = q.get(name) ?? dflt ?? ""; return p.search.columns[k] ? k : dflt ?? ""; };
  const metrics = usual.filter((k) => k.startsWith("metrics.")), params = usual.filter((k) => !k.startsWith("metrics."));
  const kx = key("sx", params[0] ?? metrics[1] ?? usual[0]), ky = key("sy", metrics[metrics.length - 1] ?? usual[1]);
  const kc = q.get("sc") === "none" ? "" : key("sc", params[1]);
  const logs = list(q, "slog");
  const [ax, ay, ac] = useMemo(() => [kx, ky, kc].map((k) => p.search.columns[k] ? axisOf(k, p.search.columns[k]!, logs.includes(k)) : undefined),
    [p.search, kx, ky, kc, q.get("slog")]);
  const axes = useMemo(() => [ax, ay, ac].filter((a): a is ValueAxis => !!a), [ax, ay, ac]);
  const brushes = useMemo(() => brushesOf(q.get("brush")), [q.get("brush")]);
  const picked = usePicked(p, axes, brushes);
  const H = 320, L = 70, R = 14, T = 10, B = 30;
  const x = (v: number) => L + v * (W - L - R), y = (v: number) => H - B - v * (H - B - T);
  useEffect(() => {
    if (!canvas.current || W < 60 || !ax || !ay) return;
    const g = paper(canvas.current, W, H), tint = ramp(), [one, grey] = colors(["var(--c1)", "var(--edge)"]);
    const chosen = new Uint8Array(p.search.ids.length);
    for (const r of picked) chosen[r] = 1;
    const size = picked.length > 2000 ? 3 : 5;
    const dot = (r: number) => g.fillRect(x(ax.at[r]!) - size / 2, y(ay.at[r]!) - size / 2, size, size);
    if (brushes.size) {
      g.globalAlpha = 0.25; g.fillStyle = grey!;
      for (let r = 0; r < chosen.length; r++) if (!chosen[r]) dot(r);
    }
    g.globalAlpha = picked.length > 2000 ? 0.6 : 0.85;
    for (const r of picked) {
      const c = ac ? ac.at[r]! : NaN;
      g.fillStyle = !ac ? one! : Number.isNaN(c) ? grey! : tint[binOf(c)]!;
      dot(r);
    }
  }, [picked, ax, ay, ac, W, theme]);
  const spot = (e: PointerEvent): [number, number] => {
    const box = ref.current!.getBoundingClientRect();
    return [Math.max(L, Math.min(W - R, e.clientX - box.left)), Math.max(T, Math.min(H - B, e.clientY - box.top))];
  };
  const move = (e: PointerEvent) => {
    const [px, py] = spot(e);
    if (drag) { setDrag([drag[0], drag[1], px, py]); return; }
    if (!ax || !ay) return;
    let best = -1, least = 144;
    for (const r of picked) {
      const d = (x(ax.at[r]!) - px) ** 2 + (y(ay.at[r]!) - py) ** 2;
      if (d < least) { least = d; best = r; }
    }
    setNear(best);
  };
  const up = () => {
    if (drag && ax && ay && Math.hypot(drag[2] - drag[0], drag[3] - drag[1]) > 5) {
      const bx = (px: number) => (px - L) / (W - L - R), by = (py: number) => (H - B - py) / (H - B - T);
      const next = new Map(brushes);
      const put = (a: ValueAxis, lo: number, hi: number) => {
        const n = a.words ? a.words.length - 1 : 0;
        if (a.words) { const f = Math.ceil(lo * n), l = Math.floor(hi * n); if (f <= l) next.set(a.key, [a.words[f]!, a.words[l]!]); }
        else next.set(a.key, [a.value(lo), a.value(hi)]);
      };
      put(ax, bx(Math.min(drag[0], drag[2])), bx(Math.max(drag[0], drag[2])));
      put(ay, by(Math.max(drag[1], drag[3])), by(Math.min(drag[1], drag[3])));
      setBrushes(next);
    } else if (near >= 0) go(href(["runs", p.search.ids[near]!]));
    setDrag(null);
  };
  const pick = (name: string, label: string, value: string, none?: boolean) => <label>{label} <select aria-label={label} value={value}
    onChange={(e) => set({ [name]: e.currentTarget.value || (none ? "none" : null), brush: null })}>
    {none && <option value="">one colour</option>}{p.known.map((k) => <option key={k} value={k}>{k}</option>)}</select></label>;
  const log = (k: string, name: string, a: ValueAxis | undefined) => a && !a.words && <label><input type="checkbox" checked={logs.includes(k)}
    onChange={() => set({ slog: (logs.includes(k) ? logs.filter((m) => m !== k) : [...logs, k]).join(",") || null })} />log {name}</label>;
  if (!ax || !ay) return <p class="empty">Fewer than two columns tell these runs apart.</p>;
  const says = (a: ValueAxis, r: number) => `${a.name} ${p.search.columns[a.key]![r] ?? "–"}`;
  return <div><div class="act">{pick("sx", "across", kx)}{log(kx, "across", ax)}{pick("sy", "up", ky)}{log(ky, "up", ay)}{pick("sc", "colour", kc, true)}</div>
    <div ref={ref} class="ch cv" style={{ height: `${H}px` }} role="group"
      aria-label={`Scatter of ${plural(p.search.ids.length, "run")}: ${ay.name} from ${ay.value(0)} to ${ay.value(1)} over ${ax.name} from ${ax.value(0)} to ${ax.value(1)}${ac ? `, coloured by ${ac.name}` : ""}`}
      onPointerDown={(e) => { if (e.button || e.pointerType === "touch") return; (e.currentTarget as Element).setPointerCapture(e.pointerId); const s = spot(e); setDrag([...s, ...s]); }}
      onPointerMove={move} onPointerUp={up} onPointerLeave={() => setNear(-1)}>
      <canvas ref={canvas} aria-hidden="true" />
      {W > 0 && <svg viewBox={`0 0 ${W} ${H}`} height={H} aria-hidden="true"><path class="axis" fill="none" d={`M${L} ${T}V${H - B}H${W - R}`} />
        {[0, 0.25, 0.5, 0.75, 1].map((v) => <g key={v}>{(!ay.words || v % 1 === 0) && <text x={L - 6} y={y(v) + 4} text-anchor="end">{ay.words ? ay.value(v).slice(0, 9) : num(Number(ay.value(v)), 3)}</text>}
          {(!ax.words || v % 1 === 0) && <text x={x(v)} y={H - B + 16} text-anchor={v === 1 ? "end" : v ? "middle" : "start"}>{ax.words ? ax.value(v).slice(0, 16) : num(Number(ax.value(v)), 3)}</text>}</g>)}
        <text class="k" x={W - R} y={H - 2} text-anchor="end">{ax.name}</text><text class="k" x={L + 6} y={T + 10}>{ay.name}</text>
        {near >= 0 && <circle cx={x(ax.at[near]!)} cy={y(ay.at[near]!)} r="6" fill="none" stroke="var(--ink)" stroke-width="2" />}</svg>}
      {drag && <i class="sel" style={{ left: `${Math.min(drag[0], drag[2])}px`, width: `${Math.abs(drag[2] - drag[0])}px`, top: `${Math.min(drag[1], drag[3])}px`, height: `${Math.abs(drag[3] - drag[1])}px` }} />}</div>
    <div class="read">{near >= 0 ? <><b>{p.search.names[near]}</b>{axes.map((a) => <span key={a.key}>{says(a, near)}</span>)}</> : <Ramp axis={ac} />}</div>
    <Says search={p.search} picked={picked} brushes={brushes} />
    <Ranges axes={axes} brushes={brushes} /></div>;
}
