// The texts for a document's state, in the list and among uploads.

import { h, prose } from "./dom.js";

const WORDS = { queued: "Queued", processing: "Processing", indexed: "Indexed", failed: "Failed" };

export const chip = (status) => h("span", { class: `chip ${status}` }, WORDS[status] ?? status);

/** The message of a failed document: the reason, and what to do about it. */
export function reason(error) {
  if (!error) return null;
  return h("p", { class: "reason" }, ...prose([error.detail, error.action].filter(Boolean).join(" ")));
}

/** The warnings of an indexed document about parts that could not be read. */
export function warnings(said) {
  if (!said?.length) return null;
  return h("ul", { class: "warnings" }, ...said.map((one) => h("li", {}, h("span", { class: "vh" }, "Warning: "), one)));
}
