/* How numbers, times and sizes are written: four significant digits, a true
   minus, groups of three, no locale.  NaN, infinity and "not known" are three
   different things and each is shown as what it is. */
import { signal } from "@preact/signals";

/** Shown where a value is not known. */
export const NONE = "–";
const MINUS = "−";

const grouped = (digits: string) => {
  const [whole = "", rest] = digits.split(".");
  const g = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return rest === undefined ? g : `${g}.${rest}`;
};

const signed = (v: number, text: string) => (v < 0 ? MINUS + text : text);

/** A count: 19,362; from ten million on 48.1 M. */
export function count(v: number | null | undefined): string {
  if (v === null || v === undefined) return NONE;
  const a = Math.abs(v);
  if (a >= 1e9) return signed(v, `${Number((a / 1e9).toPrecision(3))} G`);
  if (a >= 1e7) return signed(v, `${Number((a / 1e6).toPrecision(3))} M`);
  return signed(v, grouped(String(Math.round(a))));
}

/** A measured number with four significant digits. */
export function num(v: number | null | undefined, digits = 4): string {
  if (v === null || v === undefined) return NONE;
  if (Number.isNaN(v)) return "NaN";
  if (!Number.isFinite(v)) return signed(v, "∞");
  const a = Math.abs(v);
  if (a === 0) return "0";
  if (a >= 1e7) return count(v);
  if (a < 1e-4) return signed(v, a.toExponential(Math.max(0, digits - 3))
    .replace("-", MINUS).replace(/\.?0+(?=e)/, ""));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(a)));
  let text = a.toFixed(Math.min(decimals, 10));
  if (text.includes(".")) text = text.replace(/\.?0+$/, "");
  return signed(v, grouped(text));
}

/** A formatter with the same decimals for all values of a column. */
export function column(values: (number | null | undefined)[]) {
  const known = values.filter(
    (v): v is number => typeof v === "number" && Number.isFinite(v) && v !== 0);
  const top = known.length ? Math.max(...known.map(Math.abs)) : 1;
  if (top >= 1e7 || top < 1e-3) return (v: number | null | undefined) => num(v);
  const whole = known.every(Number.isInteger);
  const decimals = whole ? 0 :
    Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(top))));
  return (v: number | null | undefined) =>
    typeof v !== "number" || !Number.isFinite(v) ? num(v)
      : signed(v, grouped(Math.abs(v).toFixed(decimals)));
}

/** 0.0312 as "3.1 %"; with sign on demand. */
export function percent(v: number | null | undefined, sign = false): string {
  if (v === null || v === undefined) return NONE;
  if (!Number.isFinite(v)) return num(v);
  const p = Math.abs(v * 100);
  const text = p === 0 ? "0" : p < 0.01 ? "< 0.01"
    : p < 10 ? p.toFixed(1).replace(/\.0$/, "") : p < 1000 ? String(Math.round(p))
      : grouped(String(Math.round(p)));
  const mark = text === "0" || text === "0.0" ? ""
    : v < 0 ? MINUS : sign ? "+" : "";
  return `${mark}${text} %`;
}

/** A p-value; below resolution "< 0.0001". */
export function pValue(v: number | null | undefined): string {
  if (v === null || v === undefined) return NONE;
  return v < 1e-4 ? "< 0.0001" : v < 0.001 ? v.toFixed(4) : v < 0.1
    ? v.toFixed(3) : v.toFixed(2);
}

export function bytes(v: number | null | undefined): string {
  if (v === null || v === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (v >= 1024 && i < units.length - 1) { v /= 1024; i++; }
  return `${i === 0 || v >= 100 ? Math.round(v) : v.toFixed(1)} ${units[i]}`;
}

/** A duration with two units: "1 min 10 s". */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 0) return MINUS + duration(-ms);
  if (ms === 0) return "0 s";
  if (ms < 1) return `${Number((ms * 1000).toPrecision(2))} µs`;
  if (ms < 1000) return `${ms < 10 ? Number(ms.toPrecision(2)) : Math.round(ms)} ms`;
  if (ms < 10e3) return `${(ms / 1000).toFixed(1)} s`;
  const steps: [number, string][] =
    [[86400e3, "d"], [3600e3, "h"], [60e3, "min"], [1e3, "s"]];
  const i = steps.findIndex(([size]) => ms! >= size);
  const [size, unit] = steps[i]!;
  const next = steps[i + 1];
  const whole = Math.floor(ms / size);
  const rest = next ? Math.floor((ms - whole * size) / next[0]) : 0;
  return rest && next ? `${whole} ${unit} ${rest} ${next[1]}` : `${whole} ${unit}`;
}

/** "1 day", "2 days". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/* ---- times ---- */

/** Whether times are shown in UTC instead of the person's zone (key Z). */
export const inUtc = signal(false);

/** The server's present time minus this browser's; a manual clock stands. */
export const serverClock = signal<{ offset: number; manual: number | null }>(
  { offset: 0, manual: null });

export function serverNow(): number {
  const c = serverClock.value;
  return c.manual ?? Date.now() + c.offset;
}

const two = (n: number) => String(n).padStart(2, "0");

export function day(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  const d = new Date(ms);
  return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
}

export function time(ms: number | null | undefined, seconds = false): string {
  if (ms === null || ms === undefined) return NONE;
  const shift = inUtc.value ? 0 : -new Date(ms).getTimezoneOffset() * 60e3;
  const text = new Date(ms + shift).toISOString();
  return text.slice(0, 10) + " " + text.slice(11, seconds ? 19 : 16);
}

/** "3 h ago" while under 48 hours, else nothing. */
export function ago(ms: number): string {
  const past = serverNow() - ms;
  if (past < -1000 || past > 48 * 3600e3) return "";
  if (past < 60e3) return "just now";
  return past < 3600e3 ? `${Math.floor(past / 60e3)} min ago`
    : `${Math.floor(past / 3600e3)} h ago`;
}

export const zone = () => inUtc.value ? "UTC"
  : Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";

/** A time of the REST API: milliseconds, or ISO 8601. */
export function toMs(v: number | string | null | undefined): number | null {
  if (v === null || v === undefined || v === "") return null;
  const ms = typeof v === "number" ? v : Date.parse(v);
  return Number.isFinite(ms) ? ms : null;
}

/** The part of a hash that people compare. */
export const hash = (h: string | null | undefined, n = 7) => (h ? h.slice(0, n) : NONE);
