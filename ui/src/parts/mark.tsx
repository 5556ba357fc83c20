/* The marks: a shape and a word each, never colour alone. */
import type { ComponentChildren } from "preact";
import type { Tone } from "../lib/words";

const SHAPES: Record<string, preact.JSX.Element> = {
  ok: <><circle cx="7" cy="7" r="6.4" fill="currentColor" /><path d="M4 7.2 6.2 9.3 10 5" fill="none" stroke="var(--panel)" stroke-width="1.7" /></>,
  warn: <><path d="M7 .8 13.6 13H.4z" fill="currentColor" /><path d="M7 5v4M7 10.3v1.4" stroke="var(--panel)" stroke-width="1.6" /></>,
  bad: <><path d="M4.2.6h5.6l3.6 3.6v5.6l-3.6 3.6H4.2L.6 9.8V4.2z" fill="currentColor" /><path d="m4.8 4.8 4.4 4.4m0-4.4L4.8 9.2" stroke="var(--panel)" stroke-width="1.6" /></>,
  info: <><circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" stroke-width="2" opacity=".35" /><path d="M7 1.6A5.4 5.4 0 0 1 12.4 7" fill="none" stroke="currentColor" stroke-width="2" /></>,
  idle: <circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" stroke-width="1.8" />,
};

export function Icon({ tone }: { tone: Tone }) {
  return <svg class={`ic ${tone}t`} viewBox="0 0 14 14" aria-hidden="true"
    style={{ color: `var(--${tone})` }}>{SHAPES[tone]}</svg>;
}

export function Mark({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`st ${tone}`}><Icon tone={tone} />{children}</span>;
}
