/* The sections that are neither the first view nor runs. */
import "../main";
import { DataList, DataVersion } from "../sections/data";
import { DeploymentList, DeploymentPage } from "../sections/deployments";
import { FeatureList, FeaturePage } from "../sections/features";
import { FlowList, FlowPage } from "../sections/flows";
import { ModelList, ModelPage } from "../sections/models";
import { MonitorList, MonitorPage } from "../sections/monitoring";
import { RehearsalPage } from "../sections/rehearsal";
import { SettingsPage } from "../sections/settings";
import { VersionPage } from "../sections/version";

/** One key per object, so that another object starts from scratch. */
export function page([section, a, b]: string[]) {
  switch (section) {
    case "data": return a ? <DataVersion key={a} name={a} version={b ?? ""} /> : <DataList />;
    case "features": return a ? <FeaturePage key={a} name={a} /> : <FeatureList />;
    case "models": return a && b ? <VersionPage key={`${a}/${b}`} name={a} version={b} />
      : a ? <ModelPage key={a} name={a} /> : <ModelList />;
    case "deployments": return a ? <DeploymentPage key={a} name={a} /> : <DeploymentList />;
    case "monitoring": return a ? <MonitorPage key={a} name={a} /> : <MonitorList />;
    case "flows": {
      const id = b ?? a;
      return id && /^\d+$/.test(id) ? <FlowPage key={id} id={id} /> : <FlowList model={a ?? null} />;
    }
    case "rehearsal": return <RehearsalPage key={a ?? ""} id={a ?? null} />;
    default: return <SettingsPage />;
  }
}
