// How a document's state reads, in the list and among uploads.

import { h, prose } from "./dom.js";

const WORDS = { queued: "Queued", processing: "Processing", indexed: "Indexed", failed: "Failed" };

export const chip = (status) => h("span", { class: `chip ${status}` }, WORDS[status] ?? status);

/** What a failed document says: the reason, and what to do about it. */
export function reason(error) {
  if (!error) return null;
  return h("p", { class: "reason" }, ...prose([error.detail, error.action].filter(Boolean).join(" ")));
}
