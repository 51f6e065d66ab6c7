// Asking: one article for each question, newest first, filled while the answer streams in.

import { Problem, problemFrom, streamAnswer } from "./api.js";
import { announce, byId, degradedNote, dotted, h, plural, problemCard } from "./dom.js";
import { open as openPassage } from "./passage.js";

const KEPT_ANSWERS = 20; // enough to look back on, and the page stays light
const COPIED_MS = 2_000; // long enough to be read
let running = null;

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
  byId("stop").addEventListener("click", () => running?.abort());
  for (const example of document.querySelectorAll(".example")) {
    example.addEventListener("click", () => {
      if (running) return;
      ask(example.textContent);
    });
  }
}

export function show() {}

async function ask(question) {
  const control = new AbortController();
  running = control;
  byId("question").value = "";
  setBusy(true);
  const answer = answerArticle(question, () => !running && ask(question));
  byId("examples").hidden = true;
  byId("answers").prepend(answer.element);
  while (byId("answers").children.length > KEPT_ANSWERS) byId("answers").lastChild.remove();
  announce("Searching your documents.");
  try {
    for await (const { event, data } of streamAnswer(question, control.signal)) {
      if (event === "retrieval") answer.retrieved(data);
      else if (event === "token") answer.add(data.text);
      else if (event === "citation") answer.cite(data);
      else if (event === "done") answer.done(data);
      else if (event === "error") answer.failed(problemFrom(data.status ?? 500, JSON.stringify(data), data.request_id));
    }
  } catch (problem) {
    if (!byId("question").value) byId("question").value = question; // to change it and ask again
    if (control.signal.aborted) answer.stopped();
    else answer.failed(problem instanceof Problem ? problem : new Problem({ title: "This page failed", detail: String(problem), action: "Reload it, then ask again." }));
  } finally {
    running = null;
    setBusy(false);
  }
}

function setBusy(busy) {
  const held = [byId("ask-button"), byId("stop")].includes(document.activeElement);
  byId("ask-button").hidden = busy;
  byId("stop").hidden = !busy;
  if (held) (busy ? byId("stop") : byId("question")).focus();
}

/** The article and what can happen to it. Text comes in pieces; a piece may end inside a marker such as `[1`. */
function answerArticle(question, again) {
  const citations = new Map();
  let written = "";
  let pending = "";
  const progress = h("p", { class: "loading" }, "Searching your documents…");
  const text = h("div", { class: "prose" });
  const notices = h("div", { class: "notices" });
  const sources = h("ol", { class: "sources" });
  const sourcesBlock = h("div", { hidden: true }, h("h3", { class: "small-title" }, "Sources"), sources);
  const foot = h("div", { class: "answer-foot" });
  const element = h("article", { class: "answer", "aria-busy": "true" },
    h("h2", { class: "question" }, question), progress, text, notices, foot, sourcesBlock);

  const marker = (n, sentence) => h("button", {
    type: "button", class: "cite", "data-n": n, disabled: !citations.has(n), "aria-label": label(n),
    onclick: () => openPassage(citations.get(n), { quote: sentence }),
  }, `[${n}]`);
  const label = (n) => `Source ${n}${citations.has(n) ? `: ${citations.get(n).title || "Untitled"}` : ""}`;

  function append(piece) {
    for (const part of piece.split(/(\[\d{1,3}\])/)) {
      const found = /^\[(\d{1,3})\]$/.exec(part);
      if (found) text.append(marker(Number(found[1]), sentenceBefore(written)));
      else text.append(part);
      written += part;
    }
  }
  function flush() {
    append(pending);
    pending = "";
  }
  function cite(citation) {
    const n = citation.n ?? citations.size + 1;
    if (citations.has(n)) return;
    citations.set(n, { ...citation, n });
    for (const button of text.querySelectorAll(`.cite[data-n="${n}"]`)) {
      button.disabled = false;
      button.setAttribute("aria-label", label(n));
    }
    sources.append(h("li", { value: n },
      h("button", { type: "button", class: "source-open", onclick: () => openPassage(citations.get(n)) },
        h("span", { class: "source-title", "data-n": n }, citation.title || "Untitled"),
        h("span", { class: "source-text" }, citation.passage ?? ""))));
    sourcesBlock.hidden = false;
  }
  function end() {
    flush();
    progress.remove();
    element.setAttribute("aria-busy", "false");
    for (const button of text.querySelectorAll(".cite:disabled")) button.replaceWith(button.textContent);
  }

  return {
    element,
    cite,
    retrieved({ hits = [], degraded }) {
      progress.textContent = hits.length ? `Reading ${plural(hits.length, "passage")}…` : "No passage found…";
      announce(hits.length ? `Found ${plural(hits.length, "passage")}. The answer is being written.` : "No passage found.");
      if (degraded) notices.append(degradedNote(degraded));
    },
    add(piece) {
      pending += piece;
      const unfinished = /\[\d{0,3}$/.exec(pending)?.[0] ?? "";
      append(pending.slice(0, pending.length - unfinished.length));
      pending = unfinished;
    },
    done({ answer = "", grounded, label: author, citations: all = [] }) {
      flush();
      all.forEach((citation, index) => cite({ n: index + 1, ...citation }));
      if (answer.trim() !== written.trim()) {
        text.replaceChildren();
        written = "";
        append(answer);
      }
      end();
      if (grounded === false) {
        notices.prepend(h("div", { class: "notice warn" }, h("p", { class: "notice-title" }, "Not grounded in your documents"),
          h("p", {}, "No passage supports this well enough. Do not rely on it; ask in other words, or add documents that cover it.")));
      }
      foot.append(h("p", { class: "meta" }, ...dotted(author)), copyButton(() => copyText(question, answer || written, citations)));
      announce(`${grounded === false ? "Not grounded in your documents. " : ""}Answer: ${written} ${plural(citations.size, "source")}.`);
    },
    stopped() {
      end();
      notices.append(h("p", { class: "incomplete" }, "Stopped. ", written.trim() ? "What stands above is not the whole answer. " : "",
        h("button", { type: "button", class: "as-link", onclick: again }, "Ask again")));
      announce("Stopped.");
    },
    failed(problem) {
      end();
      if (written.trim()) notices.append(h("p", { class: "incomplete" }, "What stands above is not the whole answer."));
      notices.append(problemCard(problem, again, "Ask again"));
    },
  };
}

/** The sentence that a marker closes, so that it can be found again in the passage. */
function sentenceBefore(written) {
  const bare = written.replace(/(\s*\[\d{1,3}\])+\s*$/, "").trimEnd();
  const parts = bare.split(/\[\d{1,3}\]|\n|(?<=[.!?])\s+(?=\S)/);
  return parts.at(-1).trim();
}

function copyText(question, answer, citations) {
  const list = [...citations.values()].map((citation) => `[${citation.n}] ${citation.title || "Untitled"}`);
  return [question, "", answer, ...(list.length ? ["", "Sources", ...list] : [])].join("\n");
}

function copyButton(content) {
  const button = h("button", { type: "button", class: "quiet", onclick: copy }, "Copy answer");
  async function copy() {
    try {
      await navigator.clipboard.writeText(content());
      button.textContent = "Copied";
      announce("Answer copied.");
    } catch {
      button.textContent = "Copying is not allowed here";
    }
    setTimeout(() => { button.textContent = "Copy answer"; }, COPIED_MS);
  }
  return button;
}
