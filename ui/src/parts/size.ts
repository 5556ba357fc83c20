/* The width of an element, in whole pixels, as the layout changes. */
import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

export function useWidth<E extends HTMLElement>(): [RefObject<E | null>, number] {
  const ref = useRef<E | null>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const el = ref.current;
    if (!el) return;
    const see = new ResizeObserver(() => setWidth(Math.floor(el.clientWidth)));
    see.observe(el);
    setWidth(Math.floor(el.clientWidth));
    return () => see.disconnect();
  }, []);
  return [ref, width];
}
