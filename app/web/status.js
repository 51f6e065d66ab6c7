// The status view: the state of the service, polled every few seconds while the view is shown.

import { call } from "./api.js";
import { byId, count, h, problemCard, prose } from "./dom.js";
import { poller } from "./poll.js";

const REFRESH_MS = 5_000;
let seen = null;

const polling = poller(REFRESH_MS, refresh);
export const { prepare, hide } = polling;

export function show() {
  if (!seen) byId("status-body").replaceChildren(h("p", { class: "loading" }, "Looking…"));
  polling.show();
}

async function refresh() {
  try {
    const status = await call("GET", "/v1/status");
    seen = new Date();
    byId("status-notice").replaceChildren();
    byId("status-body").classList.remove("stale");
    byId("status-body").replaceChildren(...render(status));
    byId("status-lead").textContent = `As of ${clock(seen)}, read again every 5 seconds.`;
  } catch (problem) {
    if (!byId("status-notice").children.length) byId("status-notice").replaceChildren(problemCard(problem, polling.turn));
    byId("status-body").classList.add("stale");
    if (!seen) byId("status-body").replaceChildren();
    byId("status-lead").textContent = seen ? `The numbers below are from ${clock(seen)}.` : "Nothing could be read yet.";
  }
}

const clock = (date) => new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(date);

const modelName = (model) => (model && typeof model === "object" ? model.name ?? model.model : model);

function render({ search = {}, documents = {}, generation = {}, release, color, reasons = {} }) {
  const model = modelName(search.model);
  const passages = search.passages ?? 0;
  const vectors = search.vectors ?? 0;
  const missing = model ? passages - vectors : 0;
  return [
    ...Object.entries(reasons).map(([part, text]) => h("div", { class: "notice warn" }, h("p", { class: "notice-title" }, `Trouble with: ${part}`), h("p", {}, ...prose(text)))),
    h("dl", { class: "figures" },
      ...["indexed", "processing", "queued", "failed"].map((status) =>
        h("div", { class: `figure ${documents[status] ? status : "none"}` }, h("dt", {}, status), h("dd", {}, count(documents[status])))),
      ),
    model
      ? missing > 0
        ? h("div", { class: "notice" }, h("p", {}, `${count(missing)} of ${count(passages)} passages are found by their words only, until they are embedded.`),
          h("progress", { max: passages, value: vectors, "aria-label": "Passages embedded" }))
        : null
      : h("div", { class: "notice warn" }, h("p", { class: "notice-title" }, "Lexical only"),
        h("p", {}, "There is no embedding model, so passages are found by their words, not by their meaning. Operators: ", h("code", {}, "teal doctor"), " says how to get one.")),
    h("dl", { class: "facts" },
      fact("Search engine", search.adapter),
      fact("Passages", count(passages)),
      fact("Vectors", count(vectors)),
      fact("Embedding model", model || "none: lexical only"),
      fact("Answers are written by", generation.label),
      fact("Release", release),
      fact("Color", color)),
  ].filter(Boolean);
}

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value ?? "–")));
