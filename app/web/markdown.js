// Renders the Markdown that language models write as elements. No string is parsed as HTML, so that anything like a tag stays text.
// Supported: paragraphs, headings, lists, quotes, fenced code, tables, `code`, **strong**, *emphasis*, links to the web, and citations.

import { h } from "./dom.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const BULLET = /^ {0,6}[-*+] +/;
const NUMBER = /^ {0,6}\d{1,3}[.)] +/;
const HEADING = /^#{1,6} +/;
const QUOTE = /^> ?/;
const RULE = /^\|[ :|-]+$/;
const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*(?!\w)|!?\[([^\][\n]{1,300})\]\((https?:\/\/[^\s()<>]{1,2000})\)|\[(\d{1,3}(?:[,;] ?\d{1,3})*)\]|(https?:\/\/[^\s<>")\]]{1,2000})/g;

/** The blocks of a text, each as its lines. While a text is being streamed only its last block changes. */
export function blocks(text) {
  const found = [];
  let held = [];
  let fence = "";
  let kind = "";
  const end = () => {
    if (held.length) found.push({ kind, lines: held });
    held = [];
    kind = "";
  };
  for (const line of text.split("\n")) {
    if (fence) {
      if (line.trim().startsWith(fence)) {
        fence = "";
        end();
      } else held.push(line);
      continue;
    }
    const opened = FENCE.exec(line);
    if (opened) {
      end();
      fence = opened[1];
      kind = "code";
      held = [];
      continue;
    }
    if (!line.trim()) {
      end();
      continue;
    }
    const next = kindOf(line);
    if (next === "heading" || (kind && next !== kind && !(kind === "list" && /^ {2,}/.test(line)))) end();
    kind ||= next;
    held.push(line);
    if (kind === "heading") end();
  }
  if (fence) kind = "code"; // a fence that is not closed yet
  end();
  return found;
}

function kindOf(line) {
  if (HEADING.test(line)) return "heading";
  if (BULLET.test(line) || NUMBER.test(line)) return "list";
  if (QUOTE.test(line)) return "quote";
  return line.startsWith("|") ? "table" : "text";
}

/** The element of a block. `cite(n, before)` makes the marker of a citation; `before` is the text that it closes. */
export function element({ kind, lines }, cite) {
  if (kind === "code") return h("pre", { tabindex: "0" }, h("code", {}, lines.join("\n")));
  if (kind === "heading") return h("p", { class: "answer-heading" }, ...inline(lines[0].replace(HEADING, ""), cite));
  if (kind === "quote") return h("blockquote", {}, ...inline(lines.map((line) => line.replace(QUOTE, "")).join("\n"), cite));
  if (kind === "list") return list(lines, cite);
  if (kind === "table" && lines.length > 1 && RULE.test(lines[1])) return table(lines, cite);
  return h("p", {}, ...inline(lines.join("\n"), cite));
}

function list(lines, cite) {
  const items = [];
  for (const line of lines) {
    if (BULLET.test(line) || NUMBER.test(line)) items.push(line.replace(BULLET, "").replace(NUMBER, ""));
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  const first = /^ *(\d{1,3})[.)]/.exec(lines[0])?.[1];
  return h(first ? "ol" : "ul", { start: first && first !== "1" ? first : null }, ...items.map((item) => h("li", {}, ...inline(item, cite))));
}

function table(lines, cite) {
  const cells = (line) => line.trim().replace(/^\|/, "").replace(/\|$/, "").split("|").map((cell) => cell.trim());
  const row = (tag, line) => h("tr", {}, ...cells(line).map((cell) => h(tag, {}, ...inline(cell, cite))));
  return h("div", { class: "answer-table", tabindex: "0", role: "group", "aria-label": "Table" },
    h("table", {}, h("thead", {}, row("th", lines[0])), h("tbody", {}, ...lines.slice(2).map((line) => row("td", line)))));
}

function inline(text, cite) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, found.index));
    const [whole, code, strong, stress, label, address, numbers, bare] = found;
    if (code) nodes.push(h("code", {}, code));
    else if (strong) nodes.push(h("strong", {}, ...inline(strong, cite)));
    else if (stress) nodes.push(h("em", {}, ...inline(stress, cite)));
    else if (address) nodes.push(whole.startsWith("!") ? label : link(address, label)); // an image is not shown, because it would be fetched from another site
    else if (bare) nodes.push(link(bare, bare));
    else nodes.push(...numbers.split(/[,;] ?/).map((n) => cite(Number(n), text.slice(0, found.index))));
    end = found.index + whole.length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

const link = (address, label) => h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, label);
