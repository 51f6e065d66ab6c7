// The library: the list with its pages, deleting and retrying. Adding files is in uploads.js.

import { call } from "./api.js";
import { announce, byId, dotted, h, plural, problemCard, sourceNode, when } from "./dom.js";
import { chip, reason } from "./states.js";
import * as uploads from "./uploads.js";

const PAGE_SIZE = 20;
const POLL_MS = 2_000; // a document takes seconds; this is quick enough to look live and cheap for the service
const cursors = [null]; // one for each page up to the one shown
let nextCursor = null;
let writer = false;
let timer = null;
let visible = false;

export function prepare() {
  uploads.prepare({ onAccepted: () => cursors.length === 1 && load() });
  byId("documents-refresh").addEventListener("click", () => load({ say: true }));
  byId("next").addEventListener("click", () => turn(() => cursors.push(nextCursor)));
  byId("previous").addEventListener("click", () => turn(() => cursors.pop()));
}

export function show(who) {
  visible = true;
  writer = who.role !== "reader";
  byId("add").hidden = !writer;
  byId("add-refused").hidden = writer;
  uploads.fillCollections();
  load();
}

export function hide() {
  visible = false;
  clearTimeout(timer);
}

async function turn(move) {
  move();
  await load({ say: true });
  byId("library-title").focus();
}

/** Load the page shown now, keep rows that stay, and come back while any document is on its way. */
async function load({ say = false } = {}) {
  clearTimeout(timer);
  const list = byId("documents-list");
  const cursor = cursors.at(-1);
  if (!list.children.length) list.replaceChildren(h("li", { class: "loading" }, "Loading…"));
  try {
    const query = new URLSearchParams({ limit: PAGE_SIZE, ...(cursor ? { cursor } : {}) });
    const page = await call("GET", `/v1/documents?${query}`);
    if (cursor !== cursors.at(-1)) return;
    if (!page.items.length && cursors.length > 1) { // its last document was deleted
      cursors.pop();
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
    list.replaceChildren(h("li", { class: "empty" }, writer ? "No documents yet. Add the first one above." : "No documents yet."));
    return;
  }
  const rows = new Map([...list.querySelectorAll("[data-id]")].map((row) => [row.dataset.id, row]));
  const wanted = items.map((item) => {
    const old = rows.get(item.id);
    if (old?.dataset.version === version(item)) return old;
    const row = documentRow(item);
    if (old?.contains(document.activeElement)) requestAnimationFrame(() => row.querySelector("button")?.focus());
    return row;
  });
  const same = wanted.length === list.children.length && wanted.every((row, index) => row === list.children[index]);
  if (!same) list.replaceChildren(...wanted);
}

const version = ({ status, progress, updated_at: updated, passages }) => [status, progress, updated, passages, writer].join(" ");

function documentRow(item) {
  const title = item.title || item.id;
  return h("li", { class: "row", "data-id": item.id, "data-version": version(item) },
    h("div", { class: "row-main" },
      h("p", { class: "row-title" }, title, " ", chip(item.status)),
      h("p", { class: "meta" }, ...dotted(item.collection, sourceNode(item.source), item.passages ? plural(item.passages, "passage") : null, when(item.updated_at ?? item.created_at))),
      item.status === "processing" ? h("progress", { max: 1, value: item.progress ?? 0, "aria-label": `Indexing ${title}` }) : null,
      item.status === "failed" ? reason(item.error) : null),
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
