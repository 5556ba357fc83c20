/* Addresses.  Every view is a plain path with its state in the query string;
   links are ordinary <a href>, taken over here when they stay in the page.
   The links that the MLflow client prints (/#/experiments/...) are turned into
   ours once, on arrival. */
import { computed, signal } from "@preact/signals";

export interface Place {
  path: string;
  parts: string[];
  query: URLSearchParams;
}

const segments = (path: string) => path.split("/").filter(Boolean).map((p) => {
  try { return decodeURIComponent(p); } catch { return p; }
});

const read = (): Place => ({
  path: location.pathname,
  parts: segments(location.pathname),
  query: new URLSearchParams(location.search),
});

export const place = signal<Place>({ path: "/", parts: [], query: new URLSearchParams() });
export const section = computed(() => place.value.parts[0] ?? "overview");

/** Paths that the server answers itself: never taken over by the page. */
const SERVERS = /^\/(api|ajax-api|v1|v2|metrics|health|version|ping|invocations|openapi\.json|get-|model-versions\/get)/;

const enc = encodeURIComponent;

/** A path of segments, encoded, with a query that leaves out empty values. */
export function href(parts: (string | number)[],
  query: Record<string, string | number | null | undefined> = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query))
    if (v !== null && v !== undefined && v !== "") q.set(k, String(v));
  const tail = q.toString();
  return "/" + parts.map((p) => enc(String(p))).join("/") + (tail ? `?${tail}` : "");
}

/** The present address with some of its query changed. */
export function withQuery(change: Record<string, string | number | null>): string {
  const q = new URLSearchParams(place.value.query);
  for (const [k, v] of Object.entries(change))
    if (v === null || v === "") q.delete(k); else q.set(k, String(v));
  const tail = q.toString();
  return place.value.path + (tail ? `?${tail}` : "");
}

/** Our address for a fragment of MLflow's page, or null. */
export function fromMlflow(fragment: string): string | null {
  const [path = "", tail = ""] = fragment.replace(/^#/, "").split("?");
  const parts = segments(path);
  const query = new URLSearchParams(tail);
  if (parts[0] === "experiments" && parts[1]) {
    if (parts[2] === "runs" && parts[3]) return href(["runs", parts[3]]);
    const by = query.get("orderByKey")?.replace(/`/g, "").replace(/^attributes\./, "");
    return href(["runs"], { experiment: parts[1], q: query.get("searchFilter"),
      sort: by && (query.get("orderByAsc") === "true" ? by : `-${by}`) });
  }
  if (parts[0] === "experiments") return "/runs";
  if (parts[0] === "compare-runs") {
    try {
      const ids = JSON.parse(query.get("runs") ?? "[]") as string[];
      return href(["runs", "compare"], { ids: ids.join(",") });
    } catch { return "/runs"; }
  }
  if (parts[0] === "models" && parts[1]) {
    return parts[2] === "versions" && parts[3]
      ? href(["models", parts[1], parts[3]]) : href(["models", parts[1]]);
  }
  if (parts[0] === "models") return "/models";
  return null;
}

function translateFragment() {
  if (!location.hash.startsWith("#/")) return;
  const to = fromMlflow(location.hash);
  if (to) history.replaceState(null, "", to);
}

const arrived = () => {
  // After the new page is drawn: focus to main, so that a screen reader and
  // the keyboard start where the eye does.
  requestAnimationFrame(() => document.getElementById("main")?.focus(
    { preventScroll: true }));
};

/** Go somewhere.  `replace` keeps the history short for changed filters. */
export function go(to: string, replace = false) {
  const url = new URL(to, location.href);
  const same = url.pathname === location.pathname;
  if (replace) history.replaceState(history.state, "", url);
  else {
    history.replaceState({ y: scrollY }, "");
    history.pushState(null, "", url);
  }
  place.value = read();
  if (!replace && !same) { scrollTo(0, 0); arrived(); }
}

/** Scroll back to where the page was left, once it is tall enough again. */
function restore(y: number) {
  const until = performance.now() + 1000;
  const step = () => {
    scrollTo(0, y);
    if (Math.abs(scrollY - y) > 2 && performance.now() < until)
      requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

export function startRouter() {
  history.scrollRestoration = "manual";
  translateFragment();
  place.value = read();
  addEventListener("popstate", (e) => {
    translateFragment();
    place.value = read();
    restore((e.state as { y?: number } | null)?.y ?? 0);
  });
  addEventListener("hashchange", () => { translateFragment(); place.value = read(); });
  document.addEventListener("click", (e) => {
    if (e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    const a = (e.target as Element).closest?.("a");
    const to = a?.getAttribute("href");
    if (!a || !to || a.hasAttribute("download") || a.target || to.startsWith("#")) return;
    const url = new URL(a.href, location.href);
    if (url.origin !== location.origin || SERVERS.test(url.pathname)) return;
    e.preventDefault();
    go(url.pathname + url.search, a.dataset.replace !== undefined);
  });
}
