/* The frame: navigation in the order of the loop, the top bar with the way
   back, the live mark, Find and the theme. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { token, tokenWanted } from "../lib/api";
import { count, inUtc, time, serverNow } from "../lib/format";
import { command, findOpen, helpOpen, keysOn, SECTIONS } from "../lib/keys";
import { link } from "../lib/live";
import { useOverview } from "../lib/overview";
import { go, href, place, section } from "../lib/router";
import type { Overview } from "../lib/types";
import { Copy } from "./block";
import { Dialog } from "./dialog";
import { Icon } from "./mark";

const ICONS: Record<string, string> = {
  Overview: "M2 8a6 6 0 1 1 2 4.5M2 13v-3.5h3.5",
  Data: "M2.5 4c0-1.4 11-1.4 11 0v8c0 1.4-11 1.4-11 0zM2.5 4c0 1.4 11 1.4 11 0M2.5 8c0 1.4 11 1.4 11 0",
  Features: "M2 4h12M2 8h8M2 12h5", Runs: "M2 13 6 7l3 3 5-7",
  Models: "M8 1.5 14 5v6l-6 3.5L2 11V5zM2 5l6 3.5L14 5M8 8.500v6",
  Deployments: "M8 14V3M4 7l4-4 4 4", Monitoring: "M1.500 8h3l2-5 3 10 2-5h3",
  Flows: "M3 3h4v4H3zM9 9h4v4H9zM7 5h4v4", Rehearsal: "M8 2a6 6 0 1 1-6 6M8 5v3l2 2M2 2v4h4",
  Settings: "M2 5h7M12 5h2M2 11h2M7 11h7M10.500 3v4M5.500 9v4",
};

export const crumbs = signal<[string, string | null][]>([]);

const theme = signal(0);
const THEMES = ["Auto", "Light", "Dark"];
try { // a choice of taste may be kept; nothing else is
  theme.value = Math.max(0, THEMES.indexOf(localStorage.getItem("slipway-theme") ?? "Auto"));
} catch { /* no storage: Auto */ }
theme.subscribe((i) => {
  if (i) document.documentElement.dataset.theme = THEMES[i]!.toLowerCase();
  else delete document.documentElement.dataset.theme;
  try { localStorage.setItem("slipway-theme", THEMES[i]!); } catch { /* as above */ }
});

function counts(o: Overview | undefined): Record<string, [string, boolean]> {
  if (!o) return {};
  const stale = o.sources.some((s) => s.fresh === false);
  return {
    Data: [count(o.sources.length), stale], Features: [count(o.features.length), false],
    Runs: [count(o.runs), false],
    Models: [count(o.models.length), false],
    Deployments: [count(o.deployments.length), o.deployments.some((d) => d.withdrawn)],
    Monitoring: [o.alerts.length ? count(o.alerts.length) : "", o.alerts.length > 0],
    Flows: [o.flows.length ? count(o.flows.length) : "", o.flows[0]?.state === "failed"],
  };
}

function Navigation({ open }: { open: boolean }) {
  const o = useOverview();
  const numbers = counts(o.data);
  const at = section.value;
  return <nav class={open ? "side open" : "side"} id="nav" aria-label="Main">
    <a class="logo" href="/"><svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <path d="M2 15h16M4 15l9-9M9 15l6-6" fill="none" stroke="var(--accent)" stroke-width="2.2" /></svg>Slipway</a>
    {SECTIONS.map(([, name, to]) => {
      const [n, mark] = numbers[name] ?? ["", false];
      const here = at === (name === "Overview" ? "overview" : name.toLowerCase());
      return <>{name === "Rehearsal" && <hr key="line" />}
        <a key={name} class="n" href={to} aria-current={here ? "page" : undefined}>
          <svg class="i" viewBox="0 0 16 16" aria-hidden="true"><path d={ICONS[name]} fill="none" stroke="currentColor" stroke-width="1.5" /></svg>
          {name}{mark ? <><Icon tone="warn" /><span class="hide">needs attention</span></> : n && <b>{n}</b>}</a></>;
    })}
    <div class="foot">{o.data?.project && <>Project {o.data.project}<br /></>}
      {time(serverNow())} {inUtc.value ? "UTC" : ""}<br />
      <button class="link" onClick={() => { inUtc.value = !inUtc.value; }}>{inUtc.value ? `Show ${Intl.DateTimeFormat().resolvedOptions().timeZone || "local time"}` : "Show UTC"}</button>
      {" · "}<button class="link" onClick={() => { helpOpen.value = true; }}>Keys</button></div>
  </nav>;
}

function LiveMark() {
  const l = link.value;
  const [words, cls] = l.is === "live" ? ["Live", "on"] : l.is === "polling" ? ["Every 5 s", "on"]
    : l.is === "joining" ? ["Joining", ""] : [`▲ Not live, since ${time(l.since, true).slice(11)}`, "lost"];
  return <span class={`live ${cls}`} role="status" title={words}><i /><span>{words}</span></span>;
}

function Top({ menu, setMenu }: { menu: boolean; setMenu: (v: boolean) => void }) {
  return <header class="top">
    <button id="menu" aria-label="Menu" aria-expanded={menu} aria-controls="nav" onClick={() => setMenu(!menu)}>☰</button>
    <span class="crumb">{crumbs.value.map(([name, to], i) => <span key={i}>{i > 0 && " / "}
      {to ? <a href={to}>{name}</a> : name}</span>)}</span>
    <span class="sp" /><LiveMark />
    <button class="find" onClick={() => { findOpen.value = true; }}><span>Find</span>
      <svg width="14" height="14" viewBox="0 0 14 14" role="img" aria-label="Find"><circle cx="6" cy="6" r="4.5" fill="none" stroke="currentColor" stroke-width="1.6" /><path d="m9.5 9.5 3.5 3.5" stroke="currentColor" stroke-width="1.6" /></svg>
      <kbd>Ctrl K</kbd></button>
    <button class="sm" aria-label={`Theme: ${THEMES[theme.value]}`} onClick={() => { theme.value = (theme.value + 1) % 3; }}>{THEMES[theme.value]}</button>
  </header>;
}

/* ---- Find ---- */

interface Hit { name: string; kind: string; to: string; more: string }

function hits(o: Overview | undefined): Hit[] {
  const list: Hit[] = SECTIONS.map(([k, name, to]) => ({ name, kind: `g ${k}`, to, more: "" }));
  if (!o) return list;
  for (const s of o.sources) list.push({ name: s.name, kind: "dataset", to: href(["data", s.name]), more: "" });
  for (const f of o.features) list.push({ name: f.name, kind: "features", to: href(["features", f.name]), more: "" });
  for (const m of o.models) {
    list.push({ name: m.name, kind: "model", to: href(["models", m.name]), more: "" });
    for (const n of [m.champion, m.challenger])
      if (n !== null) list.push({ name: `${m.name} v${n}`, kind: "version", to: href(["models", m.name, n]), more: "gate release lineage" });
  }
  for (const d of o.deployments) {
    list.push({ name: d.name, kind: "deployment", to: href(["deployments", d.name]), more: `${d.champion ?? ""} roll back weights promote` });
    list.push({ name: d.name, kind: "monitor", to: href(["monitoring", d.name]), more: "drift performance columns" });
  }
  for (const f of o.flows) list.push({ name: `Retrain of ${f.model}, run ${f.id}`, kind: "flow", to: href(["flows", f.id]), more: f.state });
  return list;
}

function Find() {
  const o = useOverview();
  const [q, setQ] = useState("");
  const [i, setI] = useState(0);
  const id = useId();
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const list = hits(o.data).filter((h) => words.every((w) =>
    `${h.name} ${h.kind} ${h.more}`.toLowerCase().includes(w))).slice(0, 50);
  if (/^[0-9a-f]{8,32}$/.test(q)) list.push({ name: `Run ${q}`, kind: "run", to: href(["runs", q]), more: "" });
  if (q) list.push({ name: `Runs with: ${q}`, kind: "filter", to: href(["runs"], { q: /[=<>]/.test(q) ? q : `attributes.run_name LIKE '%${q.replace(/'/g, "")}%'` }), more: "" });
  const close = () => { findOpen.value = false; };
  const open = (h: Hit | undefined) => { if (h) { close(); go(h.to); } };
  return <Dialog title="Find" hideTitle onClose={close}>
    <input class="wide" role="combobox" aria-expanded="true" aria-controls={id} autofocus value={q}
      aria-label="Find an object, a hash or a section" placeholder="Object, hash, section or run filter"
      aria-activedescendant={list.length ? `${id}-${i}` : undefined}
      onInput={(e) => { setQ(e.currentTarget.value); setI(0); }}
      onKeyDown={(e) => {
        if (e.key === "ArrowDown") setI(Math.min(list.length - 1, i + 1));
        else if (e.key === "ArrowUp") setI(Math.max(0, i - 1));
        else if (e.key === "Enter") open(list[i]);
        else return;
        e.preventDefault();
      }} />
    <ul class="hits" role="listbox" id={id} aria-label="Found" tabIndex={-1}>{list.map((h, k) =>
      <li key={h.to + h.kind + h.name} id={`${id}-${k}`} role="option" aria-selected={k === i} onClick={() => open(h)}>
        <span>{h.name}</span><span class="mut sml">{h.kind}</span></li>)}</ul>
  </Dialog>;
}

function Help() {
  const rows: [string, string][] = [
    ["g then a letter", "a section: " + SECTIONS.map(([k, n]) => `${k} ${n}`).join(", ")],
    ["Ctrl K or /", "find anything"], ["j k ↓ ↑", "next and previous row"], ["Enter", "open"],
    ["Space", "mark a row"], ["x", "compare what is marked"], ["p", "curves of the marked"],
    ["e", "edit the filter"], ["t", "a chart as table"], ["← → + −", "read and zoom a chart"],
    ["[ ]", "previous and next object"], ["c", "copy the command of this page"], ["Z", "times in UTC"], ["Esc", "back out"]];
  return <Dialog title="Keys" onClose={() => { helpOpen.value = false; }}>
    <p class="mut">No key changes anything in production.</p>
    <dl>{rows.map(([k, what]) => <><dt key={k}><kbd>{k}</kbd></dt><dd key={what}>{what}</dd></>)}</dl>
    <p><label><input type="checkbox" checked={keysOn.value} onChange={() => { keysOn.value = !keysOn.value; }} />Single keys are on</label></p>
    <div class="row"><button autofocus onClick={() => { helpOpen.value = false; }}>Close</button></div>
  </Dialog>;
}

function AskToken() {
  const [v, setV] = useState("");
  const id = useId();
  return <Dialog title="This server wants a token" onClose={() => { tokenWanted.value = false; }}>
    <p>It stays in this tab only and is forgotten with it. <code>slipway token make NAME --role reader</code> makes one.</p>
    <label class="field" for={id}>Token</label>
    <input id={id} class="wide" type="password" value={v} onInput={(e) => setV(e.currentTarget.value)} autofocus />
    <div class="row"><button onClick={() => { tokenWanted.value = false; }}>Cancel</button>
      <button class="pri" onClick={() => { token.value = v.trim(); tokenWanted.value = false; }}>Use it</button></div>
  </Dialog>;
}

export function Frame({ children }: { children: ComponentChildren }) {
  const [menu, setMenu] = useState(false);
  const path = place.value.path;
  useEffect(() => setMenu(false), [path]);
  useEffect(() => { // the title says the object first
    const names = crumbs.value.map(([n]) => n).reverse();
    document.title = [...names, "Slipway"].join(" · ");
  }, [crumbs.value]);
  return <>
    <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to content</a>
    <div class="app"><Navigation open={menu} />
      <div><Top menu={menu} setMenu={setMenu} />
        <main id="main" tabIndex={-1}>{children}
          {command.value && <div class="cmd"><span>The same on the command line (c):</span><code>{command.value}</code><Copy text={command.value} /></div>}
        </main></div></div>
    {findOpen.value && <Find />}
    {helpOpen.value && <Help />}
    {tokenWanted.value && <AskToken />}
  </>;
}
