/* Runs drawn: curves over each other with log axis, smoothing and zoom, all of
   it in the address; what differs; a search as parallel coordinates and as a
   scatter, whose ranges reduce the table.  In a real browser, on a server
   that has three trainings and a search of sixty runs. */
import test, { after, before } from "node:test";
import assert from "node:assert/strict";
import { api, close, findings, open, until } from "./browser.mjs";
import { search, trainings } from "./seed.mjs";

const { PLOTS } = process.env;
let ids, experiment;
before(async () => { ids = await trainings(PLOTS); experiment = await search(PLOTS); });
after(close);

const compare = (more = "") => `/runs/compare?${ids.map((i) => `run=${i}`).join("&")}${more}`;
const chart = (page, name) => page.getByRole("group", { name: new RegExp(`^${name}: `) });
const asked = (page) => page.requests.filter((r) => r.includes("/api/v1/runs/history")).map((r) => new URL(r).searchParams);
/** How many pixels of a canvas are painted. */
const ink = (locator) => locator.locator("canvas").last().evaluate((c) => {
  const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  let n = 0;
  for (let i = 3; i < d.length; i += 4) n += d[i] > 0;
  return n;
});
const total = (page) => page.getByRole("grid", { name: "Runs" }).getAttribute("aria-rowcount").then((n) => Number(n) - 1);

test("three runs over each other; log axis, smoothing and zoom are in the address", async () => {
  const page = await open({ url: PLOTS, path: compare() });
  const curve = chart(page, "loss");
  await curve.waitFor();
  for (const name of ["training-0", "training-1", "training-2"])
    assert.match(await curve.getAttribute("aria-label"), new RegExp(`${name} ends at`));
  const card = page.getByRole("region", { name: "loss" });
  assert.match(await card.innerText(), /points stand for 15,000, 3 NaN \(×\), 3 \+∞ \(▲\)/);
  const dashes = await page.getByRole("group", { name: "Runs" }).locator("path").evaluateAll((l) => l.map((p) => `${p.getAttribute("class")} ${p.getAttribute("stroke-dasharray")}`));
  assert.equal(new Set(dashes).size, 3, "each run has a look of its own");
  assert.ok(await ink(curve) > 2000, "curves are drawn");
  assert.equal(await page.getByRole("region", { name: "same" }).count(), 0, "one number is no curve");

  await card.getByLabel("Log axis of loss").check();
  await until(() => /[?&]log=loss/.test(page.url()), "the log axis in the address");
  await page.getByLabel("smoothing").selectOption("0.9");
  await until(() => /smooth=0\.9/.test(page.url()), "the smoothing in the address");
  await until(() => asked(page).some((q) => q.get("metric") === "loss" && q.get("log") === "1" && q.get("smooth") === "0.9"), "both asked of the server");
  await until(async () => /\d \([\d.e−]+\)/.test((await curve.focus(), await page.keyboard.press("Home"), await card.innerText())), "value and mean are read");

  const box = await curve.boundingBox();
  await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 80, { steps: 4 });
  await page.mouse.up();
  await until(() => /from=\d+/.test(page.url()) && /to=\d+/.test(page.url()), "the zoom in the address");
  const q = new URL(page.url()).searchParams, from = Number(q.get("from")), to = Number(q.get("to"));
  assert.ok(from > 1000 && to < 4000 && to - from < 2000, `${from} to ${to}`);
  await until(() => asked(page).some((a) => a.get("metric") === "loss" && a.get("from") === String(from) && a.get("to") === String(to)), "the range asked again");
  const { runs } = await api(PLOTS, `/api/v1/runs/history?metric=loss&run=${ids[0]}&from=${from}&to=${to}`);
  await until(async () => (await card.innerText()).includes(`stand for ${(runs[0].shown * 3).toLocaleString("en")}`), "points of the range");

  await page.reload();
  await curve.waitFor();
  assert.ok(await page.getByLabel("Log axis of loss").isChecked());
  assert.equal(await page.getByLabel("smoothing").inputValue(), "0.9");
  await page.getByRole("button", { name: "Whole range (0)" }).click();
  await until(() => !/from=/.test(page.url()), "the whole range");
  await page.done();
});

test("by keyboard: read, zoom in and out, move, a table; the spike is there", async () => {
  const page = await open({ url: PLOTS, path: compare("&from=2490&to=2510") });
  const card = page.getByRole("region", { name: "loss" }), curve = chart(page, "loss");
  await curve.focus();
  await page.keyboard.press("Home");
  for (let i = 0; i < 10; i++) await page.keyboard.press("ArrowRight");
  await until(async () => /2500\s*training-0 50\s*training-1 51\s*training-2 52/.test(await card.innerText()), "the spike's values");
  await page.keyboard.press("+");
  await until(() => /from=2495&to=2505/.test(page.url()), "half the range about the cursor");
  await page.keyboard.press("Shift+ArrowRight");
  await until(() => /from=249[78]/.test(page.url()), "a quarter to the right");
  await page.keyboard.press("-");
  await page.keyboard.press("0");
  await until(() => !/from=/.test(page.url()), "all of it");
  await card.getByRole("button", { name: "loss as table" }).click();
  const rows = card.getByRole("row");
  assert.ok(await rows.count() > 20 && await rows.count() <= 52, `${await rows.count()} rows`);
  assert.match(await rows.nth(1).innerText(), /^0\s/);
  await page.getByRole("button", { name: "Since start" }).click();
  await until(() => /x=relative/.test(page.url()) && asked(page).some((q) => q.get("x") === "relative"), "the axis in the address");
  await page.done();
});

test("the comparison shows only what differs, all on demand", async () => {
  const page = await open({ url: PLOTS, path: compare() });
  const card = page.getByRole("region", { name: "Values" });
  await card.getByText("values differ, 2 are equal", { exact: false }).waitFor();
  const heads = () => card.getByRole("rowheader").allInnerTexts();
  assert.deepEqual((await heads()).sort(), ["metrics.accuracy", "metrics.final", "metrics.loss", "params.lr", "params.seed"]);
  await page.getByRole("button", { name: "Show all" }).click();
  await until(async () => (await heads()).includes("params.batch"), "what is equal");
  assert.match(page.url(), /show=all/);
  assert.ok((await heads()).includes("metrics.same"));
  // as the list links it: ids=A,B
  await page.goto(`${PLOTS}/runs/compare?ids=${ids[0]},${ids[2]}`);
  await page.getByRole("heading", { level: 1, name: "Compare 2 runs" }).waitFor();
  await page.done();
});

test("eight runs: six have a colour, which ones is chosen and in the address", async () => {
  const more = [];
  for (let k = 0; k < 5; k++) more.push(...await trainings(PLOTS, 200, 1));
  const page = await open({ url: PLOTS, path: `/runs/compare?ids=${[...ids, ...more].join(",")}` });
  const legend = page.getByRole("group", { name: "Runs" });
  await legend.getByRole("button").first().waitFor();
  assert.equal(await legend.getByRole("button", { pressed: true }).count(), 6);
  await legend.getByRole("button").last().click();
  await until(() => page.url().includes(more[4]), "the picked run in the address");
  assert.equal(await legend.getByRole("button", { pressed: true }).count(), 6);
  assert.equal(await legend.getByRole("button").last().getAttribute("aria-pressed"), "true");
  for (const id of more) await api(PLOTS, "/api/2.0/mlflow/runs/delete", "POST", { run_id: id });
  await page.done();
});

test("charts are made when they come into view, twelve at most at once", async () => {
  const M = "/api/2.0/mlflow/";
  const { run } = await api(PLOTS, M + "runs/create", "POST", { experiment_id: "0", run_name: "many metrics" });
  const id = run.info.run_id;
  for (const step of [0, 1]) await api(PLOTS, M + "runs/log-batch", "POST", { run_id: id,
    metrics: Array.from({ length: 40 }, (_, i) => ({ key: `m${String(i).padStart(2, "0")}`, value: i + step, timestamp: 1, step })) });
  const page = await open({ url: PLOTS, path: `/runs/${id}` });
  await chart(page, "m00").waitFor();
  const drawn = () => page.locator("main canvas").count();
  assert.ok(await drawn() < 12, `${await drawn()} are drawn before they are seen`);
  await page.getByRole("region", { name: "m11" }).scrollIntoViewIfNeeded();
  await chart(page, "m11").waitFor();
  await until(async () => await drawn() <= 12, "at most twelve");
  assert.equal(await page.getByRole("region", { name: "m12" }).count(), 0);
  await page.getByRole("button", { name: "Next" }).click();
  await chart(page, "m12").waitFor();
  assert.match(page.url(), /charts=2/);
  await page.getByLabel("find a metric").fill("m39");
  await chart(page, "m39").waitFor();
  assert.ok(await drawn() <= 12);
  await api(PLOTS, M + "runs/delete", "POST", { run_id: id });
  await page.done();
});

test("parallel coordinates: a range on an axis reduces the table, and is in the address", async () => {
  const page = await open({ url: PLOTS, path: `/runs?experiment=${experiment}&view=parallel` });
  const plot = page.getByRole("group", { name: /^Parallel coordinates of 60 runs over depth, kind, rate, mae/ });
  await plot.waitFor();
  await until(async () => await total(page) === 60, "all runs in the table");
  await until(async () => await ink(plot) > 3000, "the lines");
  const before = await ink(plot), axis = page.locator("[data-axis='metrics.mae']"), box = await axis.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.75);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height - 2, { steps: 4 });
  await page.mouse.up();
  await until(() => /brush=metrics\.mae/.test(decodeURIComponent(page.url())), "the range in the address");
  await until(async () => await total(page) < 20, "a smaller table");
  const left = await total(page);
  assert.ok(left >= 10, `${left} runs are left`);
  await page.getByText(`${left} of 60 runs`, { exact: true }).waitFor();
  await until(async () => await ink(plot) < before, "fewer lines");
  // a second axis, by keyboard, in words
  await page.getByText("Ranges in numbers").click();
  await page.getByLabel("kind from").selectOption("gbdt");
  await page.getByLabel("kind to").selectOption("gbdt");
  await until(async () => await total(page) < left, "both ranges");
  const both = await total(page);
  await page.reload();
  await until(async () => await total(page).catch(() => -1) === both, "the same after a reload");
  const { columns } = await api(PLOTS, `/api/v1/runs/values?experiment=${experiment}&limit=100&cols=metrics.mae,params.kind`);
  const [lo, hi] = decodeURIComponent(new URL(page.url()).searchParams.get("brush")).split(",")[0].split("~").slice(1).map(Number);
  assert.equal(both, columns["metrics.mae"].filter((v, i) => v >= lo - 1e-6 && v <= hi + 1e-6 && columns["params.kind"][i] === "gbdt").length);
  await page.getByRole("button", { name: "Whole search" }).click();
  await until(async () => await total(page) === 60, "the whole search again");
  await page.done();
});

test("scatter: axes and colour are chosen; a rectangle reduces the table; a dot opens its run", async () => {
  const page = await open({ url: PLOTS, path: `/runs?experiment=${experiment}&view=scatter` });
  await page.getByRole("group", { name: /^Scatter of 60 runs/ }).waitFor();
  await page.getByLabel("across", { exact: true }).selectOption("params.rate");
  await page.getByLabel("up", { exact: true }).selectOption("metrics.mae");
  await page.getByLabel("colour", { exact: true }).selectOption("params.kind");
  const plot = page.getByRole("group", { name: /mae from 0 to 0\.98\d+ over rate from 0\.001 to 0\.06, coloured by kind/ });
  await plot.waitFor();
  for (const part of ["sx=params.rate", "sy=metrics.mae", "sc=params.kind"]) assert.ok(page.url().includes(part), part);
  const box = await plot.boundingBox();
  await page.mouse.move(box.x + 75, box.y + 15);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  await until(async () => await total(page) < 30, "a smaller table");
  assert.ok(await total(page) > 5);
  await page.getByRole("button", { name: "Whole search" }).click();
  await until(async () => await total(page) === 60, "all again");
  // the first trial is the dot at the origin: rate 0.001, mae 0
  await page.mouse.move(box.x + 72, box.y + box.height - 31);
  await plot.locator("circle").waitFor({ state: "attached" });
  await page.mouse.down();
  await page.mouse.up();
  await page.getByRole("heading", { level: 1, name: /trial-0/ }).waitFor();
  await page.done();
});

test("marks and the panel of curves are in the address too", async () => {
  const page = await open({ url: PLOTS, path: `/runs?experiment=0&sel=${ids.join(",")}&panel=1&metric=loss` });
  const curve = chart(page, "loss");
  await curve.waitFor();
  assert.match(await curve.getAttribute("aria-label"), /training-2 ends at/);
  await page.getByRole("button", { name: "Curves (p)" }).click();
  await curve.waitFor({ state: "detached" });
  assert.ok(!page.url().includes("panel="));
  await page.done();
});

test("a part that cannot be loaded is told, with a way on", async () => {
  const page = await open({ url: PLOTS, path: "/" });
  await page.route("**/assets/runs-*.js", (r) => r.abort());
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Runs" }).click();
  await page.getByRole("heading", { level: 1, name: "This part of the page could not be loaded" }).waitFor();
  await page.unroute("**/assets/runs-*.js");
  await page.getByRole("button", { name: "Load the page again" }).click();
  await page.getByRole("grid", { name: "Runs" }).waitFor();
  await page.context().close();
});

for (const [width, scheme] of [[1280, "light"], [1280, "dark"], [400, "light"], [400, "dark"]]) {
  test(`nothing is found by axe, ${width} pixels, ${scheme}`, async () => {
    for (const path of [compare("&log=loss&smooth=0.6"), `/runs/${ids[0]}?x=time`, `/runs?experiment=${experiment}&view=parallel&brush=metrics.mae~0.1~0.5`,
      `/runs?experiment=${experiment}&view=scatter`, `/runs?sel=${ids.join(",")}&panel=1&metric=loss`]) {
      const page = await open({ url: PLOTS, path, width, scheme, bypassCSP: true });
      await page.locator("main canvas").first().waitFor({ state: "attached" });
      await page.waitForFunction(() => !document.querySelector("main [aria-busy=true]"));
      if (/parallel/.test(path)) await page.getByText("Ranges in numbers").click();
      assert.deepEqual(await findings(page), [], path);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(over <= 0, `${path} at ${width}: ${over} pixels too wide`);
      await page.done();
    }
  });
}

