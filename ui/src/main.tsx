/* The page of Slipway: which section an address shows. */
import "./style.css";
import { render } from "preact";
import { useErrorBoundary } from "preact/hooks";
import { startKeys } from "./lib/keys";
import { startLive } from "./lib/live";
import { place, startRouter } from "./lib/router";
import { Frame } from "./parts/frame";
import { Head } from "./parts/block";
import { OverviewPage } from "./sections/overview";
import { DataList, DataVersion } from "./sections/data";
import { FeatureList, FeaturePage } from "./sections/features";
import { RunList } from "./sections/runs";
import { RunPage } from "./sections/run";
import { ComparePage } from "./sections/compare";
import { ModelList, ModelPage } from "./sections/models";
import { VersionPage } from "./sections/version";
import { DeploymentList, DeploymentPage } from "./sections/deployments";
import { MonitorList, MonitorPage } from "./sections/monitoring";
import { FlowList, FlowPage } from "./sections/flows";
import { RehearsalPage } from "./sections/rehearsal";
import { SettingsPage } from "./sections/settings";

function Lost() {
  return <Head title="There is no such page" lead={<>Nothing is at this address. <a href="/">Overview</a> shows what there is.</>} />;
}

/** One key per object, so that another object starts from scratch. */
function page(parts: string[]) {
  const [section, a, b] = parts;
  switch (section) {
    case undefined: case "overview": return <OverviewPage />;
    case "data": return a ? <DataVersion key={a} name={a} version={b ?? ""} /> : <DataList />;
    case "features": return a ? <FeaturePage key={a} name={a} /> : <FeatureList />;
    case "runs": return a === "compare" ? <ComparePage /> : a ? <RunPage key={a} id={a} /> : <RunList />;
    case "models": return a && b ? <VersionPage key={`${a}/${b}`} name={a} version={b} />
      : a ? <ModelPage key={a} name={a} /> : <ModelList />;
    case "deployments": return a ? <DeploymentPage key={a} name={a} /> : <DeploymentList />;
    case "monitoring": return a ? <MonitorPage key={a} name={a} /> : <MonitorList />;
    case "flows": {
      const id = b ?? a;
      return id && /^\d+$/.test(id) ? <FlowPage key={id} id={id} /> : <FlowList model={a ?? null} />;
    }
    case "rehearsal": return <RehearsalPage key={a ?? ""} id={a ?? null} />;
    case "settings": return <SettingsPage />;
    default: return <Lost />;
  }
}

function Section() {
  const [failed, reset] = useErrorBoundary();
  if (failed) console.error(failed);
  if (failed) return <div class="oops" role="alert"><h1>This section could not be drawn</h1>
    <p>{String(failed)}</p><button onClick={reset}>Try again</button></div>;
  return page(place.value.parts);
}

function App() {
  return <Frame><Section key={place.value.path} /></Frame>;
}

startRouter();
startLive();
startKeys();
render(<App />, document.getElementById("root")!);
