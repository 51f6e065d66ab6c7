// The panel that shows a cited passage. Escape, the button or a click outside close it, and the focus returns to where it was.

import { call } from "./api.js";
import { byId, dotted, h, plural, sourceNode } from "./dom.js";

let opener = null;
let openId = null;

export function prepare() {
  const panel = byId("passage");
  byId("passage-close").addEventListener("click", () => panel.close());
  panel.addEventListener("click", (event) => {
    if (event.target === panel) panel.close();
  });
  panel.addEventListener("close", () => {
    openId = null;
    if (opener?.isConnected) opener.focus();
    opener = null;
  });
}

/** Show `cited` {document_id, title, passage, n?, source?, collection?}; `quote` is highlighted in the passage. */
export function open(cited, { quote = "" } = {}) {
  opener = document.activeElement;
  openId = cited.document_id;
  byId("passage-title").textContent = cited.title || "Untitled";
  byId("passage-text").replaceChildren(...marked(cited.passage ?? "", quote));
  describe(cited);
  byId("passage").showModal();
  byId("passage-title").focus();
  byId("passage-text").querySelector("mark")?.scrollIntoView({ block: "nearest" });
  complete(cited);
}

function describe({ n, source, collection, passages }) {
  byId("passage-meta").replaceChildren(...dotted(n ? `Source ${n}` : null, sourceNode(source), collection, passages > 1 ? `one of ${plural(passages, "passage")}` : null));
}

/** Add the document's source and collection when they arrive; the passage is readable without them. */
async function complete(cited) {
  try {
    const found = await call("GET", `/v1/documents/${encodeURIComponent(cited.document_id)}`);
    if (openId === cited.document_id) describe({ ...cited, source: found.source, collection: found.collection, passages: found.passages });
  } catch {
    if (openId === cited.document_id && !cited.source) describe({ ...cited, collection: "this document's details cannot be read now" });
  }
}

/** Nodes of the passage with the quoted sentence highlighted; differences in white space are ignored. */
function marked(passage, quote) {
  const words = quote.trim().split(/\s+/).filter(Boolean);
  if (words.length < 3) return [passage];
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+");
  const found = new RegExp(pattern).exec(passage);
  if (!found) return [passage];
  return [passage.slice(0, found.index), h("mark", {}, found[0]), passage.slice(found.index + found[0].length)];
}
