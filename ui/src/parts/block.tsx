/* Blocks and their states, the same everywhere: loading keeps the height,
   empty says what will stand here and what fills it, an error shows the
   server's sentence and a way to try again while other blocks live on. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Failure, type Read, tokenWanted } from "../lib/api";
import { ago, time, zone } from "../lib/format";

export function Card(p: { title?: string; note?: ComponentChildren; side?: ComponentChildren;
  id?: string; children: ComponentChildren }) {
  return <section class="card" id={p.id} aria-label={p.title}>
    {p.title && <header><h2>{p.title}</h2>{p.note && <p>{p.note}</p>}
      {p.side && <><span class="sp" />{p.side}</>}</header>}
    {p.children}
  </section>;
}

export function Head(p: { title: ComponentChildren; lead?: ComponentChildren;
  actions?: ComponentChildren }) {
  return <div class="hd"><div><h1>{p.title}</h1>{p.lead && <p class="lead">{p.lead}</p>}</div>
    {p.actions && <div class="act">{p.actions}</div>}</div>;
}

export function Skeleton({ rows = 4 }: { rows?: number }) {
  return <div aria-busy="true"><span class="hide">Loading</span>
    {Array.from({ length: rows }, (_, i) => <div class="skel" key={i} />)}</div>;
}

const ADVICE: Record<number, string> = {
  0: "It may be restarting; what is shown stays as it was.",
  403: "This needs a role that your token does not have.",
  404: "It may have been removed, or its name is another.",
};

export function Oops({ failure, again }: { failure: Failure; again?: () => void }) {
  const [left, setLeft] = useState(failure.retryAfter);
  useEffect(() => {
    setLeft(failure.retryAfter);
    if (!failure.retryAfter) return;
    const timer = setInterval(() => setLeft((n) => {
      if (n <= 1) { clearInterval(timer); again?.(); }
      return Math.max(0, n - 1);
    }), 1000);
    return () => clearInterval(timer);
  }, [failure]);
  return <div class="oops" role="alert">
    <p>{failure.message}</p>
    <p class="mut sml">{ADVICE[failure.status] ?? ""} {failure.code}
      {failure.status ? ` (${failure.status})` : ""}
      {failure.request && <> request <code>{failure.request}</code></>}
      {left > 0 && ` Tried again in ${left} s.`}</p>
    {failure.status === 401
      ? <button class="sm" onClick={() => { tokenWanted.value = true; }}>Give a token…</button>
      : again && <button class="sm" onClick={again}>Try again</button>}
  </div>;
}

export function Empty({ children, command }: { children: ComponentChildren; command?: string }) {
  return <div class="empty"><p>{children}</p>{command && <Command text={command} />}</div>;
}

export function Copy({ text, what = "Copy" }: { text: string; what?: string }) {
  const [done, setDone] = useState(false);
  return <button class="sm" onClick={async () => {
    try { await navigator.clipboard.writeText(text); setDone(true); } catch { setDone(false); }
    setTimeout(() => setDone(false), 2000);
  }}>{done ? "Copied" : what}</button>;
}

export function Command({ text }: { text: string }) {
  return <div class="cmd"><code>{text}</code><Copy text={text} /></div>;
}

/** What a reading gives: its data, or the state it is in. */
export function Reading<T>(p: { of: Read<T>; rows?: number; empty?: ComponentChildren;
  isEmpty?: (data: T) => boolean; children: (data: T) => ComponentChildren }) {
  const { data, failure, again } = p.of;
  if (data === undefined)
    return failure ? <Oops failure={failure} again={again} /> : <Skeleton rows={p.rows} />;
  return <>{failure && <Oops failure={failure} again={again} />}
    {p.isEmpty?.(data) ? p.empty : p.children(data)}</>;
}

/** A time, machine-readable, with the zone in its title. */
export function Time({ ms, seconds }: { ms: number | null | undefined; seconds?: boolean }) {
  if (ms === null || ms === undefined) return <span class="mut">–</span>;
  const near = ago(ms);
  return <time dateTime={new Date(ms).toISOString()} title={zone()}>{time(ms, seconds)}
    {near && <span class="mut sml"> {near}</span>}</time>;
}

export function Tabs(p: { label: string; at: string; tabs: [string, string, string][] }) {
  return <nav class="tabs" aria-label={p.label}>{p.tabs.map(([id, name, to]) =>
    <a key={id} href={to} data-replace aria-current={p.at === id ? "page" : undefined}>{name}</a>)}</nav>;
}
