/* Lineage as a drawing that is a list: layers by how many steps lead to them, from
   left to right, each box a link in reading order; under 560 pixels from top to bottom.  At most
   40 boxes are drawn, the rest is counted. */
import { hash } from "../lib/format";
import { href } from "../lib/router";
import type { Lineage } from "../lib/types";
import { useWidth } from "./size";

const NAME: Record<string, string> = { dataset: "Dataset", features: "Features", engine: "Engine",
  code: "Code", run: "Run", release: "Release", version: "Version", deployment: "Deployment", monitor: "Monitor" };
const MOST = 40;

interface Box { id: string; kind: string; label: string; sub: string; to: string | null; x: number; y: number }

function linkOf(kind: string, label: string, id: string): string | null {
  if (kind === "dataset") {
    const [name = "", ver = ""] = label.split(" v");
    return href(["data", name, ver]);
  }
  if (kind === "features") return href(["features", label]);
  if (kind === "run") return href(["runs", id.split(":").pop() ?? label]);
  if (kind === "version") return href(["models", ...label.split("/")]);
  if (kind === "deployment") return href(["deployments", label]);
  if (kind === "monitor") return href(["monitoring", label]);
  return null;
}

export function LineageMap({ of, own }: { of: Lineage; own: string }) {
  const [ref, W] = useWidth<HTMLDivElement>();
  const nodes = of.nodes.slice(0, MOST), more = of.nodes.length - nodes.length;
  const layers: Box[][] = [], depth: Record<string, number> = {};
  for (const _ of Object.keys(NAME)) for (const [a, b] of of.edges) depth[b] = Math.max(depth[b] ?? 0, (depth[a] ?? 0) + 1);
  for (const n of nodes) {
    (layers[depth[n.id] ?? 0] ??= []).push({ id: n.id, kind: n.kind,
      label: n.kind === "run" ? hash(n.label, 10) : n.label,
      sub: NAME[n.kind] ?? n.kind, to: linkOf(n.kind, n.label, n.id), x: 0, y: 0 });
  }
  const used = layers.filter((l) => l?.length);
  // Order in a layer by the mean place of what it is tied to: fewer crossings.
  for (let pass = 0; pass < 2; pass++)
    used.forEach((layer, i) => {
      const before = used[i - 1];
      if (!before) return;
      const weight = (b: Box) => {
        const tied = of.edges.filter(([, to]) => to === b.id)
          .map(([from]) => before.findIndex((x) => x.id === from)).filter((k) => k >= 0);
        return tied.length ? tied.reduce((a, c) => a + c, 0) / tied.length : 99;
      };
      layer.sort((a, b) => weight(a) - weight(b));
    });
  const tall = W < 560, bh = 44, gap = 12;
  const bw = tall ? Math.max(90, Math.min(W, 340)) : Math.max(90, Math.min(168, (W - (used.length - 1) * 28) / used.length));
  const rows = Math.max(1, ...used.map((l) => l.length));
  let down = 0;
  used.forEach((layer, i) => layer.forEach((b, j) => {
    if (tall) { b.x = 0; b.y = down; down += bh + gap; return; }
    b.x = used.length > 1 ? i * (W - bw) / (used.length - 1) : 0;
    b.y = (rows - layer.length) * (bh + gap) / 2 + j * (bh + gap);
  }));
  const height = tall ? down : rows * (bh + gap);
  const at = new Map(used.flat().map((b) => [b.id, b]));
  const cut = (s: string) => s.length > bw / 7.2 ? `${s.slice(0, Math.floor(bw / 7.2) - 1)}…` : s;
  return <div ref={ref} class="ch"><svg viewBox={`0 0 ${W || 1} ${height}`} height={height} role="group"
    aria-label={`Lineage: ${used.map((l) => l.map((b) => `${b.sub} ${b.label}`).join(", ")).join(" → ")}`}>
    {!tall && of.edges.map(([from, to]) => {
      const a = at.get(from), b = at.get(to);
      if (!a || !b) return null;
      const x1 = a.x + bw, y1 = a.y + bh / 2, y2 = b.y + bh / 2, m = (x1 + b.x) / 2;
      return <path key={from + to} d={`M${x1} ${y1}C${m} ${y1} ${m} ${y2} ${b.x} ${y2}`} fill="none" stroke="var(--edge)" stroke-width="1.3" />;
    })}
    {tall && used.flat().slice(1).map((b) => <path key={b.id} d={`M20 ${b.y - gap}V${b.y}`} stroke="var(--edge)" stroke-width="1.3" />)}
    {used.flat().map((b) => {
      const box = <g>
        <rect x={b.x + 0.5} y={b.y + 0.5} width={bw - 1} height={bh - 1} rx="6"
          fill={b.id === own ? "var(--infob)" : "var(--panel)"} stroke={b.id === own ? "var(--accent)" : "var(--edge)"} />
        <text class="k" x={b.x + 10} y={b.y + 18} style={{ fontWeight: 560 }}>{cut(b.label)}</text>{" "}
        <text x={b.x + 10} y={b.y + 34}>{b.sub}</text></g>;
      return b.to ? <a key={b.id} href={b.to}>{box}</a> : <g key={b.id}>{box}</g>;
    })}
  </svg>{more > 0 && <p class="note">and {more} more</p>}</div>;
}
