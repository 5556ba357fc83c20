/* The keyboard.  No key acts on production; all are off while typing, and can
   be switched off as a whole. */
import { signal } from "@preact/signals";
import { inUtc } from "./format";
import { go } from "./router";

export const SECTIONS: [string, string, string][] = [
  ["o", "Overview", "/"], ["d", "Data", "/data"], ["f", "Features", "/features"],
  ["r", "Runs", "/runs"], ["m", "Models", "/models"], ["p", "Deployments", "/deployments"],
  ["n", "Monitoring", "/monitoring"], ["w", "Flows", "/flows"],
  ["h", "Rehearsal", "/rehearsal"], ["s", "Settings", "/settings"],
];

export const keysOn = signal(true);
export const findOpen = signal(false);
export const helpOpen = signal(false);
/** The command that shows what the page shows; `c` copies it. */
export const command = signal("");

/** Keys of the block in view: filled while it is mounted. */
const handlers: Record<string, () => void> = {};
export function onKeys(map: Record<string, () => void>): () => void {
  Object.assign(handlers, map);
  return () => { for (const k in map) if (handlers[k] === map[k]) delete handlers[k]; };
}

const typing = (t: EventTarget | null) => t instanceof HTMLElement &&
  (t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName));

export function startKeys() {
  let prefix = 0;
  addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") {
      e.preventDefault();
      findOpen.value = true;
      return;
    }
    if (!keysOn.value || e.ctrlKey || e.metaKey || e.altKey || typing(e.target)
      || document.querySelector("dialog[open]")) return;
    if (performance.now() - prefix < 1200 && prefix) {
      prefix = 0;
      const to = SECTIONS.find(([k]) => k === e.key)?.[2];
      if (to) { e.preventDefault(); go(to); }
      return;
    }
    if (e.key === "g") { prefix = performance.now(); return; }
    if (e.key === "/") { e.preventDefault(); findOpen.value = true; }
    else if (e.key === "?") helpOpen.value = true;
    else if (e.key === "Z") inUtc.value = !inUtc.value;
    else if (e.key === "c" && command.value) void navigator.clipboard?.writeText(command.value);
    else if (handlers[e.key]) { e.preventDefault(); handlers[e.key]!(); }
  });
}
