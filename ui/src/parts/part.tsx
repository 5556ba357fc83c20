/* Parts of the page that are loaded when they are first shown.  index.html
   lists where each is: "runs=/assets/runs-HASH.js more=...". */
import { type Signal, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { Skeleton } from "./block";

type Module = unknown;
const files = new Map((document.querySelector<HTMLMetaElement>("meta[name=parts]")?.content ?? "")
  .split(" ").map((p) => p.split("=") as [string, string]));
const loaded = new Map<string, Signal<Module | Error | null>>();

function load(name: string): Signal<Module | Error | null> {
  let s = loaded.get(name);
  if (!s) {
    loaded.set(name, s = signal(null));
    import(files.get(name) ?? "").then((m: Module) => { s!.value = m; }, (e) => {
      s!.value = e instanceof Error ? e : new Error(String(e));
    });
  }
  return s;
}

/** What a part draws, once it is here. */
export function Part<M>({ name, children }: { name: string; children: (m: M) => ComponentChildren }) {
  const m = load(name).value;
  if (m instanceof Error) return <div class="oops" role="alert"><h1>This part of the page could not be loaded</h1>
    <p>The server may have been replaced by another version since the page was opened.</p>
    <button onClick={() => location.reload()}>Load the page again</button></div>;
  return m ? <>{children(m as M)}</> : <Skeleton rows={6} />;
}
