/* How quick the page is with 10,000 runs of twenty columns, in a real browser:
   prints one JSON object of milliseconds and counts.  URL=… node page.mjs
   Nothing is asserted here: a shared machine's milliseconds are for reading. */
import { close, open, until } from "../../page/browser.mjs";

const { URL: url } = process.env;
const COLS = [...Array.from({ length: 10 }, (_, i) => `metrics.m${i}`), ...Array.from({ length: 10 }, (_, i) => `params.p${i}`)].join(",");
const median = (l) => Math.round([...l].sort((a, b) => a - b)[l.length >> 1] * 10) / 10;
const out = {};
const nodes = (page) => page.evaluate(() => document.querySelectorAll("*").length);

/** From an act to the next frame in which `ready` holds, measured in the page. */
const timed = (page, act, ready, arg) => page.evaluate(async ({ act, ready, arg }) => {
  const go = new Function("arg", act), is = new Function("arg", `return ${ready}`);
  const began = performance.now();
  go(arg);
  for (;;) {
    await new Promise((r) => requestAnimationFrame(r));
    if (is(arg)) return performance.now() - began;
    if (performance.now() - began > 20000) throw new Error(`waited for ${ready}`);
  }
}, { act, ready, arg });

// First rows: from the navigation's start to the first row, five times.
const first = [];
let page;
for (let i = 0; i < 5; i++) {
  page = await open({ url, path: "/" });
  await page.waitForTimeout(500);
  first.push(await timed(page, "history.pushState(null, '', arg); dispatchEvent(new PopStateEvent('popstate', { state: null }))",
    "document.querySelector('.vr a')", `/runs?cols=${COLS}`));
  if (i < 4) await page.context().close();
}
out.first_rows_ms = median(first);
out.nodes = await nodes(page);

// Scrolling: 150 frames through the whole list; each frame's length.
out.scroll = await page.evaluate(async () => {
  const grid = document.querySelector(".vt"), frames = [];
  let last = await new Promise((r) => requestAnimationFrame(r));
  for (let i = 0; i < 150; i++) {
    grid.scrollTop = grid.scrollHeight * i / 150;
    const now = await new Promise((r) => requestAnimationFrame(r));
    frames.push(now - last);
    last = now;
  }
  frames.sort((a, b) => a - b);
  return { median_ms: frames[75], p95_ms: frames[142], worst_ms: frames[149], over_50: frames.filter((f) => f > 50).length, frames: frames.length };
});
out.nodes_after_scroll = await nodes(page);

// Sorting by a metric: from the press to the first row of the new order.
await page.evaluate(() => { document.querySelector(".vt").scrollTop = 0; });
await page.waitForTimeout(500);
const sorts = [];
for (let i = 0; i < 6; i++) {
  const m = `m${i + 1}`;
  sorts.push(await timed(page, `window.was = document.querySelector('.vr a')?.href; [...document.querySelectorAll('.vh button')].find((b) => b.textContent.trim() === arg).click()`,
    `document.querySelector('.vr a') && document.querySelector("[aria-sort]")?.textContent.startsWith(arg) && document.querySelector('.vr a').href !== window.was`, m));
}
out.sort_ms = median(sorts);
await page.done();

// A search drawn: parallel coordinates of all of them, and a range on an axis.
page = await open({ url, path: "/runs" });
await page.waitForTimeout(500);
await page.evaluate(() => {
  globalThis.long = [];
  new PerformanceObserver((l) => { for (const e of l.getEntries()) globalThis.long.push(e.duration); }).observe({ entryTypes: ["longtask"] });
});
out.parallel_ms = Math.round(await timed(page, "[...document.querySelectorAll('.seg button')].find((b) => b.textContent === 'Parallel').click()",
  "document.querySelector('.pc canvas') && document.querySelector('.vr a')"));
await page.waitForTimeout(3000); // its slices
const axis = await page.locator("[data-axis]").last().boundingBox();
const frames = page.evaluate(async () => {
  const list = [];
  let last = await new Promise((r) => requestAnimationFrame(r));
  for (let i = 0; i < 60; i++) { const now = await new Promise((r) => requestAnimationFrame(r)); list.push(now - last); last = now; }
  return { worst_ms: Math.max(...list), median_ms: list.sort((a, b) => a - b)[30] };
});
await page.mouse.move(axis.x + 12, axis.y + axis.height * 0.6);
await page.mouse.down();
await page.mouse.move(axis.x + 12, axis.y + axis.height - 2, { steps: 30 });
await page.mouse.up();
await until(async () => /brush=/.test(page.url()), "the range");
out.brushing = await frames;
out.nodes_parallel = await nodes(page);
out.long_tasks_ms = (await page.evaluate(() => globalThis.long)).map(Math.round);
await page.done();
await close();
console.log(JSON.stringify(out, null, 1));
