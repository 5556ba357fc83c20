/* Live: the server's event stream, one per browser.  A tab that holds the lock
   "slipway-live" reads the stream and tells the others over a BroadcastChannel
   (HTTP/1.1 gives a browser six connections to a server; a stream in every tab
   would freeze the seventh).  Without locks each tab has its own, and closes
   it while hidden.  The stream is read with fetch, as EventSource can send no
   token.  A server without a stream is asked every five seconds instead. */
import { signal } from "@preact/signals";
import { authorization, get, happened } from "./api";
import type { Event, Job, LiveRow } from "./types";

export type Link =
  | { is: "joining" } | { is: "live" } | { is: "polling" }
  | { is: "lost"; since: number };

export const link = signal<Link>({ is: "joining" });
/** Jobs as they move: the newest row of each. */
export const movingJobs = signal<Record<number, Job>>({});
/** Figures per deployment, of the last two seconds. */
export const liveFigures = signal<Record<string, LiveRow>>({});
/** Events since this page was opened, newest first; for the history. */
export const lastEvent = signal<Event | null>(null);

interface Message { kind: string; id: string; data: any }

let lastId = "";
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("slipway-live") : null;

function take(m: Message) {
  if (m.id) lastId = m.id;
  if (m.kind === "live") {
    const rows = (Array.isArray(m.data) ? m.data : m.data.deployments ?? []) as LiveRow[];
    const next: Record<string, LiveRow> = {};
    for (const r of rows) next[r.name ?? r.deployment ?? ""] = r;
    liveFigures.value = next;
    return;
  }
  if (m.kind === "job") {
    const job = m.data as Job;
    movingJobs.value = { ...movingJobs.peek(), [job.id]: job };
    happened(["job"]);
    return;
  }
  lastEvent.value = m.data as Event;
  happened([m.kind]);
}

/** Server-sent events out of a body of bytes. */
async function readStream(body: ReadableStream<Uint8Array>, each: (m: Message) => void) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const m: Message = { kind: "message", id: "", data: null };
      let data = "";
      for (const line of block.split(/\r?\n/)) {
        const i = line.indexOf(":");
        if (i <= 0) continue;
        const name = line.slice(0, i), value = line.slice(i + 1).replace(/^ /, "");
        if (name === "event") m.kind = value;
        else if (name === "id") m.id = value;
        else if (name === "data") data += (data ? "\n" : "") + value;
      }
      if (!data) continue;
      try { m.data = JSON.parse(data); } catch { continue; }
      each(m);
    }
  }
}

function say(state: Link) {
  const was = link.peek();
  if (state.is === "lost" && was.is === "lost") return;
  link.value = state;
}

/** Reads the stream until `stop`; tells the other tabs. */
async function lead(stop: AbortSignal) {
  let wait = 1000;
  while (!stop.aborted) {
    const began = Date.now();
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream", ...authorization() };
      if (lastId) headers["Last-Event-ID"] = lastId;
      const answer = await fetch("/api/v1/stream", { headers, signal: stop });
      const kind = answer.headers.get("Content-Type") ?? "";
      if (answer.status === 404 || (answer.ok && !kind.startsWith("text/event-stream"))) {
        await poll(stop);
        return;
      }
      if (!answer.ok || !answer.body) throw new Error(String(answer.status));
      const tell = (m: Message) => { take(m); channel?.postMessage(m); };
      say({ is: "live" });
      channel?.postMessage({ kind: "state", id: "", data: { is: "live" } });
      if (began - joined > 3000) happened(["*"]);
      wait = 1000;
      await readStream(answer.body, tell);
    } catch { /* lost: told below, tried again */ }
    if (stop.aborted) return;
    say({ is: "lost", since: Date.now() });
    channel?.postMessage({ kind: "state", id: "", data: link.peek() });
    await new Promise((r) => setTimeout(r, wait * (0.75 + Math.random() / 2)));
    wait = Math.min(wait * 2, 30e3);
  }
}
const joined = Date.now();

/** The way without a stream: the newest events every five seconds. */
async function poll(stop: AbortSignal) {
  let after = -1;
  while (!stop.aborted) {
    if (!document.hidden) {
      try {
        if (after < 0) {
          const v = await get<{ events: number }>("/api/v1/events/verify");
          after = v.events;
        }
        const page = await get<{ events: Event[] }>(`/api/v1/events?after=${after}&limit=500`);
        for (const e of page.events) {
          after = e.id;
          take({ kind: e.kind, id: "", data: e });
        }
        happened(["job"]);
        say({ is: "polling" });
      } catch { say({ is: "lost", since: Date.now() }); }
    }
    await new Promise((r) => setTimeout(r, 5000));
  }
}

/** One stream a tab, only while it is seen. */
function alone() {
  let stop: AbortController | null = null;
  const turn = () => {
    if (document.hidden) { stop?.abort(); stop = null; }
    else if (!stop) { stop = new AbortController(); void lead(stop.signal); }
  };
  document.addEventListener("visibilitychange", turn);
  turn();
}

export function startLive() {
  channel?.addEventListener("message", (e) => {
    const m = e.data as Message;
    if (m.kind === "state") say(m.data as Link);
    else if (m.kind === "hello") {
      if (leading) channel.postMessage({ kind: "state", id: "", data: link.peek() });
    } else take(m);
  });
  let leading = false;
  if (!channel || !navigator.locks) { alone(); return; }
  channel.postMessage({ kind: "hello", id: "", data: null });
  void navigator.locks.request("slipway-live", () => {
    leading = true;
    return lead(new AbortController().signal);
  });
}
