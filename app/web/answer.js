// One answer on the page: its text as it arrives, its citations, and the notes when it ends or fails.

import { announce, degradedNote, dotted, h, plural, problemCard } from "./dom.js";
import { blocks, element as blockElement } from "./markdown.js";
import { open as openPassage } from "./passage.js";

const COPIED_MS = 2_000; // how long "copied" is shown: long enough to be read
const MARKER_AT_END = /\[\d{1,3}\]$/;

/** The article of an answer, with its operations. `kept`: the `record()` of an answer from before a reload. */
export function answerArticle(question, again, kept = null) {
  const citations = new Map();
  let written = ""; // text whose citations are checked
  let words = []; // the language model's words as they came, by character; those from `settled` on are not checked yet
  let settled = 0;
  let drawn = []; // a key for each block that is shown on the page
  let ended = null; // the data of the event `done`
  let way = "asking"; // or "done", "stopped", "failed"
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

  /** Update the page to the text so far. Unchanged blocks stay in place, so that they keep the focus. */
  function draw() {
    const wanted = blocks(written + words.slice(settled).join(""));
    const keys = wanted.map(({ kind, lines }) => `${kind}\n${lines.join("\n")}`);
    wanted.forEach((block, index) => {
      if (keys[index] === drawn[index]) return;
      const made = blockElement(block, (n, before) => marker(n, sentenceBefore(before)));
      if (text.children[index]) text.children[index].replaceWith(made);
      else text.append(made);
    });
    while (text.children.length > wanted.length) text.lastChild.remove();
    drawn = keys;
  }
  function cite(citation) {
    const n = citation.n ?? citations.size + 1;
    if (citations.has(n)) return;
    citations.set(n, { ...citation, n });
    for (const button of text.querySelectorAll(`.cite[data-n="${n}"]`)) {
      button.disabled = false;
      button.setAttribute("aria-label", label(n));
    }
    sources.append(sourceItem(n, citation, () => openPassage(citations.get(n))));
    sourcesBlock.hidden = false;
  }
  function end(how) {
    way = how;
    settled = words.length; // what was never checked does not stay
    draw();
    progress.remove();
    element.setAttribute("aria-busy", "false");
    for (const button of text.querySelectorAll(".cite:disabled")) button.replaceWith(button.textContent);
  }

  const unfinished = (word) => h("p", { class: "incomplete" }, word, written.trim() ? "What stands above is not the whole answer. " : "",
    h("button", { type: "button", class: "as-link", onclick: again }, "Ask again"));

  const article = {
    element,
    cite,
    /** Everything that is needed to show the answer again after a reload. */
    record: () => ({ question, way, written, citations: [...citations.values()], ended }),
    retrieved({ hits = [], degraded }) {
      progress.textContent = hits.length ? `Reading ${plural(hits.length, "passage")}…` : "No passage found…";
      announce(hits.length ? `Found ${plural(hits.length, "passage")}. The answer is being written.` : "No passage found.");
      if (degraded) notices.append(degradedNote(degraded));
    },
    add(piece) {
      written += piece;
      draw();
    },
    /** Words that no citation was found for yet. */
    addWords(piece) {
      words.push(...piece);
      draw();
    },
    /** Take back the words up to the character `to`: those that a passage supports follow as checked text. */
    retract(to) {
      settled = to;
      draw();
    },
    done(said, { quietly = false } = {}) {
      const { answer = "", grounded, label: author, citations: all = [], nearest = [] } = said;
      all.forEach((citation, index) => cite({ n: index + 1, ...citation }));
      written = answer || written;
      ended = { grounded, label: author, nearest };
      end("done");
      if (grounded === false) {
        notices.prepend(h("div", { class: "notice warn" }, h("p", { class: "notice-title" }, "Not grounded in your documents"),
          h("p", {}, "No passage supports this well enough. Do not rely on it; ask in other words, or add documents that cover it.")));
      }
      if (nearest.length) element.append(nearestBlock(nearest));
      foot.append(h("p", { class: "meta" }, ...dotted(author)), copyButton(() => copyText(question, written, citations)));
      if (!quietly) announce(`${grounded === false ? "Not grounded in your documents. " : ""}Answer: ${written} ${plural(citations.size, "source")}.`);
    },
    stopped() {
      end("stopped");
      notices.append(unfinished("Stopped. "));
      announce("Stopped.");
    },
    failed(problem) {
      end("failed");
      if (written.trim()) notices.append(h("p", { class: "incomplete" }, "What stands above is not the whole answer."));
      notices.append(problemCard(problem, again, "Ask again"));
    },
  };
  if (kept) {
    written = kept.written ?? "";
    (kept.citations ?? []).forEach(cite);
    if (kept.way === "done") article.done({ ...kept.ended, answer: written }, { quietly: true });
    else {
      end(kept.way);
      notices.append(unfinished("This answer was not finished. "));
    }
  }
  return article;
}

/** A passage as a list item: its title, and one of its sentences or its beginning; a click shows the whole passage. */
function sourceItem(n, { title, passage, quote }, open) {
  return h("li", { value: n },
    h("button", { type: "button", class: "source-open", onclick: open },
      h("span", { class: "source-title", "data-n": n }, title || "Untitled"),
      h("span", { class: "source-text" }, quote ?? passage ?? "")));
}

/** The nearest passages, shown when nothing answers the question. */
function nearestBlock(nearest) {
  return h("div", {}, h("h3", { class: "small-title" }, "Nearest passages, which may be about something else"),
    h("ol", { class: "sources" }, ...nearest.map((passage, index) => sourceItem(passage.n ?? index + 1, passage, () => openPassage(passage, passage)))));
}

/** The sentence before a citation marker, so that it can be found in the passage. */
function sentenceBefore(written) {
  let bare = written.replace(/[*`]/g, "").trimEnd();
  while (MARKER_AT_END.test(bare.slice(-5))) bare = bare.slice(0, bare.lastIndexOf("[")).trimEnd(); // one at a time, because a pattern for many would be quadratic
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
