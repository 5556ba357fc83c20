/* Small drawings: distributions, intervals, weights, sparklines of counts. */
import { count, num, percent } from "../lib/format";
import { linear } from "../lib/scale";
import type { Histogram } from "../lib/types";
import { useWidth } from "./size";

const share = (counts: number[]) => {
  const n = counts.reduce((a, b) => a + b, 0) || 1;
  return counts.map((c) => c / n);
};

/** Reference as filled steps, current as an outline, 86 by 24. */
export function MiniDist({ reference, current, name }: { reference: number[];
  current?: number[]; name: string }) {
  const r = share(reference), c = current ? share(current) : [];
  const top = Math.max(...r, ...c, 1e-9), n = r.length, w = 86 / n;
  let d = "";
  c.forEach((v, i) => { d += `${i ? "L" : "M"}${i * w} ${23 - v / top * 22}h${w}`; });
  return <svg class="mini" viewBox="0 0 86 24" role="img" aria-label={name}>
    {r.map((v, i) => <rect key={i} x={i * w} width={Math.max(0.5, w - 0.4)} y={23 - v / top * 22}
      height={v / top * 22} class={current ? "refd" : undefined} fill={current ? undefined : "var(--c1)"} />)}
    {d && <path d={d} fill="none" stroke="var(--c2)" stroke-width="1.5" />}
    <path class="axis" d="M0 23.5H86" />
  </svg>;
}

/** A histogram of a column, with its edges. */
export function Histo({ h, name }: { h: Histogram; name: string }) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const top = Math.max(...h.counts, 1), n = h.counts.length;
  const lo = h.edges[0] ?? 0, hi = h.edges[h.edges.length - 1] ?? 1;
  const x = linear(lo, hi, 4, Math.max(200, W - 4), 4);
  return <div ref={ref} class="ch"><svg viewBox={`0 0 ${W || 1} 150`} height="150" role="img"
    aria-label={`Histogram of ${name} from ${num(lo)} to ${num(hi)} in ${n} bins`}>
    {h.counts.map((c, i) => <rect key={i} x={x(h.edges[i]!)} fill="var(--c1)"
      width={Math.max(0.5, x(h.edges[i + 1]!) - x(h.edges[i]!) - 1)} y={124 - c / top * 116} height={c / top * 116}>
      <title>{num(h.edges[i])} to {num(h.edges[i + 1])}: {count(c)}</title></rect>)}
    <path class="axis" d={`M0 124.5H${W}`} />
    {x.ticks.map((t) => <text key={t} x={x(t)} y="142" text-anchor="middle">{num(t, 3)}</text>)}
  </svg></div>;
}

/** Two distributions over the same bins.  The outer bins are open: the edges
    are the reference's quantiles. */
export function TwoDist({ edges, reference, current, name }: { edges: number[];
  reference: number[]; current: number[]; name: string }) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const r = share(reference), c = share(current), n = r.length;
  const top = Math.max(...r, ...c, 0.01) * 1.08;
  const L = 40, w = Math.max(2, (W - L - 6) / n), y = linear(0, top, 150, 8, 3);
  let d = "";
  c.forEach((v, i) => { d += `${i ? "L" : "M"}${L + i * w} ${y(v)}h${w}`; });
  const every = Math.ceil(58 / w);
  return <div ref={ref} class="ch"><svg viewBox={`0 0 ${W || 1} 186`} height="186" role="img"
    aria-label={`${name}: share of rows per bin, reference and now`}>
    {y.ticks.map((t) => <g key={t}><path class="grid" d={`M${L} ${y(t)}H${W}`} />
      <text x={L - 6} y={y(t) + 4} text-anchor="end">{percent(t)}</text></g>)}
    {r.map((v, i) => <rect key={i} class="refd" x={L + i * w + 0.5} width={Math.max(1, w - 1)}
      y={y(v)} height={150 - y(v)}><title>reference {percent(v)}, now {percent(c[i] ?? 0)}</title></rect>)}
    <path d={d} fill="none" stroke="var(--c2)" stroke-width="2" />
    <path class="axis" d={`M${L} 150.5H${W}`} />
    {edges.map((e, i) => (i % every === 0) && <text key={i} x={L + (i + 1) * w} y="168" text-anchor="middle">{num(e, 3)}</text>)}
  </svg></div>;
}

/** ├──●──┤ about zero: left of zero is better. */
export function Interval({ mid, half, reach, unit = percent }: { mid: number; half: number;
  reach: number; unit?: (v: number, sign?: boolean) => string }) {
  const x = linear(-reach, reach, 4, 156);
  const color = mid + half < 0 ? "var(--ok)" : mid - half > 0 ? "var(--bad)" : "var(--warn)";
  return <svg viewBox="0 0 160 20" width="120" height="20" role="img"
    aria-label={`${unit(mid, true)}, 95 % interval ${unit(mid - half, true)} to ${unit(mid + half, true)}`}>
    <path class="axis" d="M80 1V19" /><path class="grid" d="M4 10H156" />
    <path d={`M${x(mid - half)} 10H${x(mid + half)}M${x(mid - half)} 6v8M${x(mid + half)} 6v8`} stroke={color} stroke-width="2" fill="none" />
    <circle cx={x(mid)} cy="10" r="4" fill={color} />
  </svg>;
}

/** Who answers what share: the bar of weights. */
export function Weights({ parts }: { parts: { name: string; share: number; kind: string }[] }) {
  return <div class="bar" role="img" aria-label={parts.map((p) => `${p.name} ${percent(p.share)}`).join(", ")}>
    {parts.map((p) => <i key={p.name} class={p.kind} style={{ width: `${p.share * 100}%` }} />)}</div>;
}
