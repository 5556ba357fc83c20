/* Scales and ticks of the charts that are drawn as SVG. */

export interface Scale { (v: number): number; ticks: number[] }

const nice = (step: number) => {
  const p = 10 ** Math.floor(Math.log10(step));
  const f = step / p;
  return (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10) * p;
};

export function linear(lo: number, hi: number, from: number, to: number, n = 4): Scale {
  if (!(hi > lo)) { hi = lo + (Math.abs(lo) || 1) * 0.1; lo -= (Math.abs(lo) || 1) * 0.1; }
  const k = (to - from) / (hi - lo);
  const scale = ((v: number) => from + (v - lo) * k) as Scale;
  const step = nice((hi - lo) / Math.max(1, n));
  scale.ticks = [];
  for (let t = Math.ceil(lo / step - 1e-9) * step; t <= hi + step * 1e-9; t += step)
    scale.ticks.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return scale;
}

/** A logarithmic axis: powers of ten, with 2 and 5 between where few fit. */
export function logarithmic(lo: number, hi: number, from: number, to: number): Scale {
  const a = Math.log10(lo), b = Math.log10(hi), pad = (b - a || 1) * 0.06;
  const line = linear(a - pad, b + pad, from, to);
  const scale = ((v: number) => line(Math.log10(v))) as Scale;
  const every = Math.max(1, Math.ceil((b - a) / 6));
  scale.ticks = [];
  for (let e = Math.floor(a - pad); e <= b + pad; e++)
    for (const m of b - a < 3 ? [1, 2, 5] : [1]) {
      const l = e + Math.log10(m);
      if ((m > 1 || e % every === 0) && l >= a - pad && l <= b + pad) scale.ticks.push(m * 10 ** e);
    }
  return scale.ticks.length > 1 ? scale : Object.assign(scale, { ticks: [lo, hi] });
}

/** Index of the value of a rising list that is nearest to v; -1 of none. */
export function nearest(list: number[], v: number): number {
  let a = 0, b = list.length - 1;
  while (a < b) {
    const m = (a + b) >> 1;
    if (list[m]! < v) a = m + 1; else b = m;
  }
  return a > 0 && v - list[a - 1]! <= list[a]! - v ? a - 1 : Math.min(a, list.length - 1);
}

/** Ticks of a time axis: few, on days, months or years. */
export function timeTicks(lo: number, hi: number, most: number): { t: number; text: string }[] {
  const DAY = 86400e3;
  const span = hi - lo, list: { t: number; text: string }[] = [];
  const iso = (t: number) => new Date(t).toISOString();
  if (span < 3 * DAY) {
    const step = [60e3, 300e3, 900e3, 3600e3, 3 * 3600e3, 6 * 3600e3, 12 * 3600e3, DAY]
      .find((s) => span / s <= most) ?? DAY;
    for (let t = Math.ceil(lo / step) * step; t <= hi; t += step)
      list.push({ t, text: iso(t).slice(11, 16) });
    return list;
  }
  if (span / DAY <= most * 14) {
    const step = [1, 2, 7, 14].find((s) => span / DAY / s <= most)! * DAY;
    for (let t = Math.ceil(lo / step) * step; t <= hi; t += step)
      list.push({ t, text: iso(t).slice(5, 10) });
    return list;
  }
  const months = [1, 2, 3, 6, 12, 24, 60].find((m) => span / DAY / 30.4 / m <= most) ?? 120;
  const d = new Date(lo);
  for (let m = d.getUTCFullYear() * 12 + Math.ceil((d.getUTCMonth() + 1) / months) * months;; m += months) {
    const t = Date.UTC(Math.floor(m / 12), m % 12, 1);
    if (t > hi) break;
    if (t >= lo) list.push({ t, text: months % 12 ? iso(t).slice(0, 7) : iso(t).slice(0, 4) });
  }
  return list;
}

/** Straight lines through what is known; a gap stays a gap. */
export function path(points: [number, number | null][]): string {
  let d = "", pen = false;
  for (const [x, y] of points) {
    if (y === null || !Number.isFinite(y)) { pen = false; continue; }
    d += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  }
  return d;
}

/** Smallest and largest value of each pixel, so that no spike is lost. */
export function perPixel<T extends { t: number }>(points: T[], width: number,
  value: (p: T) => number | null): T[] {
  if (points.length <= width * 2) return points;
  const lo = points[0]!.t, span = points[points.length - 1]!.t - lo || 1;
  const out: T[] = [];
  let bin = -1, min: T | null = null, max: T | null = null;
  const flush = () => {
    if (!min || !max) return;
    if (min === max) out.push(min);
    else out.push(...(min.t < max.t ? [min, max] : [max, min]));
  };
  for (const p of points) {
    const b = Math.floor((p.t - lo) / span * width), v = value(p);
    if (b !== bin) { flush(); bin = b; min = max = null; }
    if (v === null) continue;
    if (!min || v < (value(min) ?? Infinity)) min = p;
    if (!max || v > (value(max) ?? -Infinity)) max = p;
  }
  flush();
  return out;
}
