/* The actions that several sections offer, as requests. */
import { percent } from "../lib/format";
import { go, href } from "../lib/router";
import type { Deployment } from "../lib/types";
import { v } from "../lib/words";
import type { Act } from "./dialog";

const path = (name: string, action: string) =>
  `/api/v1/deployments/${encodeURIComponent(name)}/${action}`;

export const rollbackAct = (d: Deployment): Act => ({
  title: `Roll back to ${v(d.previous_version)}`, path: path(d.name, "rollback"), why: "why", danger: true });

export const retrainAct = (model: string): Act => ({
  title: `Retrain ${model}`, path: "/api/v1/flows", body: { model }, why: "reason",
  done: (answer) => { if (answer?.run) go(href(["flows", answer.run])); } });

export const promoteAct = (d: Deployment, version: number): Act => ({
  title: `Promote ${v(version)}`, path: path(d.name, "promote"), body: {}, why: "why" });

export const deployAct = (d: Deployment, version: number): Act => ({
  title: `Deploy ${v(version)}`, path: path(d.name, "deploy"), body: { version }, why: "why" });

export const simpleAct = (d: Deployment, action: string, title: string, danger = false,
  body: Record<string, unknown> = {}): Act =>
  ({ title, path: path(d.name, action), body, why: "why", danger });

function WeightField({ body, set, champion, canary }: { body: Record<string, unknown>;
  set: (b: Record<string, unknown>) => void; champion: string; canary: string }) {
  const w = Number(body.weight ?? 0);
  return <>
    <label class="field" for="act-weight">Share of the keys for {canary}, in percent</label>
    <input id="act-weight" type="number" min="1" max="100" step="1" value={String(Math.round(w * 100))}
      onInput={(e) => {
        const n = Number(e.currentTarget.value);
        if (n >= 0 && n <= 100) set({ ...body, weight: n / 100 });
      }} />
    <p class="mut sml">{champion} {percent(1 - w)}, {canary} {percent(w)}: 100 % in all.</p>
  </>;
}

export const weightAct = (d: Deployment): Act => ({
  title: `Set the weight of ${v(d.canary_version)}`, path: path(d.name, "weight"),
  body: { weight: d.canary_weight }, why: "why",
  fields: (body, set) => <WeightField body={body} set={set}
    champion={v(d.champion_version)} canary={v(d.canary_version)} /> });

export const canaryAct = (d: Deployment, version: number): Act => ({
  title: `Start ${v(version)} as canary`, path: path(d.name, "canary"),
  body: { version, weight: d.definition.rollout?.[0]?.canary ?? 0.1 }, why: "why",
  fields: (body, set) => <WeightField body={body} set={set}
    champion={v(d.champion_version)} canary={v(version)} /> });
