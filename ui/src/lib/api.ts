/* The REST API.  One function asks and turns every failure into a Failure that
   can be shown; `use` keeps what was read in one cache shared by all blocks,
   so that going back shows the last known values at once and refreshes them. */
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

export class Failure extends Error {
  constructor(message: string, readonly status: number,
    readonly code = "", readonly request = "", readonly retryAfter = 0) {
    super(message);
  }
}

/** The token of this tab.  It is kept for the tab only, never written down. */
export const token = signal<string>("");
/** Set while the server asks for a token. */
export const tokenWanted = signal(false);

export function authorization(): Record<string, string> {
  return token.value ? { Authorization: `Bearer ${token.value}` } : {};
}

async function failure(answer: Response): Promise<Failure> {
  const text = await answer.text();
  let message = text.slice(0, 500), code = "";
  try {
    const body = JSON.parse(text);
    const e = typeof body.error === "object" && body.error ? body.error : body;
    message = e.message ?? e.error ?? message;
    code = e.code ?? e.error_code ?? "";
  } catch { /* not JSON: the text is the message */ }
  return new Failure(message || `The server answered ${answer.status}.`,
    answer.status, String(code), answer.headers.get("X-Request-Id") ?? "",
    Number(answer.headers.get("Retry-After") ?? 0));
}

export async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json", ...authorization() };
  let data: BodyInit | undefined;
  if (body instanceof Blob) {
    headers["Content-Type"] = "application/octet-stream";
    data = body;
  } else if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    data = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(path, { method, headers, body: data });
  } catch {
    throw new Failure("The server cannot be reached.", 0);
  }
  if (answer.status === 401) tokenWanted.value = true;
  if (!answer.ok) throw await failure(answer);
  return await answer.json() as T;
}

export const get = <T>(path: string) => ask<T>("GET", path);
export const post = <T>(path: string, body: unknown = {}) => ask<T>("POST", path, body);

/* ---- cached reading ---- */

export interface State<T> {
  data: T | undefined;
  failure: Failure | undefined;
  loading: boolean;
}

interface Entry {
  state: Signal<State<any>>;
  load: () => Promise<any>;
  topics: string[];
  users: number;
  asked: boolean; // wants another reading after the one under way
  at: number;
}

const cache = new Map<string, Entry>();
const KEEP = 200;

function entry(key: string, load: () => Promise<any>, topics: string[]): Entry {
  let e = cache.get(key);
  if (!e) {
    e = { state: signal<State<any>>({ data: undefined, failure: undefined, loading: false }),
      load, topics, users: 0, asked: false, at: 0 };
    cache.set(key, e);
    if (cache.size > KEEP)
      for (const [k, old] of cache)
        if (!old.users && old !== e) { cache.delete(k); break; }
  }
  e.load = load;
  e.topics = topics;
  return e;
}

async function refresh(e: Entry) {
  if (e.state.peek().loading) { e.asked = true; return; }
  e.state.value = { ...e.state.peek(), loading: true };
  e.at = Date.now();
  try {
    const data = await e.load();
    e.state.value = { data, failure: undefined, loading: false };
  } catch (why) {
    e.state.value = { data: e.state.peek().data, loading: false,
      failure: why instanceof Failure ? why : new Failure(String(why), 0) };
  }
  if (e.asked) { e.asked = false; void refresh(e); }
}

export interface Read<T> extends State<T> {
  again: () => void;
}

/** What `load` gives, kept under `key`.  Events whose kind starts with one of
    `topics` make it read again. */
export function useLoad<T>(key: string, load: () => Promise<T>, topics: string[] = []): Read<T> {
  const e = useMemo(() => entry(key, load, topics), [key]);
  e.load = load;
  useEffect(() => {
    e.users++;
    const { data, loading } = e.state.peek();
    if (!loading && (!data || Date.now() - e.at > 1000)) void refresh(e);
    return () => { e.users--; };
  }, [e]);
  return { ...(e.state.value as State<T>), again: () => void refresh(e) };
}

/** What GET path answers; null waits. */
export function useGet<T>(path: string | null, topics: string[] = []): Read<T> {
  return useLoad<T>(path ?? "", path === null
    ? async () => undefined as T : () => get<T>(path), topics);
}

let due = false;
const touched = new Set<string>();

/** Something of these kinds has happened: what is shown of it is read again,
    in one go, at most four times a second; nothing while the tab is hidden. */
export function happened(kinds: Iterable<string>) {
  for (const k of kinds) touched.add(k);
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    if (document.hidden) return; // kept in `touched` until the tab is back
    const now = [...touched];
    touched.clear();
    for (const e of cache.values()) {
      const hit = e.topics.some((t) => now.some((k) => k === "*" || k.startsWith(t)));
      if (!hit) continue;
      if (e.users) void refresh(e);
      else e.at = 0;
    }
  }, 250);
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && touched.size) happened([]);
});
token.subscribe((t) => { if (t) happened(["*"]); });
