/* Quick with 10,000 runs and 1,000 versions: rows come by pages of the server,
   only the visible are in the document.  Times are of a shared machine, so the
   limits are wide; the counts are exact. */
import test, { after } from "node:test";
import assert from "node:assert/strict";
import { api, close, open, until } from "./browser.mjs";

const { MANY } = process.env;
after(close);
const nodes = (page) => page.evaluate(() => document.querySelectorAll("*").length);

test("10,000 runs: one list over all, few nodes, sorted by the server", async () => {
  const page = await open({ url: MANY, path: "/runs" });
  const grid = page.getByRole("grid", { name: "Runs" });
  await until(async () => (await grid.getAttribute("aria-rowcount")) === "10001", "all rows counted");
  await grid.getByRole("gridcell").filter({ hasText: "run-" }).first().waitFor();
  assert.ok(await nodes(page) <= 3000, `${await nodes(page)} nodes`);
  await grid.focus();
  await page.keyboard.press("End");
  await until(async () => (await grid.getByRole("row").last().innerText()).includes("run-"), "the last row");
  assert.ok(await nodes(page) <= 3000, `${await nodes(page)} nodes at the end`);
  const began = Date.now();
  await grid.getByRole("columnheader", { name: /^mae/ }).getByRole("button").click();
  await until(async () => {
    await grid.evaluate((g) => { g.scrollTop = 0; });
    return /0\.0001\b|0\.0002\b/.test(await grid.getByRole("row").nth(1).innerText());
  }, "the best run first");
  assert.ok(Date.now() - began < 3000, `sorting took ${Date.now() - began} ms`);
  const asked = page.requests.filter((r) => r.includes("/api/v1/runs"));
  assert.ok(asked.length <= 8, `${asked.length} pages were asked for`);
  await page.done();
});

test("10,000 runs drawn: a range on an axis reduces the list, nodes stay few", async () => {
  const page = await open({ url: MANY, path: "/runs?view=parallel&axes=params.depth,params.kind,metrics.mae" });
  const grid = page.getByRole("grid", { name: "Runs" });
  await page.getByRole("group", { name: /^Parallel coordinates of 10,000 runs over depth, kind, mae; 10,000 within/ }).waitFor();
  await until(async () => (await grid.getAttribute("aria-rowcount")) === "10001", "all rows counted");
  assert.ok(await nodes(page) <= 3000, `${await nodes(page)} nodes`);
  await page.getByText("Ranges in numbers").click();
  await page.getByLabel("mae to").fill("0.1");
  await page.getByLabel("mae to").blur();
  await until(async () => (await grid.getAttribute("aria-rowcount")) === "1001", "a tenth of them");
  await page.getByLabel("kind from").selectOption("b");
  await until(async () => Number(await grid.getAttribute("aria-rowcount")) === 501, "half of these");
  assert.match(decodeURIComponent(page.url()), /brush=metrics\.mae~~0\.1,params\.kind~b~/);
  await grid.focus();
  await page.keyboard.press("End");
  await until(async () => (await grid.getByRole("row").last().innerText()).includes("run-"), "the last row");
  assert.ok(await nodes(page) <= 3000, `${await nodes(page)} nodes at the end`);
  assert.ok(page.requests.filter((r) => r.includes("/api/v1/runs/values")).length <= 2, "the search is read once");
  await page.goto(MANY + "/runs?view=scatter&sx=params.depth&sy=metrics.mae");
  await page.getByRole("group", { name: /^Scatter of 10,000 runs/ }).waitFor();
  assert.ok(await nodes(page) <= 3000);
  await page.done();
});

test("1,000 versions: the same list", async () => {
  const page = await open({ url: MANY, path: "/models/many" });
  const grid = page.getByRole("grid");
  await until(async () => (await grid.getAttribute("aria-rowcount")) === "1001", "all versions counted");
  assert.ok(await nodes(page) <= 3000);
  await grid.focus();
  await page.keyboard.press("End");
  await until(async () => /v1\b/.test(await grid.getByRole("row").last().innerText()), "version 1 at the end");
  await page.done();
});

test("100 section changes by keyboard leave no error and little heap", async () => {
  const page = await open({ url: MANY });
  const heap = () => page.evaluate(() => performance.memory?.usedJSHeapSize ?? 0);
  const keys = ["d", "m", "r", "p", "n"];
  const heads = { d: "Data", m: "Models", r: "Runs", p: "Deployments", n: "Monitoring" };
  let first = 0;
  for (let i = 0; i < 100; i++) {
    const k = keys[i % keys.length];
    await page.keyboard.press("g");
    await page.keyboard.press(k);
    await page.getByRole("heading", { level: 1, name: heads[k] }).waitFor();
    if (i === 20) first = await heap();
  }
  assert.ok(await heap() - first < 20e6, "the heap grew");
  await page.done();
});

test("a server with tokens asks for one in place and resumes; what a role may not is said", async () => {
  const root = await api(MANY, "/api/v1/tokens", "POST", { name: "root", role: "admin" });
  const made = await fetch(MANY + "/api/v1/tokens", { method: "POST", body: JSON.stringify({ name: "eve", role: "reader" }),
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${root.token ?? root.secret}` } });
  const eve = await made.json();
  const page = await open({ url: MANY, path: "/models" });
  const dialog = page.getByRole("dialog", { name: "This server wants a token" });
  await dialog.getByLabel("Token").fill(eve.token ?? eve.secret);
  await dialog.getByRole("button", { name: "Use it" }).click();
  await page.getByRole("link", { name: "many" }).first().waitFor();
  await page.getByRole("link", { name: "v1000" }).first().click();
  await page.getByRole("button", { name: "Judge…" }).click();
  const alert = page.getByRole("dialog").getByRole("alert");
  await alert.waitFor();
  assert.match(await alert.innerText(), /role/);
  assert.equal(await page.getByRole("dialog").getByRole("button", { name: /^Judge v1000/ }).getAttribute("aria-disabled"), "true");
  await page.done();
});
