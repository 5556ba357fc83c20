/* Drawings of a whole search. */
import "../main";

export { Parallel, Scatter } from "../sections/plots";
