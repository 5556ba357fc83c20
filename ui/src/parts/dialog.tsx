/* Confirmation.  A button that changes something opens a dialog which asks the
   server, by a dry run of the very request, what will happen, and prints its
   sentences.  The request is sent only from there; what the server then
   answers stays beside the button. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ask, Failure, happened } from "../lib/api";
import { Oops, Skeleton } from "./block";

export function Dialog(p: { title: string; onClose: () => void; children: ComponentChildren;
  hideTitle?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const was = document.activeElement as HTMLElement | null;
    ref.current?.showModal();
    return () => was?.focus?.();
  }, []);
  return <dialog ref={ref} aria-labelledby={id} onClose={p.onClose}
    onClick={(e) => { if (e.target === ref.current) ref.current?.close(); }}>
    <h2 id={id} class={p.hideTitle ? "hide" : undefined}>{p.title}</h2>
    {p.children}
  </dialog>;
}

interface Effect { sentence: string; before?: unknown; after?: unknown }
interface DryRun { effects: Effect[]; refused: string | null; warnings?: string[] }

export interface Act {
  /** Verb and object, as on the button and the last button of the dialog. */
  title: string;
  method?: string;
  path: string;
  body?: Record<string, unknown>;
  /** Whether the audit wants to know why; the name of the field. */
  why?: string;
  /** What the field is called, where it is no reason. */
  ask?: string;
  danger?: boolean;
  /** More to fill in before: fields that change the body. */
  fields?: (body: Record<string, unknown>, set: (b: Record<string, unknown>) => void)
    => ComponentChildren;
  done?: (answer: any) => void;
}

const shown = (v: unknown) => v === null || v === undefined ? "–"
  : typeof v === "object" ? JSON.stringify(v) : String(v);

function Effects({ dry }: { dry: DryRun }) {
  return <>
    <p class="mut">What will happen, as the server computes it:</p>
    <ol>{dry.effects.map((e, i) => <li key={i}>{e.sentence}
      {(e.before !== undefined || e.after !== undefined) && shown(e.before) !== shown(e.after) &&
        <span class="mut sml"> <del>{shown(e.before)}</del> → <ins>{shown(e.after)}</ins></span>}</li>)}</ol>
    {dry.warnings?.map((w, i) => <div class="box warn" key={i}>{w}</div>)}
    {dry.refused && <div class="box bad" role="alert">Refused: {dry.refused}</div>}
  </>;
}

function Confirm({ act, onClose, onDone }: { act: Act; onClose: () => void;
  onDone: (said: string) => void }) {
  const [body, setBody] = useState<Record<string, unknown>>(act.body ?? {});
  const [why, setWhy] = useState("");
  const [dry, setDry] = useState<DryRun | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [busy, setBusy] = useState(false);
  const id = useId();
  const key = JSON.stringify(body);
  const full = () => act.why && why ? { ...body, [act.why]: why } : body;
  const dryPath = act.path + (act.path.includes("?") ? "&" : "?") + "dry_run=true";
  const fetchEffects = () => {
    let live = true;
    setDry(null);
    setFailure(null);
    ask<DryRun>(act.method ?? "POST", dryPath, body).then((d) => { if (live) setDry(d); },
      (e) => { if (live) setFailure(e as Failure); });
    return () => { live = false; };
  };
  useEffect(() => {
    const timer = setTimeout(fetchEffects, act.fields ? 200 : 0);
    return () => clearTimeout(timer);
  }, [key]);
  const ready = dry !== null && !dry.refused && !failure && !busy;
  const send = async () => {
    if (!ready) return;
    setBusy(true);
    try {
      const answer = await ask<any>(act.method ?? "POST", act.path, full());
      happened(["*"]);
      onDone(`${act.title}: the server has done it.`);
      act.done?.(answer);
      onClose();
    } catch (e) {
      setFailure(e as Failure);
      setBusy(false);
    }
  };
  return <Dialog title={`${act.title}?`} onClose={onClose}>
    {act.fields?.(body, setBody)}
    <div aria-live="polite">
      {dry ? <Effects dry={dry} /> : failure ? null : <Skeleton rows={3} />}
      {failure && <Oops failure={failure} again={() => { fetchEffects(); }} />}
    </div>
    {act.why && <><label class="field" for={id}>{act.ask ?? "Reason, kept in the log"}</label>
      <input id={id} class="wide" value={why} placeholder={act.ask ? "" : "why now?"}
        onInput={(e) => setWhy(e.currentTarget.value)}
        onKeyDown={(e) => { if (e.key === "Enter") { e.preventDefault(); void send(); } }} /></>}
    <div class="row">
      <button autofocus={!act.why} onClick={onClose}>Cancel</button>
      <button class={act.danger ? "danger" : "pri"} aria-disabled={!ready} onClick={send}>
        {busy ? "Asked…" : act.title}</button>
    </div>
  </Dialog>;
}

/** A button that acts.  With `not`, it is refused beforehand and says why. */
export function ActButton(p: { label: string; act: Act; primary?: boolean; danger?: boolean;
  small?: boolean; not?: string | null }) {
  const [open, setOpen] = useState(false);
  const [said, setSaid] = useState("");
  const id = useId();
  const classes = [p.primary ? "pri" : p.danger ? "danger" : "", p.small ? "sm" : ""]
    .filter(Boolean).join(" ");
  return <>
    <button class={classes || undefined} aria-disabled={p.not ? true : undefined}
      aria-describedby={p.not ? id : undefined}
      onClick={() => { if (!p.not) setOpen(true); }}>{p.label}…</button>
    {p.not && <span id={id} class="mut sml">{p.not}</span>}
    <span role="status" class="okt sml">{said}</span>
    {open && <Confirm act={p.act} onClose={() => setOpen(false)} onDone={setSaid} />}
  </>;
}
