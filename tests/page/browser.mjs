/* What the page's tests share: Debian's Chromium driven by Playwright, a page
   that counts what it asks for, and words for what a person does. */
import { createRequire } from "node:module";
import assert from "node:assert/strict";

const modules = process.env.PAGE_MODULES ?? new URL("../../.deps/ui/node_modules", import.meta.url).pathname;
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
export const AXE = require.resolve("axe-core/axe.min.js");

let browser;
export async function open({ url, width = 1280, height = 900, scheme = "light", path = "/", bypassCSP = false } = {}) {
  browser ??= await chromium.launch({ executablePath: process.env.PAGE_CHROMIUM ?? "/usr/bin/chromium-headless-shell",
    args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, bypassCSP,
    timezoneId: "UTC", locale: "en-GB", reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  page.errors = [];
  page.requests = [];
  page.on("pageerror", (e) => page.errors.push(String(e)));
  page.on("console", (m) => {
    if (m.type() === "error" && !/Failed to load resource/.test(m.text())) page.errors.push(m.text());
  });
  page.on("request", (r) => page.requests.push(r.url()));
  await page.goto(url + path);
  await page.locator("main h1").waitFor();
  page.done = async () => {
    assert.deepEqual(page.errors, []);
    for (const r of page.requests)
      assert.ok(r.startsWith(url) || r.startsWith("data:"), `asked another host: ${r}`);
    await context.close();
  };
  return page;
}

export const close = async () => { await browser?.close(); };

/** Until `check` gives something true, at most `ms`. */
export async function until(check, what, ms = 20000) {
  const end = Date.now() + ms;
  for (;;) {
    const v = await check();
    if (v) return v;
    assert.ok(Date.now() < end, `waited ${ms} ms for ${what}`);
    await new Promise((r) => setTimeout(r, 50));
  }
}

export async function api(url, path, method = "GET", body) {
  const r = await fetch(url + path, { method, headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await r.text();
  assert.ok(r.ok, `${method} ${path}: ${r.status} ${text.slice(0, 300)}`);
  return JSON.parse(text);
}

/** What axe finds serious or worse. */
export async function findings(page) {
  await page.addScriptTag({ path: AXE });
  const r = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return r.violations.filter((v) => ["serious", "critical", "moderate"].includes(v.impact))
    .map((v) => `${v.impact} ${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 140)).join(" | ")}`);
}
