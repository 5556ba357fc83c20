/* Drawing on a canvas: sharp on every screen, in the colours of the tokens,
   again when the theme changes (a canvas knows no tokens). */
import { useEffect, useState } from "preact/hooks";

export const FONT = "11.5px system-ui, sans-serif";

/** What CSS colours are now; through the browser, as a token is light-dark()
    until it is a colour. */
export function colors(css: string[]): string[] {
  const probe = document.createElement("i");
  document.body.append(probe);
  const list = css.map((c) => {
    probe.style.color = c;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return list;
}

/** A canvas of this size in CSS pixels, empty. */
export function paper(canvas: HTMLCanvasElement, W: number, H: number): CanvasRenderingContext2D {
  const sharp = devicePixelRatio || 1;
  canvas.width = Math.round(W * sharp);
  canvas.height = Math.round(H * sharp);
  canvas.style.width = `${W}px`;
  canvas.style.height = `${H}px`;
  const g = canvas.getContext("2d")!;
  g.setTransform(sharp, 0, 0, sharp, 0, 0);
  g.font = FONT;
  return g;
}

/** Changes with the theme. */
export function useTheme(): string {
  const now = () => `${document.documentElement.dataset.theme ?? ""}${matchMedia("(prefers-color-scheme: dark)").matches}`;
  const [v, set] = useState(now);
  useEffect(() => {
    const see = () => set(now());
    const media = matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", see);
    const attr = new MutationObserver(see);
    attr.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => { media.removeEventListener("change", see); attr.disconnect(); };
  }, []);
  return v;
}
