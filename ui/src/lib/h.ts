/* What TSX becomes, for the bundler: fewer bytes than the automatic runtime.
   The names are not to be met elsewhere, as a local `h` would hide it. */
export { Fragment as __frag, h as __jsx } from "preact";
