/* What words.test.mjs looks at, in one bundle for Node. */
export * as words from "../../ui/src/lib/words";
export * as format from "../../ui/src/lib/format";
export * as router from "../../ui/src/lib/router";
export * as facts from "../../ui/src/lib/facts";
export * as plots from "../../ui/src/lib/plots";
export * as scale from "../../ui/src/lib/scale";
