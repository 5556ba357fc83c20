/* Runs: the list, one run, and several beside each other. */
import "../main";
import { ComparePage } from "../sections/compare";
import { RunPage } from "../sections/run";
import { RunList } from "../sections/runs";

export function page([, a]: string[]) {
  return a === "compare" ? <ComparePage /> : a ? <RunPage key={a} id={a} /> : <RunList />;
}
