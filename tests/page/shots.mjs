/* The pictures of docs/page and the README, from the two stories and a server
   without runs, to which what is drawn is logged; of a server that is not
   given there are none:
     ONE=http://… TWO=http://… PLOTS=http://… node tests/page/shots.mjs docs/page */
import { close, open } from "./browser.mjs";
import { search, trainings } from "./seed.mjs";

const { ONE, TWO, PLOTS } = process.env;
const to = process.argv[2];
const ids = PLOTS ? await trainings(PLOTS) : [];
const experiment = PLOTS ? await search(PLOTS, 300) : "";
const LIST = [
  ["compare", PLOTS, `/runs/compare?ids=${ids.join(",")}&log=loss&smooth=0.9`, 1280, 860, "light"],
  ["parallel", PLOTS, `/runs?experiment=${experiment}&view=parallel&sort=metrics.mae&brush=metrics.mae~0~0.25`, 1280, 900, "light"],
  ["scatter-dark", PLOTS, `/runs?experiment=${experiment}&view=scatter&sx=params.rate&sy=metrics.mae&sc=params.depth`, 1280, 900, "dark"],
  ["overview", TWO, "/", 1280, 940, "light"],
  ["overview-dark", ONE, "/", 1280, 940, "dark"],
  ["version", ONE, "/models/next-range/2", 1280, 1010, "light"],
  ["monitoring", TWO, "/monitoring/next-range", 1280, 1000, "light"],
  ["runs", ONE, "/runs?sort=metrics.test_mae", 1280, 760, "light"],
  ["deployment-dark", ONE, "/deployments/next-range", 1280, 940, "dark"],
  ["data", ONE, "/data/prices/2?vs=1&col=close", 1280, 1000, "light"],
  ["flow", TWO, "/flows/6", 1280, 900, "light"],
  ["overview-narrow", TWO, "/", 400, 900, "light"],
  ["version-narrow-dark", ONE, "/models/next-range/2", 400, 900, "dark"],
];
for (const [name, url, path, width, height, scheme] of LIST) {
  if (!url) continue;
  const page = await open({ url, path, width, height, scheme });
  await page.waitForFunction(() => !document.querySelector("main [aria-busy=true]"));
  await page.waitForTimeout(700); // charts are drawn when in view
  await page.screenshot({ path: `${to}/${name}.png` });
  await page.done();
}
// One with the dialog that says what will happen.
if (ONE) {
  const page = await open({ url: ONE, path: "/deployments/next-range" });
  await page.getByRole("button", { name: "Roll back…" }).click();
  await page.locator("dialog ol li").first().waitFor();
  await page.screenshot({ path: `${to}/dialog.png` });
  await page.done();
}
await close();
