/* Runs to draw: three trainings with long curves, and a search of sixty. */
import { api } from "./browser.mjs";

const M = "/api/2.0/mlflow/";
const T0 = 1690000000000;

async function run(url, experiment, name, params, tags = []) {
  const made = await api(url, M + "runs/create", "POST", { experiment_id: experiment, run_name: name, start_time: T0, tags });
  const id = made.run.info.run_id;
  if (Object.keys(params).length)
    await api(url, M + "runs/log-batch", "POST", { run_id: id, params: Object.entries(params).map(([key, value]) => ({ key, value: String(value) })) });
  return id;
}

/** A loss that falls by powers of ten, with one spike, one NaN and one infinity. */
export const loss = (k, step) => step === 2500 ? 50 + k : step === 1200 ? "NaN" : step === 3600 ? "Infinity"
  : 10 ** (-4 * step / 5000) * (1 + 0.3 * Math.sin(step * (k + 1))) * (k + 1);

export async function trainings(url, points = 5000, count = 3) {
  const ids = [];
  for (let k = 0; k < count; k++) {
    const id = await run(url, "0", `training-${k}`, { lr: 10 ** -(k + 1), batch: 32, seed: k });
    for (let from = 0; from < points; from += 1000)
      await api(url, M + "runs/log-batch", "POST", { run_id: id, metrics: Array.from({ length: Math.min(1000, points - from) }, (_, i) =>
        ({ key: "loss", value: loss(k, from + i), timestamp: T0 + (from + i) * 1000, step: from + i })) });
    await api(url, M + "runs/log-batch", "POST", { run_id: id, metrics: [
      ...Array.from({ length: 50 }, (_, i) => ({ key: "accuracy", value: 1 - 1 / (i + 2 + k), timestamp: T0 + i * 60000, step: i * 100 })),
      { key: "same", value: 7, timestamp: T0, step: 0 }, { key: "final", value: k / 10, timestamp: T0, step: 0 }] });
    await api(url, M + "runs/update", "POST", { run_id: id, status: "FINISHED", end_time: T0 + points * 1000 });
    ids.push(id);
  }
  return ids;
}

export async function search(url, count = 60) {
  const { experiment_id } = await api(url, M + "experiments/create", "POST", { name: "a search" });
  for (let i = 0; i < count; i++) {
    const id = await run(url, experiment_id, `trial-${i}`, { depth: i % 6, rate: (0.001 * (i + 1)).toFixed(3), kind: ["gbdt", "linear", "trees"][i % 3] });
    await api(url, M + "runs/log-batch", "POST", { run_id: id, metrics: [{ key: "mae", value: (i * 37 % count) / count, timestamp: T0, step: 0 },
      { key: "seconds", value: 1 + i % 9, timestamp: T0, step: 0 }] });
  }
  return experiment_id;
}
