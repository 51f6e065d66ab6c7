// The documents view: the list with its pages, deletion and retry. Uploads are in uploads.js.

import * as address from "./address.js";
import { call } from "./api.js";
import { announce, byId, dotted, h, plural, problemCard, sourceNode, when } from "./dom.js";
import { chip, reason, warnings } from "./states.js";
import * as uploads from "./uploads.js";

const PAGE_SIZE = 20;
const POLL_MS = 2_000; // a document takes seconds; this is short enough to look live and cheap for the service
const TYPING_MS = 300; // shorter than a pause in typing, longer than the time between two letters
let cursors = [null]; // the cursor of each page up to the current one
let nextCursor = null;
let wanted = ""; // the query of the latest request for the list; answers to older ones are ignored
let writer = false;
let timer = null;
let visible = false;
let typing = null;

export function prepare() {
  uploads.prepare({ onAccepted: () => cursors.length === 1 && load() });
  byId("documents-refresh").addEventListener("click", () => load({ say: true }));
  byId("next").addEventListener("click", () => turn([...cursors, nextCursor]));
  byId("previous").addEventListener("click", () => turn(cursors.slice(0, -1)));
  byId("library-form").addEventListener("submit", (event) => {
    event.preventDefault();
    narrow();
  });
  byId("library-query").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(narrow, TYPING_MS);
  });
  for (const id of ["library-collection", "library-status"]) byId(id).addEventListener("change", narrow);
}

export async function show(who, parameters) {
  visible = true;
  writer = who.role !== "reader";
  byId("add").hidden = !writer;
  byId("add-refused").hidden = writer;
  const [names] = await Promise.all([uploads.fillCollections(), writer ? uploads.offerFormats() : null]);
  byId("library-collection").replaceChildren(h("option", { value: "" }, "All collections"), ...names.map((name) => h("option", { value: name }, name)));
  move(parameters);
}

/** Called when the address has changed by Back or a reload. The cursors come from the history state; without them the first page is shown. */
export function move(parameters) {
  byId("library-query").value = parameters.get("q") ?? "";
  byId("library-collection").value = parameters.get("collection") ?? "";
  byId("library-status").value = parameters.get("status") ?? "";
  cursors = parameters.get("page") && Array.isArray(history.state?.cursors) ? history.state.cursors : [null];
  load();
}

/** The current filters, for the address and for the request. */
function chosen() {
  return { q: byId("library-query").value.trim(), collection: byId("library-collection").value, status: byId("library-status").value };
}

function note(how = {}) {
  address.write("documents", { ...chosen(), page: cursors.length > 1 ? cursors.length : "" }, { ...how, state: { cursors } });
}

/** Show only documents that match the chosen words, collection and state. */
async function narrow() {
  clearTimeout(typing);
  cursors = [null];
  note({ replace: true });
  await load({ say: true });
}

export function hide() {
  visible = false;
  clearTimeout(timer);
}

async function turn(pages) {
  cursors = pages;
  note();
  await load({ say: true });
  byId("library-title").focus();
}

/** Load the current page, keep unchanged rows, and load it again later while a document is being processed. */
async function load({ say = false } = {}) {
  clearTimeout(timer);
  const list = byId("documents-list");
  const cursor = cursors.at(-1);
  if (!list.children.length) list.replaceChildren(h("li", { class: "loading" }, "Loading…"));
  try {
    const asked = Object.entries({ ...chosen(), cursor: cursor ?? "" }).filter(([, value]) => value);
    const query = new URLSearchParams([["limit", PAGE_SIZE], ...asked]).toString();
    wanted = query;
    const page = await call("GET", `/v1/documents?${query}`);
    if (wanted !== query) return; // the page or the filters have changed meanwhile
    if (!page.items.length && cursors.length > 1) { // the last document of the page was deleted
      cursors = cursors.slice(0, -1);
      note({ replace: true });
      await load();
      return;
    }
    byId("documents-notice").replaceChildren();
    render(page.items);
    nextCursor = page.next ?? null;
    byId("pager").hidden = cursors.length === 1 && !nextCursor;
    byId("previous").disabled = cursors.length === 1;
    byId("next").disabled = !nextCursor;
    byId("page-number").textContent = `Page ${cursors.length}`;
    if (say) announce(`Page ${cursors.length}: ${plural(page.items.length, "document")}.`);
    if (visible && page.items.some(({ status }) => status === "queued" || status === "processing")) timer = setTimeout(poll, POLL_MS);
  } catch (problem) {
    list.querySelector(".loading")?.remove();
    byId("documents-notice").replaceChildren(problemCard(problem, () => load({ say: true })));
  }
}

function poll() {
  if (document.hidden) timer = setTimeout(poll, POLL_MS);
  else load();
}

function render(items) {
  const list = byId("documents-list");
  if (!items.length) {
    const narrowed = Object.values(chosen()).some(Boolean);
    list.replaceChildren(h("li", { class: "empty" }, narrowed ? "No document fits. Try fewer letters, or all collections and states."
      : writer ? "No documents yet. Add the first one above." : "No documents yet."));
    return;
  }
  const rows = new Map([...list.querySelectorAll("[data-id]")].map((row) => [row.dataset.id, row]));
  const rendered = items.map((item) => {
    const old = rows.get(item.id);
    if (old?.dataset.version === version(item)) return old;
    const row = documentRow(item);
    if (old?.contains(document.activeElement)) requestAnimationFrame(() => row.querySelector("button")?.focus());
    return row;
  });
  const same = rendered.length === list.children.length && rendered.every((row, index) => row === list.children[index]);
  if (!same) list.replaceChildren(...rendered);
}

const version = ({ status, progress, updated_at: updated, passages }) => [status, progress, updated, passages, writer].join(" ");

function documentRow(item) {
  const title = item.title || item.id;
  return h("li", { class: "row", "data-id": item.id, "data-version": version(item) },
    h("div", { class: "row-main" },
      h("p", { class: "row-title" }, title, " ", chip(item.status)),
      h("p", { class: "meta" }, ...dotted(item.collection, sourceNode(item.source), item.passages ? plural(item.passages, "passage") : null, when(item.updated_at ?? item.created_at))),
      item.status === "processing" ? h("progress", { max: 1, value: item.progress ?? 0, "aria-label": `Indexing ${title}` }) : null,
      item.status === "failed" ? reason(item.error) : null,
      warnings(item.warnings)),
    writer ? h("div", { class: "buttons" },
      item.status === "failed" ? h("button", { type: "button", class: "secondary", "aria-label": `Retry ${title}`, onclick: () => retry(item) }, "Retry") : null,
      h("button", { type: "button", class: "quiet", "aria-label": `Delete ${title}`, onclick: () => confirmDelete(item) }, "Delete")) : null);
}

async function retry(item) {
  try {
    await call("POST", `/v1/documents/${encodeURIComponent(item.id)}/retry`);
    announce(`${item.title || item.id} is queued again.`);
    await load();
  } catch (problem) {
    byId("documents-notice").replaceChildren(problemCard(problem));
  }
}

function confirmDelete(item) {
  const dialog = byId("confirm");
  const opener = document.activeElement;
  const row = opener?.closest(".row");
  const after = row?.nextElementSibling ?? row?.previousElementSibling;
  byId("confirm-text").textContent = `“${item.title || item.id}” and its passages leave the library. Answers can no longer rest on it.`;
  byId("confirm-notice").replaceChildren();
  byId("confirm-yes").disabled = false;
  byId("confirm-no").onclick = () => dialog.close();
  byId("confirm-yes").onclick = async () => {
    byId("confirm-yes").disabled = true;
    try {
      await call("DELETE", `/v1/documents/${encodeURIComponent(item.id)}`);
      dialog.close();
      announce(`${item.title || item.id} is deleted.`);
      await load();
      (after?.isConnected ? after.querySelector("button") : byId("library-title"))?.focus();
    } catch (problem) {
      byId("confirm-yes").disabled = false;
      byId("confirm-notice").replaceChildren(problemCard(problem));
    }
  };
  dialog.onclose = () => opener?.isConnected && opener.focus();
  dialog.showModal();
  byId("confirm-no").focus();
}
