// Uploads: one row for each file, from the first byte that is sent to the last passage that is indexed.

import { Problem, call, upload } from "./api.js";
import { announce, byId, bytes, count, h, plural, problemCard } from "./dom.js";
import { chip, reason, warnings } from "./states.js";

const MOST_FILES = 500; // one row each; for more files the command line is the better tool
const AT_ONCE = 3; // simultaneous uploads; the others wait
const POLL_FIRST_MS = 700;
const POLL_LAST_MS = 5_000; // the longest interval: it grows while a document waits in a long queue
let accepted = () => {};
let sending = 0;
const waiting = [];

export function prepare({ onAccepted }) {
  accepted = onAccepted;
  const drop = byId("drop");
  byId("files").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = ""; // so that the same file can be chosen again
  });
  for (const name of ["dragover", "drop"]) {
    window.addEventListener(name, (event) => event.preventDefault()); // a file dropped beside the zone must not replace the page
  }
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", (event) => drop.contains(event.relatedTarget) || drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    addDropped(event.dataTransfer);
  });
}

/** Load the names that the collection field suggests; without them the user types one. */
export async function fillCollections() {
  try {
    const { items } = await call("GET", "/v1/collections");
    byId("collections").replaceChildren(...items.map(({ name }) => h("option", { value: name })));
    return items.map(({ name }) => name);
  } catch { // the field works without suggestions
    return [];
  }
}

/** Limit the file dialog to the formats that the service reads. Until these are known every file may be sent, and the service explains a refusal. */
export async function offerFormats() {
  try {
    const { items } = await call("GET", "/v1/formats");
    byId("files").accept = items.flatMap(({ suffixes }) => suffixes.map((suffix) => `.${suffix}`)).join(",");
  } catch { /* asked again when the view is shown again */ }
}

/** Collect dropped files, and from dropped folders every file that the service reads; the page names the files that are left out. */
async function addDropped(data) {
  const entries = [...(data.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean); // must be read here: the browser discards them after the event
  byId("drop-notice").replaceChildren();
  if (!entries.some((entry) => entry.isDirectory)) {
    add(data.files);
    return;
  }
  const found = { files: [], left: [], more: false };
  try {
    for (const entry of entries) await collect(entry, found, true);
  } catch (error) {
    byId("drop-notice").replaceChildren(problemCard(new Problem({
      title: "The folder cannot be read", detail: String(error.message || error), action: "Choose its files instead, or use `teal ingest FOLDER`.",
    })));
    return;
  }
  add(found.files);
  byId("drop-notice").replaceChildren(...sayLeftOut(found));
}

/** Collect the files under an entry. A file that was dropped by itself is always sent, and the service explains a refusal. */
async function collect(entry, found, dropped = false) {
  if (found.files.length >= MOST_FILES) {
    found.more = true;
  } else if (entry.isFile) {
    if (dropped || known(entry.name)) found.files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    else found.left.push(entry.fullPath.replace(/^\//, ""));
  } else if (!entry.name.startsWith(".")) {
    const reader = entry.createReader();
    for (let some = [0]; some.length;) { // the browser returns a hundred entries at a time
      some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      for (const inner of some) await collect(inner, found);
    }
  }
}

const known = (name) => byId("files").accept.split(",").some((suffix) => name.toLowerCase().endsWith(suffix));

function sayLeftOut({ files, left, more }) {
  const said = [];
  if (!files.length) said.push("The folder holds no file that can be read.");
  if (left.length) said.push(`Left out, as files of this kind cannot be read: ${left.slice(0, 5).join(", ")}${left.length > 5 ? ` and ${count(left.length - 5)} more` : ""}.`);
  if (more) said.push(`Only the first ${count(MOST_FILES)} files are sent; for more use teal ingest FOLDER.`);
  return said.length ? [h("p", { class: "notice warn", role: "status" }, said.join(" "))] : [];
}

function add(files) {
  if (!byId("into").reportValidity()) return;
  const collection = byId("into").value;
  for (const file of files) {
    const row = uploadRow(file);
    byId("uploads").prepend(row.element);
    enqueue(() => send(file, collection, row));
  }
  if (files.length) announce(`${plural(files.length, "file")} to send.`);
}

function enqueue(task) {
  waiting.push(task);
  next();
}

async function next() {
  if (sending >= AT_ONCE || !waiting.length) return;
  sending += 1;
  await waiting.shift()();
  sending -= 1;
  next();
}

async function send(file, collection, row) {
  if (!row.element.isConnected) return; // the row was removed while it waited
  const again = () => enqueue(() => send(file, collection, row));
  const { sent, abort } = upload(file, collection, row.sent);
  row.sending(abort);
  try {
    const document = await sent;
    accepted();
    if (document.status === "indexed") row.known();
    else follow(document.id, file.name, row);
  } catch (problem) {
    if (problem.name === "AbortError") row.element.remove();
    else row.refused(problem, again);
  }
}

/** Poll the document's state until it is indexed or failed. */
async function follow(id, name, row) {
  const address = `/v1/documents/${encodeURIComponent(id)}`;
  for (let pause = POLL_FIRST_MS; row.element.isConnected; pause = Math.min(pause * 1.3, POLL_LAST_MS)) {
    try {
      const document = await call("GET", address);
      row.state(document);
      if (document.status === "indexed") {
        announce(`${name} is indexed.`);
        accepted();
        return;
      }
      if (document.status === "failed") {
        announce(`${name} failed.`);
        row.failed(document, () => retry(id, name, row));
        return;
      }
    } catch (problem) {
      row.lost(problem, () => follow(id, name, row));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

async function retry(id, name, row) {
  try {
    await call("POST", `/v1/documents/${encodeURIComponent(id)}/retry`);
    row.state({ status: "queued" });
    follow(id, name, row);
  } catch (problem) {
    row.lost(problem, () => retry(id, name, row));
  }
}

function uploadRow(file) {
  const label = h("p", { class: "row-title" }, file.name, " ", h("span", { class: "chip" }, "Waiting"));
  const bar = h("progress", { max: 1, value: 0, "aria-label": `Sending ${file.name}` });
  const meta = h("p", { class: "meta" }, bytes(file.size));
  const extra = h("div", { class: "extra" });
  const buttons = h("div", { class: "buttons" });
  const element = h("li", { class: "row" }, h("div", { class: "row-main" }, label, meta, bar), buttons, extra);
  const button = (text, onclick, kind = "quiet") => h("button", { type: "button", class: kind, "aria-label": `${text} ${file.name}`, onclick }, text);
  const remove = () => button("Dismiss", () => element.remove());
  remove.now = () => buttons.replaceChildren(remove());
  buttons.append(button("Cancel", () => element.remove()));

  function show(status, detail) {
    label.lastChild.replaceWith(chip(status));
    meta.textContent = detail ? `${bytes(file.size)} · ${detail}` : bytes(file.size);
  }
  return {
    element,
    sending(abort) {
      show("Sending", "0 %");
      bar.value = 0;
      bar.hidden = false;
      extra.replaceChildren();
      buttons.replaceChildren(button("Cancel", abort));
    },
    sent(share) {
      bar.value = share;
      show("Sending", share < 1 ? `${Math.floor(share * 100)} %` : "sent, waiting for the answer");
    },
    state({ status, progress, passages, warnings: said }) {
      show(status, status === "processing" ? `${Math.round((progress ?? 0) * 100)} % read` : status === "indexed" && passages ? plural(passages, "passage") : "");
      bar.setAttribute("aria-label", `Indexing ${file.name}`);
      bar.hidden = status !== "processing";
      bar.value = progress ?? 0;
      extra.replaceChildren(warnings(said) ?? "");
      remove.now();
    },
    known() {
      show("indexed", "already in the library");
      bar.hidden = true;
      remove.now();
      announce(`${file.name} is already in the library.`);
    },
    failed(document, again) {
      extra.replaceChildren(reason(document.error) ?? "");
      buttons.replaceChildren(button("Retry", again, "secondary"), remove());
    },
    refused(problem, again) {
      show("failed", "not accepted");
      bar.hidden = true;
      extra.replaceChildren(problemCard(problem));
      buttons.replaceChildren(button("Send again", again, "secondary"), remove());
    },
    lost(problem, again) {
      extra.replaceChildren(problemCard(problem, again, "Look again"));
    },
  };
}
