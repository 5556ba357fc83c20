/* What each section tells the frame: the way back, and its command. */
import { useEffect } from "preact/hooks";
import { command, onKeys } from "../lib/keys";
import { go } from "../lib/router";
import { crumbs } from "./frame";

export function usePage(trail: [string, string | null][], cmd = "") {
  const key = JSON.stringify(trail) + cmd;
  useEffect(() => {
    crumbs.value = trail;
    command.value = cmd;
  }, [key]);
}

/** [ and ] go to the previous and the next object of a list. */
export function useNeighbours(list: string[], at: string, to: (x: string) => string) {
  const key = list.join("|") + at;
  useEffect(() => {
    const i = list.indexOf(at);
    if (i < 0) return;
    return onKeys({ "[": () => { if (list[i - 1] !== undefined) go(to(list[i - 1]!)); },
      "]": () => { if (list[i + 1] !== undefined) go(to(list[i + 1]!)); } });
  }, [key]);
}
