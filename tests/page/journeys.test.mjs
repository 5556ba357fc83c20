/* The questions a person comes with, each a journey from `/` in a real browser
   against a real server with the example's data: ONE is the story of 2023,
   TWO that of spring 2020, EMPTY a server with nothing. */
import test, { after } from "node:test";
import assert from "node:assert/strict";
import { api, close, open, until } from "./browser.mjs";

const { ONE, TWO, EMPTY } = process.env;
after(close);

/** A page that counts activations. */
async function from(url, options = {}) {
  const page = await open({ url, ...options });
  let n = 0;
  page.press = async (locator) => { n++; await locator.click(); };
  page.within = (most) => assert.ok(n <= most, `${n} activations, at most ${most} are allowed`);
  return page;
}
const lead = (page) => page.locator(".lead").first();
const row = (page, name) => page.getByRole("row").filter({ hasText: name }).first();
const nav = (page, name) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name });

test("1. is it well now: the first sentence says it", async () => {
  const page = await from(ONE);
  await until(async () => /next-range is serving/.test(await lead(page).innerText()), "the sentence");
  const said = await lead(page).innerText();
  assert.match(said, /v\d+ answers every request/);
  assert.match(said, /next-close is answered by the rule/);
  page.within(0);
  await page.done();
});

test("2. what is wrong, since when, what was done: call-outs and timeline", async () => {
  const page = await from(TWO);
  await page.locator(".call").first().waitFor();
  const chart = page.getByRole("group", { name: /^Error of the served answers/ });
  await chart.waitFor();
  assert.match(await chart.getAttribute("aria-label"), /[1-9]\d* alerts?/);
  assert.match(await page.locator("main").innerText(), /alert/i);
  // the keyboard reads the values
  await chart.focus();
  await page.keyboard.press("End");
  await until(async () => /served .* rule/s.test(await page.locator(".read[aria-live]").first().innerText()), "the read-out");
  page.within(0);
  await page.done();
});

test("3. may this version ship: models, version, gate", async () => {
  const page = await from(ONE);
  await page.press(nav(page, "Models"));
  await page.press(row(page, "next-close").getByRole("link", { name: "next-close" }).first());
  await page.press(page.getByRole("grid").getByRole("link", { name: "v1", exact: true }));
  await page.getByRole("heading", { level: 1, name: /next-close v1/ }).waitFor();
  const check = page.getByRole("row").filter({ hasText: "Beats the rule" });
  await check.waitFor();
  assert.match(await check.innerText(), /unproven|fail/);
  assert.match(await lead(page).innerText(), /does not beat the rule/);
  page.within(3);
  await page.done();
});

test("4. put back what worked: the dialog says what the server will do, then it is done", async () => {
  const before = (await api(ONE, "/api/v1/deployments/next-range")).deployment;
  const page = await from(ONE);
  await page.press(page.getByRole("button", { name: "Roll back…" }));
  const dialog = page.getByRole("dialog");
  await dialog.locator("ol li").first().waitFor();
  assert.match(await dialog.innerText(), new RegExp(`v?${before.previous_version}`));
  assert.equal((await api(ONE, "/api/v1/deployments/next-range")).deployment.revision, before.revision,
    "a dry run changes nothing");
  await dialog.getByLabel("Reason, kept in the log").fill("shown by the journey");
  await page.press(dialog.getByRole("button", { name: `Roll back to v${before.previous_version}` }));
  await until(async () => (await api(ONE, "/api/v1/deployments/next-range")).deployment.champion_version
    === before.previous_version, "the rollback");
  await until(async () => new RegExp(`v${before.previous_version} answers every request`).test(await lead(page).innerText()),
    "the page to say so");
  const history = (await api(ONE, "/api/v1/deployments/next-range")).history;
  assert.equal(history[0].why, "shown by the journey");
  page.within(2);
  await api(ONE, "/api/v1/deployments/next-range/rollback", "POST", { why: "and back" });
  await page.done();
});

test("5. which run is best, and what differs: sort, mark, x", async () => {
  const page = await from(ONE);
  await page.press(nav(page, "Runs"));
  const grid = page.getByRole("grid", { name: "Runs" });
  await grid.waitFor();
  await page.press(grid.getByRole("columnheader", { name: /test_mae/ }).getByRole("button"));
  await until(async () => (await grid.getByRole("columnheader", { name: /test_mae/ }).getAttribute("aria-sort")) === "ascending", "the order");
  assert.match(page.url(), /sort=metrics\.test_mae/);
  await grid.focus();
  for (const key of ["Home", "Space", "ArrowDown", "Space"]) await page.keyboard.press(key);
  await until(() => /sel=\w+(%2C|,)\w+/.test(page.url()), "both marks in the address");
  await page.getByText("2 marked:").waitFor();
  await page.keyboard.press("x");
  await page.getByRole("heading", { level: 1, name: "Compare 2 runs" }).waitFor();
  await until(async () => /values? differs?/.test(await page.locator("main").innerText()), "what differs");
  page.within(3);
  await page.done();
});

test("6. did the data change, or the world: monitoring, column", async () => {
  const page = await from(TWO);
  await page.press(nav(page, "Monitoring"));
  await page.press(page.getByRole("link", { name: "next-range" }).first());
  const columns = page.getByRole("region", { name: "Columns" });
  await columns.waitFor();
  await page.press(columns.getByRole("link").last());
  await page.getByText("reference,", { exact: false }).waitFor();
  assert.match(await lead(page).innerText(), /columns? drifts?/);
  assert.match(page.url(), /col=/);
  page.within(3);
  await page.done();
});

test("7. what answered then, made of what, decided why", async () => {
  const page = await from(ONE);
  await page.press(nav(page, "Deployments"));
  await page.press(row(page, "next-range").getByRole("link").first());
  await page.getByLabel("Moment, UTC").fill("2023-09-15T12:00");
  await page.getByLabel("Moment, UTC").blur();
  const card = page.getByRole("region", { name: "What answered then" });
  await until(async () => /v1 answered 100 %/.test(await card.innerText()), "the answer");
  assert.match(await card.innerText(), /Decided 2023-08-31/);
  await page.press(card.getByRole("link", { name: "What it was made of" }));
  await page.getByText("Dataset prices").first().waitFor();
  page.within(3);
  await page.done();
});

test("8. what is running, how far: it comes by itself", async () => {
  const page = await from(ONE);
  await until(async () => /^Live$/.test(await page.locator(".live").innerText()), "the stream");
  const run = await api(ONE, "/api/v1/flows", "POST", { model: "next-close", until: "train", trials: 2 });
  const card = page.getByRole("region", { name: "Running now" });
  await until(async () => /flow\.train/.test(await card.innerText()), "the job on the overview");
  await card.getByRole("progressbar").first().waitFor();
  page.within(0);
  await until(async () => (await api(ONE, `/api/v1/flows/${run.run}`)).ended, "the training", 180000);
  await until(async () => !/flow\.train/.test(await card.innerText()), "the job to leave");
  await page.done();
});

test("10. where does this number come from: lineage", async () => {
  const page = await from(ONE);
  await page.press(nav(page, "Models"));
  await page.press(row(page, "next-range").getByRole("link", { name: "v2" }).first());
  await page.press(page.getByRole("link", { name: /prices v2/ }).first());
  await page.getByRole("heading", { level: 1, name: /prices v2/ }).waitFor();
  await page.goBack();
  await page.getByRole("heading", { level: 1, name: /next-range v2/ }).waitFor();
  await page.done();
});

test("champion and challenger stand on the overview with their gates' figures", async () => {
  const page = await from(ONE);
  const card = page.getByRole("region", { name: /^Who answers/ });
  const champion = card.getByRole("row").filter({ hasText: "next-range" });
  await until(async () => /v2\s*4 of 4\s*−\d/.test(await champion.innerText()), "the champion's figures");
  assert.match(await card.getByRole("row").filter({ hasText: "next-close" }).innerText(), /v\d+\s*(\d of \d|not judged)/);
  assert.match(await page.getByRole("region", { name: "The loop" }).innerText(), /prices v\d+/);
  page.within(0);
  await page.done();
});

test("lineage is drawn from what was pinned, by the run, to who serves", async () => {
  const page = await open({ url: ONE, path: "/models/next-range/2?tab=lineage" });
  const drawing = page.getByRole("group", { name: /^Lineage/ });
  await drawing.waitFor();
  const steps = (await drawing.getAttribute("aria-label")).split(" → ");
  assert.match(steps[0], /Dataset prices v2.*Features volatility.*Engine xgboost/);
  assert.deepEqual(steps.slice(1).map((s) => s.split(" ")[0].replace("Lineage:", "")), ["Run", "Release", "Version", "Deployment"]);
  await page.done();
});

test("a run is registered as a version: said first, then done", async () => {
  const M = "/api/2.0/mlflow/";
  const { run } = await api(ONE, M + "runs/create", "POST", { experiment_id: "0", run_name: "from a notebook" });
  const id = run.info.run_id;
  const page = await open({ url: ONE, path: `/runs/${id}` });
  await page.getByText("it logged no model").waitFor(); // the button says why not
  const put = await fetch(`${ONE}/api/2.0/mlflow-artifacts/artifacts/0/${id}/artifacts/model/MLmodel`, { method: "PUT", body: "flavors: {}" });
  assert.ok(put.ok, `${put.status}`);
  await api(ONE, M + "registered-models/create", "POST", { name: "by-hand" });
  await page.reload();
  await page.getByText("it logged no model").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Register…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("model").selectOption("by-hand");
  await dialog.getByText("Model 'by-hand' gets version 1").waitFor();
  await dialog.getByRole("button", { name: "Register as a version" }).click();
  await page.getByRole("heading", { level: 1, name: /by-hand v1/ }).waitFor();
  await api(ONE, M + "registered-models/delete", "DELETE", { name: "by-hand" });
  await api(ONE, M + "runs/delete", "POST", { run_id: id });
  await page.done();
});

test("at 400 pixels a run's figures stand beside its name, the newest window is seen", async () => {
  let page = await open({ url: ONE, path: "/runs", width: 400 });
  const heads = page.getByRole("grid", { name: "Runs" }).getByRole("columnheader");
  await heads.nth(1).waitFor();
  assert.deepEqual((await heads.allInnerTexts()).slice(1, 3), ["Name", "test_mae"]);
  assert.ok((await heads.nth(2).boundingBox()).x + 96 <= 400, "the figure is within the screen");
  await page.done();
  page = await open({ url: TWO, path: "/monitoring/next-range", width: 400 });
  const last = page.locator(".wins a").last();
  await last.waitFor();
  assert.ok((await last.boundingBox()).x < 400, "the newest window is within the screen");
  await page.done();
});

test("MLflow's links land", async () => {
  const search = await api(ONE, "/api/2.0/mlflow/runs/search", "POST", { experiment_ids: ["1"], max_results: 1 });
  const id = search.runs[0].info.run_id;
  const page = await open({ url: ONE, path: `/#/experiments/1/runs/${id}` });
  await until(() => page.url() === `${ONE}/runs/${id}`, "our address");
  await page.getByText("Parameters").first().waitFor();
  await page.goto(ONE + "/#/models/next-range/versions/1");
  await page.getByRole("heading", { level: 1, name: /next-range v1/ }).waitFor();
  await page.done();
});

test("the keyboard alone: sections, find, rows, dialogs, and no key acts", async () => {
  const page = await open({ url: ONE });
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  await page.getByRole("heading", { level: 1, name: "Models" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  assert.match(await page.title(), /^Models/);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /^Find/ }).fill("prices");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: /^prices/ }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  const grid = page.getByRole("grid");
  await grid.waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByText("Parameters").first().waitFor();
  await page.done();
});

test("Escape closes a dialog, focus returns and nothing is done", async () => {
  const page = await open({ url: ONE });
  const before = (await api(ONE, "/api/v1/deployments/next-range")).deployment.revision;
  const button = page.getByRole("button", { name: "Roll back…" });
  await button.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.match(await page.evaluate(() => document.activeElement?.textContent), /Roll back/);
  assert.equal((await api(ONE, "/api/v1/deployments/next-range")).deployment.revision, before);
  await page.done();
});

test("other people's bytes are text: a run's name cannot run", async () => {
  const evil = '<img src=x onerror="window.hacked=1">';
  const made = await api(ONE, "/api/2.0/mlflow/runs/create", "POST", { experiment_id: "0", run_name: evil, tags: [{ key: "t", value: evil }] });
  const id = made.run.info.run_id;
  await api(ONE, "/api/2.0/mlflow/runs/log-parameter", "POST", { run_id: id, key: "p", value: evil });
  const page = await open({ url: ONE, path: `/runs/${id}` });
  await until(async () => (await page.locator("h1").innerText()).includes("<img"), "the name as text");
  await page.goto(ONE + "/runs?experiment=0");
  await page.getByRole("grid").getByText("<img", { exact: false }).first().waitFor();
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  await api(ONE, "/api/2.0/mlflow/runs/delete", "POST", { run_id: id });
  await page.done();
});

test("the first view asks this host only, and little", async () => {
  const page = await open({ url: ONE });
  await until(async () => /serving/.test(await lead(page).innerText()), "the sentence");
  const list = page.requests.filter((r) => !r.startsWith("data:"));
  assert.ok(list.length <= 6, `${list.length} requests: ${list.join(" ")}`);
  assert.equal(new Set(list).size, list.length, `asked twice: ${list.join(" ")}`);
  await page.done();
});

test("an empty server says in each section what will stand there", async () => {
  for (const path of ["/", "/data", "/features", "/runs", "/models", "/deployments", "/monitoring", "/flows", "/settings?tab=access", "/rehearsal"]) {
    const page = await open({ url: EMPTY, path });
    await page.getByText(/slipway (run|deploy|train|flow|rehearse|token|status)|import mlflow/).first().waitFor();
    await page.done();
  }
});

test("a missing object is told with a way back, other blocks live on", async () => {
  const page = await open({ url: ONE, path: "/models/nowhere/9" });
  const alert = page.getByRole("alert").first();
  await alert.waitFor();
  assert.match(await alert.innerText(), /404/);
  await nav(page, "Data").click();
  await page.getByRole("heading", { level: 1, name: "Data" }).waitFor();
  await page.done();
});

test("the view is in the address: reload and Back give it again", async () => {
  const page = await open({ url: ONE, path: "/runs" });
  await page.getByRole("grid").waitFor();
  await page.getByLabel("Filter, in MLflow's words").fill("metrics.test_mae < 0.0072");
  await page.keyboard.press("Enter");
  await until(() => page.url().includes("q="), "the filter in the address");
  const count = () => page.locator("#filter-says").innerText();
  const { total } = await api(ONE, "/api/v1/runs?limit=1&q=" + encodeURIComponent("metrics.test_mae < 0.0072"));
  const said = total === 1 ? "1 run" : `${total} runs`;
  await until(async () => (await count()).trim() === said, "the filtered list");
  await page.reload();
  await until(async () => (await count()).trim() === said, "the same list");
  await page.getByLabel("Filter, in MLflow's words").fill("metrics.test_mae <");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor(); // the server's sentence
  await page.goBack();
  await until(async () => (await count()).trim() === said, "the list before");
  await page.done();
});

test("a lost stream is said, and comes back", async () => {
  const page = await open({ url: ONE });
  await until(async () => /^Live$/.test(await page.locator(".live").innerText()), "the stream");
  await page.context().setOffline(true);
  // an open stream outlives being offline in the emulation: a new page shows it
  await page.context().setOffline(false);
  await page.route("**/api/v1/stream", (r) => r.abort());
  await page.reload();
  await until(async () => /Not live/.test(await page.locator(".live").innerText()), "the loss");
  await page.unroute("**/api/v1/stream");
  await until(async () => /^Live$/.test(await page.locator(".live").innerText()), "the way back", 20000);
  await page.done();
});

test("9. what would another policy have cost: rehearse, follow it, read the table", async () => {
  const page = await open({ url: ONE, path: "/rehearsal" });
  await page.getByText("No rehearsal has run on this server").waitFor();
  await page.getByRole("button", { name: "Rehearse…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("from").fill("2023-08-01");
  await dialog.getByLabel("to").fill("2023-08-31");
  await dialog.getByLabel("deployment").fill("next-close");
  await dialog.getByText("A job lives through these days").waitFor();
  await dialog.getByRole("button", { name: "Rehearse", exact: true }).click();
  await page.getByRole("region", { name: "Under way" }).waitFor();
  const link = page.getByRole("link", { name: "next-close" });
  await link.waitFor({ timeout: 180000 });
  await link.click();
  await page.getByRole("heading", { level: 1, name: "next-close, rehearsed" }).waitFor();
  const { rehearsals } = await api(ONE, "/api/v1/rehearsals");
  const told = await api(ONE, `/api/v1/rehearsals/${rehearsals[0].id}`);
  assert.deepEqual(told.policies.map((p) => p.name), ["notebook", "slipway", "rule"]);
  const policies = page.getByRole("region", { name: "Policies" });
  for (const p of told.policies)
    assert.match(await policies.getByRole("row").filter({ hasText: p.name }).last().innerText(),
      new RegExp(`${p.total.fallback_days} of ${p.total.days}`));
  const lines = page.getByRole("region", { name: "Error by year and symbol" }).getByRole("row");
  assert.equal(await lines.count(), 1 + 1 + told.policies[0].by_year[0].symbols.length);
  await page.done();
});
