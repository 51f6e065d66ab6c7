// The ask view: one article for each question, newest first, filled while its answer streams in. After a reload they are shown again.

import { answerArticle } from "./answer.js";
import { Problem, call, problemFrom, streamAnswer } from "./api.js";
import { announce, byId, h, plural } from "./dom.js";
import { keep } from "./memory.js";

const KEPT_ANSWERS = 20; // enough to look back at, while the page stays small
const TOLD_QUESTIONS = 3; // a follow-up refers to the last few, and the service uses no more
const TOLD_CHARACTERS = 4_000; // of each question and answer; more does not help to resolve a word such as "it"
let running = null;
let shown = []; // the answers on the page, newest first

export function prepare() {
  const question = byId("question");
  byId("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (question.value.trim() && !running) ask(question.value.trim());
  });
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId("ask-form").requestSubmit();
  });
  question.addEventListener("input", save);
  byId("ask-collection").addEventListener("change", save);
  byId("ask-anew").addEventListener("click", anew);
  byId("stop").addEventListener("click", () => running?.abort());
  for (const example of document.querySelectorAll(".example")) {
    example.addEventListener("click", () => {
      if (running) return;
      ask(example.textContent);
    });
  }
}

export function show() {
  fillCollections();
}

/** Show the answers from before a reload; `kept`: what `save` stored. */
export function restore(kept) {
  running?.abort();
  shown = [];
  for (const record of kept?.answers ?? []) shown.push(answerArticle(record.question, () => again(record.question), record));
  byId("answers").replaceChildren(...shown.map(({ element }) => element));
  byId("question").value = kept?.draft ?? byId("question").value;
  const collection = kept?.collection ?? "";
  if (collection) byId("ask-collection").append(h("option", { value: collection }, collection));
  byId("ask-collection").value = collection;
  arrange();
}

function save() {
  keep("ask", { answers: shown.map(({ record }) => record()), draft: byId("question").value, collection: byId("ask-collection").value });
}

function arrange() {
  byId("examples").hidden = shown.length > 0;
  byId("ask-anew").hidden = !shown.length;
}

/** Remove all answers; the next question then has no conversation to refer to. */
function anew() {
  running?.abort();
  shown = [];
  byId("answers").replaceChildren();
  arrange();
  save();
  byId("question").focus();
  announce("A new conversation.");
}

/** Load the collections to choose from; if that fails, questions go to all of them. */
async function fillCollections() {
  const select = byId("ask-collection");
  try {
    const { items } = await call("GET", "/v1/collections");
    const chosen = select.value;
    select.replaceChildren(h("option", { value: "" }, "All collections"),
      ...items.map(({ name, documents }) => h("option", { value: name }, `${name} (${plural(documents, "document")})`)));
    select.value = items.some(({ name }) => name === chosen) ? chosen : "";
  } catch { /* the question itself will say what is wrong */ }
}

const again = (question) => !running && ask(question);

async function ask(question) {
  const control = new AbortController();
  running = control;
  byId("question").value = "";
  setBusy(true);
  const collection = byId("ask-collection").value;
  const asked = { question, history: history(), ...(collection ? { filters: { collections: [collection] } } : {}) };
  const answer = answerArticle(question, () => again(question));
  byId("answers").prepend(answer.element);
  shown = [answer, ...shown].slice(0, KEPT_ANSWERS);
  while (byId("answers").children.length > KEPT_ANSWERS) byId("answers").lastChild.remove();
  arrange();
  save();
  announce("Searching your documents.");
  try {
    for await (const { event, data } of streamAnswer(asked, control.signal)) {
      if (event === "retrieval") answer.retrieved(data);
      else if (event === "words") answer.addWords(data.text);
      else if (event === "retract") answer.retract(data.to);
      else if (event === "token") answer.add(data.text);
      else if (event === "citation") answer.cite(data);
      else if (event === "done") answer.done(data);
      else if (event === "error") answer.failed(problemFrom(data.status ?? 500, JSON.stringify(data), data.request_id));
    }
  } catch (problem) {
    if (!byId("question").value && answer.element.isConnected) byId("question").value = question; // so that the reader can edit it and ask again
    if (control.signal.aborted) answer.stopped();
    else answer.failed(problem instanceof Problem ? problem : new Problem({ title: "This page failed", detail: String(problem), action: "Reload it, then ask again." }));
  } finally {
    if (running === control) {
      running = null;
      setBusy(false);
    }
    save();
  }
}

/** The conversation so far, oldest message first, for questions that refer to it. */
function history() {
  const whole = shown.map(({ record }) => record()).filter(({ way, written }) => way === "done" && written.trim());
  return whole.slice(0, TOLD_QUESTIONS).reverse().flatMap(({ question, written }) => [
    { role: "user", content: question.slice(0, TOLD_CHARACTERS) }, { role: "assistant", content: written.trim().slice(0, TOLD_CHARACTERS) },
  ]);
}

function setBusy(busy) {
  const held = [byId("ask-button"), byId("stop")].includes(document.activeElement);
  byId("ask-button").hidden = busy;
  byId("stop").hidden = !busy;
  if (held) (busy ? byId("stop") : byId("question")).focus();
}
