/* The plain table: columns as [head, cell, flags].  Under 760 pixels each row
   becomes a card, with the heads as labels.  Flags: r right, v beside the
   first cell of a card, w as wide as the card, y reason, h row head, l label
   in the card (right cells have one anyway), q quiet. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { useWidth } from "./size";

export type Col<R> = [head: string, cell: (row: R, i: number) => ComponentChildren, flags?: string];

/** What may be wider than the page: then it scrolls, by keyboard too. */
export function Wide({ children, class: more = "" }: { children: ComponentChildren; class?: string }) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const [over, setOver] = useState(false);
  useLayoutEffect(() => { setOver(!!ref.current && ref.current.scrollWidth > width); });
  return <div ref={ref} class={`tw ${more}`} tabIndex={over ? 0 : undefined}>{children}</div>;
}

export function Table<R>({ rows, cols, here, caption, flat }: { rows: R[];
  cols: (Col<R> | false | null | undefined)[]; here?: (r: R) => boolean;
  caption?: string; flat?: boolean }) {
  const shown = cols.filter((c): c is Col<R> => !!c);
  const classes = (f: string) => [f.includes("r") && "r", f.includes("v") && "v", f.includes("w") && "wide",
    f.includes("y") && "why wide", f.includes("l") && "nw", f.includes("q") && "mut"].filter(Boolean).join(" ") || undefined;
  return <Wide><table class={flat ? undefined : "stack"}>
    {caption && <caption>{caption}</caption>}
    <thead><tr>{shown.map(([head, , f = ""]) => <th key={head} class={f.includes("r") ? "r" : undefined}>
      {head || <span class="hide">More</span>}</th>)}</tr></thead>
    <tbody>{rows.map((r, i) => <tr key={i} class={here?.(r) ? "here" : undefined}>{shown.map(([head, cell, f = ""], k) =>
      f.includes("h") ? <th key={head} scope="row" class={classes(f)}>{cell(r, i)}</th>
        : <td key={head} class={classes(f)} data-l={k && /[rl]/.test(f) ? head.toLowerCase() : undefined}>{cell(r, i)}</td>)}</tr>)}</tbody>
  </table></Wide>;
}
