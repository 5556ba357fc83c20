/* The virtual table: rows of 32 pixels, of which only the visible are in the
   document, and of these only the cells within the width.  A row is drawn
   again only when what it shows changes, and rows that leave are used for
   those that come, so that scrolling is cheap.  One tab stop; arrows or j and k move, Enter opens, Space marks.
   Pages of rows come as they are scrolled to; the scroll bar is over all. */
import { Component, type ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { onKeys } from "../lib/keys";
import { go } from "../lib/router";

export interface Column<R> {
  id: string; name: string; width: number; right?: boolean; sort?: boolean;
  cell: (row: R) => ComponentChildren;
  text?: (row: R) => string;
}

const ROW = 32, MARK = 36, MORE = 4; // rows beyond each edge
const STEP = 240; // of scrolling sideways, pixels

/** A column in its place. */
interface Cell<R> { c: Column<R>; index: number; left: number; width: number }

interface RowProps<R> {
  i: number; r: R | undefined; id: string; dom: string; cells: Cell<R>[]; width: number; marked: boolean; markable: boolean; cur: boolean;
  act: { mark: (id: string) => void; point: (i: number) => void };
}
class Row<R> extends Component<RowProps<R>> {
  override shouldComponentUpdate(n: RowProps<R>, state: unknown) {
    const o = this.props; // another state: a signal that a cell reads has changed
    return state !== this.state || n.r !== o.r || n.i !== o.i || n.cells !== o.cells || n.marked !== o.marked
      || n.cur !== o.cur || n.markable !== o.markable || n.width !== o.width;
  }
  render({ i, r, id, dom, cells, width, marked, markable, cur, act }: RowProps<R>) {
    return <div id={dom} role="row" aria-rowindex={i + 2} style={{ transform: `translateY(${i * ROW}px)`, width: `${width}px` }}
      aria-selected={markable ? marked : undefined} class={`vr${marked ? " mark" : ""}${cur ? " cur" : ""}`} onMouseDown={() => act.point(i)}>
      {markable && <div role="gridcell" aria-colindex={1} class="c" style={{ left: 0, width: `${MARK}px` }}>{r && <input type="checkbox" tabIndex={-1} checked={marked}
        aria-label={`Mark ${id}`} onChange={() => act.mark(id)} />}</div>}
      {cells.map(({ c, index, left, width: w }) => <div key={c.id} role="gridcell" aria-colindex={index} class={`c${c.right ? " r" : ""}`}
        style={{ left: `${left}px`, width: `${w}px` }}>{r ? c.cell(r) : <span class="mut">…</span>}</div>)}</div>;
  }
}

export function Grid<R>(p: { label: string; columns: Column<R>[]; total: number;
  row: (i: number) => R | undefined; need?: (from: number, to: number) => void;
  id: (r: R) => string; to?: (r: R) => string;
  sort?: string; onSort?: (s: string) => void;
  marked?: Set<string>; onMark?: (id: string) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const base = useId();
  const [first, setFirst] = useState(0); // row at the top
  const [side, setSide] = useState(0); // scrolled sideways, in steps
  const [[wide, high], setSize] = useState([800, 480]);
  const [cur, setCur] = useState(0);
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const see = new ResizeObserver(() => setSize([el.clientWidth, el.clientHeight]));
    see.observe(el);
    return () => see.disconnect();
  }, []);
  const shown = Math.ceil(high / ROW) + 1;
  const from = Math.max(0, Math.min(first, p.total - 1) - MORE);
  const to = Math.min(p.total, first + shown + MORE);
  const { all, width } = useMemo(() => {
    let left = p.onMark ? MARK : 0;
    const all = p.columns.map((c, i): Cell<R> => {
      const w = i === p.columns.length - 1 ? Math.max(c.width, wide - left) : c.width;
      left += w;
      return { c, index: i + (p.onMark ? 2 : 1), left: left - w, width: w };
    });
    return { all, width: Math.max(left, wide) };
  }, [p.columns, wide, !p.onMark]);
  const cells = useMemo(() => all.filter((c, i) => i === 0 || (c.left < side + STEP + wide && c.left + c.width > side - STEP)), [all, side, wide]);
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
  const now = useRef(p);
  now.current = p;
  const act = useMemo(() => ({ mark: (id: string) => now.current.onMark?.(id), point: setCur }), []);
  const rows: preact.JSX.Element[] = [];
  const pool = shown + 2 * MORE;
  for (let i = from; i < to; i++) {
    const r = p.row(i), id = r ? p.id(r) : "";
    rows.push(<Row key={i % pool} i={i} r={r} id={id} dom={`${base}-${i}`} cells={cells as Cell<unknown>[]} width={width} markable={!!p.onMark}
      marked={!!r && !!p.marked?.has(id)} cur={i === cur} act={act} />);
  }
  const sorted = p.sort?.replace(/^-/, ""), down = p.sort?.startsWith("-");
  return <div ref={box} class="vt" role="grid" tabIndex={0} aria-label={p.label} onKeyDown={key}
    onCopy={copy} aria-rowcount={p.total + 1} aria-multiselectable={p.onMark ? true : undefined}
    aria-activedescendant={p.total && cur >= from && cur < to ? `${base}-${cur}` : undefined}
    aria-colcount={p.columns.length + (p.onMark ? 1 : 0)} onScroll={(e) => {
      setFirst(Math.floor(e.currentTarget.scrollTop / ROW));
      setSide(Math.floor(e.currentTarget.scrollLeft / STEP) * STEP);
    }}>
    <div role="rowgroup" class="vg"><div role="row" aria-rowindex={1} class="vh" style={{ width: `${width}px` }}>
      {p.onMark && <div role="columnheader" aria-colindex={1} class="c" style={{ left: 0, width: `${MARK}px` }}><span class="hide">Marked</span></div>}
      {all.map(({ c, index, left, width: w }) => <div key={c.id} role="columnheader" aria-colindex={index} class={`c${c.right ? " r" : ""}`} title={c.name} style={{ left: `${left}px`, width: `${w}px` }}
        aria-sort={sorted === c.id ? (down ? "descending" : "ascending") : undefined}>
        {c.sort && p.onSort ? <button tabIndex={-1} onClick={() => p.onSort!(sorted === c.id && !down ? `-${c.id}` : c.id)}>
          {c.name}{sorted === c.id ? (down ? " ↓" : " ↑") : ""}</button> : c.name}</div>)}
    </div></div>
    <div role="rowgroup" style={{ height: `${p.total * ROW}px`, width: `${width}px`, position: "relative" }}>{rows}</div>
  </div>;
}
