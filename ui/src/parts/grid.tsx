/* The virtual table: rows of 32 pixels, of which only the visible are in the
   document.  One tab stop; arrows or j and k move, Enter opens, Space marks.
   Pages of rows come as they are scrolled to; the scroll bar is over all. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { onKeys } from "../lib/keys";
import { go } from "../lib/router";

export interface Column<R> {
  id: string; name: string; width: number; right?: boolean; sort?: boolean;
  cell: (row: R) => ComponentChildren;
  text?: (row: R) => string;
}

const ROW = 32;

export function Grid<R>(p: { label: string; columns: Column<R>[]; total: number;
  row: (i: number) => R | undefined; need?: (from: number, to: number) => void;
  id: (r: R) => string; to?: (r: R) => string;
  sort?: string; onSort?: (s: string) => void;
  marked?: Set<string>; onMark?: (id: string) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const base = useId();
  const [top, setTop] = useState(0);
  const [high, setHigh] = useState(480);
  const [cur, setCur] = useState(0);
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const see = new ResizeObserver(() => setHigh(el.clientHeight));
    see.observe(el);
    return () => see.disconnect();
  }, []);
  const from = Math.max(0, Math.floor(top / ROW) - 6);
  const to = Math.min(p.total, Math.ceil((top + high) / ROW) + 6);
  useEffect(() => { p.need?.(from, to); }, [from, to, p.total, p.need]);
  const show = (i: number) => {
    const next = Math.max(0, Math.min(p.total - 1, i));
    setCur(next);
    const el = box.current;
    if (!el) return;
    const y = next * ROW;
    if (y < el.scrollTop) el.scrollTop = y;
    else if (y + ROW * 2 > el.scrollTop + el.clientHeight) el.scrollTop = y + ROW * 2 - el.clientHeight;
  };
  const open = () => { const r = p.row(cur); if (r && p.to) go(p.to(r)); };
  const mark = () => { const r = p.row(cur); if (r) p.onMark?.(p.id(r)); };
  useEffect(() => onKeys({ j: () => { box.current?.focus(); show(cur + 1); },
    k: () => { box.current?.focus(); show(cur - 1); } }), [cur, p.total]);
  const key = (e: KeyboardEvent) => {
    if ((e.target as HTMLElement).closest("button,input")) return;
    const page = Math.max(1, Math.floor(high / ROW) - 2);
    const move: Record<string, number> = { ArrowDown: cur + 1, ArrowUp: cur - 1,
      PageDown: cur + page, PageUp: cur - page, Home: 0, End: p.total - 1 };
    if (e.key in move) show(move[e.key]!);
    else if (e.key === "Enter") open();
    else if (e.key === " " && p.onMark) mark();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  const copy = (e: ClipboardEvent) => {
    if (getSelection()?.toString()) return;
    const rows = [];
    for (let i = 0; i < p.total; i++) {
      const r = p.row(i);
      if (r && (!p.marked?.size || p.marked.has(p.id(r)))) rows.push(r);
    }
    const line = (r: R) => p.columns.map((c) => c.text?.(r) ?? "").join("\t");
    e.clipboardData?.setData("text/plain", [p.columns.map((c) => c.name).join("\t"), ...rows.map(line)].join("\n"));
    e.preventDefault();
  };
  const template = { gridTemplateColumns: (p.onMark ? "36px " : "")
    + p.columns.map((c, i) => i === p.columns.length - 1 ? `minmax(${c.width}px,1fr)` : `${c.width}px`).join(" ") };
  const rows: preact.JSX.Element[] = [];
  for (let i = from; i < to; i++) {
    const r = p.row(i);
    const id = r ? p.id(r) : "";
    const style = { ...template, top: `${i * ROW}px` };
    const marked = !!r && !!p.marked?.has(id);
    rows.push(<div key={i} id={`${base}-${i}`} role="row" aria-rowindex={i + 2} style={style}
      aria-selected={p.onMark ? marked : undefined}
      class={`vr${marked ? " mark" : ""}${i === cur ? " cur" : ""}`} onMouseDown={() => setCur(i)}>
      {p.onMark && <div role="gridcell" class="c">{r && <input type="checkbox" tabIndex={-1} checked={marked}
        aria-label={`Mark ${id}`} onChange={() => p.onMark!(id)} />}</div>}
      {p.columns.map((c) => <div key={c.id} role="gridcell" class={`c${c.right ? " r" : ""}`}>
        {r ? c.cell(r) : <span class="mut">…</span>}</div>)}</div>);
  }
  const sorted = p.sort?.replace(/^-/, ""), down = p.sort?.startsWith("-");
  return <div ref={box} class="vt" role="grid" tabIndex={0} aria-label={p.label} onKeyDown={key}
    onCopy={copy} aria-rowcount={p.total + 1} aria-multiselectable={p.onMark ? true : undefined}
    aria-activedescendant={p.total && cur >= from && cur < to ? `${base}-${cur}` : undefined}
    onScroll={(e) => setTop(e.currentTarget.scrollTop)}>
    <div role="rowgroup"><div role="row" aria-rowindex={1} class="vh" style={template}>
      {p.onMark && <div role="columnheader" class="c"><span class="hide">Marked</span></div>}
      {p.columns.map((c) => <div key={c.id} role="columnheader" class={`c${c.right ? " r" : ""}`} title={c.name}
        aria-sort={sorted === c.id ? (down ? "descending" : "ascending") : undefined}>
        {c.sort && p.onSort ? <button tabIndex={-1} onClick={() => p.onSort!(sorted === c.id && !down ? `-${c.id}` : c.id)}>
          {c.name}{sorted === c.id ? (down ? " ↓" : " ↑") : ""}</button> : c.name}</div>)}
    </div></div>
    <div role="rowgroup" style={{ height: `${p.total * ROW}px`, position: "relative" }}>{rows}</div>
  </div>;
}
