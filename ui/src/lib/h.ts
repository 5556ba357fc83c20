/* What TSX becomes, for the bundler: fewer bytes than the automatic runtime. */
export { Fragment, h } from "preact";
