// The search view: the passages, with matched words highlighted and on request an explanation of each score.

import * as address from "./address.js";
import { call } from "./api.js";
import { announce, byId, degradedNote, dotted, h, highlighted, plural, problemCard, sourceNode } from "./dom.js";
import { open as openPassage } from "./passage.js";

const TOP_K = 10; // one or two screenfuls; more hits do not help
const LEAD_CHARACTERS = 140; // shown before the first highlighted word: about a line and a half
let latest = null;

export function prepare() {
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  for (const id of ["mode", "collection", "explain"]) byId(id).addEventListener("change", () => byId("query").value.trim() && ask());
  invite();
}

export async function show(_who, parameters) {
  if (![...parameters].length && byId("query").value.trim()) note({ replace: true }); // returned from another view
  else if (parameters.get("q")) {
    await fillCollections(parameters.get("collection"));
    move(parameters);
    return;
  }
  fillCollections();
}

/** Called when the address has changed by Back or a reload: run the search that it contains. */
export function move(parameters) {
  byId("query").value = parameters.get("q") ?? "";
  byId("mode").value = parameters.get("mode") ?? "hybrid";
  byId("collection").value = parameters.get("collection") ?? "";
  byId("explain").checked = parameters.has("explain");
  if (byId("query").value) run();
  else invite();
}

function ask() {
  note();
  run();
}

function note(how) {
  const mode = byId("mode").value;
  const parameters = { q: byId("query").value.trim(), mode: mode === "hybrid" ? "" : mode, collection: byId("collection").value, explain: byId("explain").checked && "1" };
  address.write("search", parameters, how);
}

function invite() {
  byId("search-results").replaceChildren(h("p", { class: "empty" }, "Type a few words, or a whole question. Hybrid finds both the same words and the same meaning."));
}

/** Load the collections to choose from; if that fails, the filter stays at "All". */
async function fillCollections(wanted) {
  try {
    const { items } = await call("GET", "/v1/collections");
    const select = byId("collection");
    const chosen = wanted ?? select.value;
    select.replaceChildren(h("option", { value: "" }, "All collections"),
      ...items.map(({ name, documents }) => h("option", { value: name }, `${name} (${plural(documents, "document")})`)));
    select.value = items.some(({ name }) => name === chosen) ? chosen : "";
  } catch { /* the search itself will say what is wrong */ }
}

async function run() {
  const query = byId("query").value.trim();
  if (!query) return;
  latest?.abort();
  const control = new AbortController();
  latest = control;
  const results = byId("search-results");
  const explain = byId("explain").checked;
  const body = { query, top_k: TOP_K, mode: byId("mode").value, explain, highlight: true };
  if (byId("collection").value) body.filters = { collections: [byId("collection").value] };
  results.setAttribute("aria-busy", "true");
  if (!results.querySelector(".hits")) results.replaceChildren(h("p", { class: "loading" }, "Searching…"));
  try {
    const answer = await call("POST", "/v1/search", { body, signal: control.signal });
    results.replaceChildren(...render(answer, explain));
    announce(answer.hits.length ? `${plural(answer.hits.length, "passage")} found.` : "Nothing found.");
  } catch (problem) {
    if (control.signal.aborted) return;
    results.replaceChildren(problemCard(problem, run));
  } finally {
    if (latest === control) results.setAttribute("aria-busy", "false");
  }
}

function render({ hits, degraded }, explain) {
  const results = hits.length
    ? [h("p", { class: "meta" }, `${plural(hits.length, "passage")}, best first`), h("ol", { class: "hits" }, ...hits.map((hit) => hitRow(hit, explain)))]
    : [h("p", { class: "empty" }, "Nothing found. Try fewer or other words, another mode, or all collections.")];
  return [degradedNote(degraded), ...results].filter(Boolean);
}

function hitRow(hit, explain) {
  return h("li", { class: "hit" },
    h("div", { class: "hit-head" },
      h("h2", { class: "hit-title" }, h("button", { type: "button", class: "as-link", onclick: () => openPassage(hit) }, hit.title || "Untitled")),
      h("span", { class: "score", title: "Score" }, h("span", { class: "vh" }, "Score "), score(hit.score))),
    h("p", { class: "meta" }, ...dotted(hit.collection, sourceNode(hit.source))),
    h("p", { class: "passage-preview" }, ...preview(hit)),
    explain && hit.explain ? explanation(hit.explain) : null);
}

/** The passage from shortly before its first highlighted word, so that the match is visible. */
function preview({ passage, highlight }) {
  const nodes = highlight ? highlighted(highlight) : [passage];
  const before = nodes[0];
  if (nodes.length > 1 && before.length > LEAD_CHARACTERS) nodes[0] = `… ${before.slice(-LEAD_CHARACTERS).replace(/^\S*\s+/, "")}`;
  return nodes;
}

const score = (value) => (typeof value === "number" ? value.toFixed(3) : String(value ?? "–"));

/** The raw score and the rank in each list, or that the list does not contain the passage. */
function explanation(explain) {
  const way = (name) => {
    const [raw, rank] = [explain[`${name}_score`], explain[`${name}_rank`]];
    return h("div", {}, h("dt", {}, name), h("dd", {}, rank == null ? "not found this way" : `score ${score(raw)}, rank ${rank}`));
  };
  return h("dl", { class: "explain" }, way("lexical"), way("semantic"));
}
