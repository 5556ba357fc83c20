/* Accessibility and layout: axe finds nothing of weight in any section, light
   and dark, 1280 and 400 pixels wide, full and empty; nothing has to be
   scrolled sideways; the colours of the style sheet have their contrast. */
import test, { after } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { close, findings, open } from "./browser.mjs";

const { ONE, TWO, EMPTY } = process.env;
after(close);

const FULL = ["/", "/data", "/data/prices/2?vs=1&col=close", "/features", "/features/volatility", "/runs", "/models",
  "/models/next-range", "/models/next-range/2", "/models/next-range/2?tab=release", "/models/next-range/2?tab=metrics",
  "/models/next-range/2?tab=history", "/deployments", "/deployments/next-range?at=2023-09-15T12:00", "/monitoring",
  "/monitoring/next-range", "/flows", "/flows/3", "/rehearsal", "/settings", "/settings?tab=access", "/settings?tab=about"];
const BARE = ["/", "/data", "/features", "/runs", "/models", "/deployments", "/monitoring", "/flows", "/nowhere", "/models/x/1"];
const WAYS = [[1280, "light"], [1280, "dark"], [400, "light"], [400, "dark"]];

async function look(url, path, width, scheme) {
  const page = await open({ url, path, width, scheme, bypassCSP: true });
  await page.waitForLoadState("load");
  await page.waitForFunction(() => !document.querySelector("main [aria-busy=true]"), null, { timeout: 15000 });
  const found = await findings(page);
  assert.deepEqual(found, [], `${path} at ${width} in ${scheme}`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${path} at ${width}: ${over} pixels too wide`);
  const heads = await page.evaluate(() => [...document.querySelectorAll("main h1")].length);
  assert.equal(heads, 1, `${path} has ${heads} first headings`);
  await page.done();
}

for (const [width, scheme] of WAYS) {
  test(`sections with data, ${width} pixels, ${scheme}`, async () => {
    for (const path of FULL) await look(ONE, path, width, scheme);
    await look(TWO, "/", width, scheme);
    await look(TWO, "/monitoring/next-range", width, scheme);
  });
  test(`sections of an empty server, ${width} pixels, ${scheme}`, async () => {
    for (const path of BARE) await look(EMPTY, path, width, scheme);
  });
}

test("dialogs, Find and the menu have no findings either", async () => {
  const page = await open({ url: ONE, width: 400, bypassCSP: true });
  await page.getByRole("button", { name: "Menu" }).click();
  assert.deepEqual(await findings(page), []);
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("button", { name: "Roll back…" }).click();
  await page.locator("dialog ol li").first().waitFor();
  assert.deepEqual(await findings(page), []);
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /^Find/ }).waitFor();
  assert.deepEqual(await findings(page), []);
  await page.done();
});

test("Tab goes through every section and out again: nothing holds the focus", async () => {
  const page = await open({ url: ONE });
  for (const path of ["/", "/data/prices/2", "/features/volatility", "/runs", "/models/next-range", "/models/next-range/2",
    "/deployments/next-range", "/monitoring/next-range", "/flows", "/flows/3", "/settings"]) {
    await page.goto(ONE + path);
    await page.waitForFunction(() => document.querySelector("main h1") && !document.querySelector("main [aria-busy=true]"));
    let steps = 0, first = null, out = false, held = 0; // a field of date and time has eight stops of its own
    for (; steps < 400 && !out; steps++) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const e = document.activeElement, was = globalThis.before;
        globalThis.before = e;
        if (!e || e === document.body) return { end: true };
        e.dataset.tab ??= String(globalThis.tabs = (globalThis.tabs ?? 0) + 1);
        return { tab: e.dataset.tab, held: e === was, seen: e.getClientRects().length > 0, html: e.outerHTML.slice(0, 120) };
      });
      if (at.end || at.tab === first) out = true;
      else {
        held = at.held ? held + 1 : 0;
        assert.ok(held < 8, `${path} holds the focus at ${at.html}`);
        assert.ok(at.seen, `${path}: what has the focus is not seen: ${at.html}`);
        first ??= at.tab;
      }
    }
    assert.ok(out, `${path}: no way out after ${steps} steps`);
    assert.ok(steps > 12, `${path}: only ${steps} stops`);
  }
  await page.done();
});

/* ---- the tokens' contrast, from the style sheet itself ---- */

const css = readFileSync(process.env.PAGE_CSS, "utf8");
const token = (name) => {
  const m = new RegExp(`--${name}:light-dark\\((#[0-9a-f]+),(#[0-9a-f]+)\\)`).exec(css);
  assert.ok(m, `no token --${name}`);
  return m.slice(1);
};
const luminance = (hex) => {
  const full = hex.length === 4 ? hex.replace(/[0-9a-f]/g, "$&$&") : hex;
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(full.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};

test("text has 4.5, graphics 3.0 against its ground, in light and dark", () => {
  for (const mode of [0, 1]) {
    const grounds = ["bg", "panel", "sunk"].map((g) => token(g)[mode]);
    for (const ink of ["ink", "ink2", "ink3"])
      for (const g of grounds) assert.ok(contrast(token(ink)[mode], g) >= 4.5, `${ink} on ${g}`);
    for (const tone of ["ok", "warn", "bad", "info", "idle"])
      assert.ok(contrast(token(tone)[mode], token(`${tone}b`)[mode]) >= 4.5, `${tone} on its tint`);
    assert.ok(contrast(token("on")[mode], token("accent")[mode]) >= 4.5, "on accent");
    for (const edge of ["edge", "c1", "c2", "c3", "c4", "c5", "c6"])
      assert.ok(contrast(token(edge)[mode], token("panel")[mode]) >= 3, `${edge} on the panel`);
  }
});
