/* The page of Slipway: which section an address shows. */
import "./style.css";
import { render } from "preact";
import { useErrorBoundary } from "preact/hooks";
import { startKeys } from "./lib/keys";
import { startLive } from "./lib/live";
import { place, startRouter } from "./lib/router";
import { Frame } from "./parts/frame";
import { Part } from "./parts/part";
import { Head } from "./parts/block";
import { OverviewPage } from "./sections/overview";
function Lost() {
  return <Head title="There is no such page" lead={<>Nothing is at this address. <a href="/">Overview</a> shows what there is.</>} />;
}

/** Sections other than the overview come when they are first shown. */
function page(parts: string[]) {
  const [section] = parts;
  switch (section) {
    case undefined: case "overview": return <OverviewPage />;
    case "runs": return <Part name="runs">{(m: typeof import("./lazy/runs")) => m.page(parts)}</Part>;
    case "data": case "features": case "models": case "deployments": case "monitoring": case "flows":
    case "rehearsal": case "settings": return <Part name="more">{(m: typeof import("./lazy/more")) => m.page(parts)}</Part>;
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
