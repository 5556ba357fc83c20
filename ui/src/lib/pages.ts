/* A long list by pages of 200 rows as they are scrolled to; what was read is
   kept until the question changes. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Failure } from "./api";

export const PAGE = 200;
export interface PageOf<R> { total: number; rows: R[] }

export function usePages<R>(key: string, load: (offset: number, limit: number) => Promise<PageOf<R>>) {
  const [state, set] = useState<{ total: number | null; failure: Failure | null; version: number }>(
    { total: null, failure: null, version: 0 });
  const store = useRef({ pages: new Map<number, R[]>(), asked: new Set<number>() });
  const fetchPage = useCallback(async (n: number) => {
    const s = store.current;
    if (s.asked.has(n)) return;
    s.asked.add(n);
    try {
      const page = await load(n * PAGE, PAGE);
      if (store.current !== s) return;
      s.pages.set(n, page.rows);
      set((x) => ({ total: page.total, failure: null, version: x.version + 1 }));
    } catch (e) {
      if (store.current !== s) return;
      s.asked.delete(n);
      set((x) => ({ ...x, failure: e as Failure, version: x.version + 1 }));
    }
  }, [key]);
  const again = useCallback(() => {
    store.current = { pages: new Map(), asked: new Set() };
    void fetchPage(0);
  }, [fetchPage]);
  useEffect(again, [again]);
  const need = useCallback((from: number, to: number) => {
    const last = Math.max(0, to - 1) / PAGE | 0;
    for (let p = from / PAGE | 0; p <= last; p++) if (p * PAGE < (state.total ?? 1)) void fetchPage(p);
  }, [fetchPage, state.total]);
  const row = (i: number) => store.current.pages.get(i / PAGE | 0)?.[i % PAGE];
  return { ...state, row, need, again };
}
