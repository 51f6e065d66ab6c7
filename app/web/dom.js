// Builds the page from text and elements. No code in this folder parses a string as HTML.

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text. `onclick` and the like become listeners; false and null are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Announce a text to screen readers, without moving the focus. */
export function announce(text) {
  byId("announcer").textContent = text;
}

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&#x27;": "'", "&#x2F;": "/", "&#34;": '"' };

/** Nodes for a highlighted passage, which is escaped text with <mark>. Every other tag is shown as text. */
export function highlighted(markup) {
  const decode = (text) => text.replace(/&(?:amp|lt|gt|quot|#39|#34|#x27|#x2F);/g, (entity) => ENTITIES[entity]);
  const nodes = [];
  let rest = markup;
  for (let open = rest.indexOf("<mark>"); open >= 0; open = rest.indexOf("<mark>")) {
    const close = rest.indexOf("</mark>", open);
    if (close < 0) break;
    nodes.push(decode(rest.slice(0, open)), h("mark", {}, decode(rest.slice(open + "<mark>".length, close))));
    rest = rest.slice(close + "</mark>".length);
  }
  nodes.push(decode(rest));
  return nodes;
}

/** Nodes for advice from the service: `backticks` become code. */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

/** A source as a link when it is a web address, else as text: `javascript:` and the like never become links. */
export function sourceNode(source) {
  if (!source) return null;
  return /^https?:\/\//i.test(source)
    ? h("a", { href: source, target: "_blank", rel: "noopener noreferrer" }, source)
    : h("span", { class: "source" }, source);
}

/** The children separated by middle dots; empty ones are left out. */
export function dotted(...parts) {
  return parts.filter(Boolean).flatMap((part, index) => (index ? [h("span", { class: "dot", "aria-hidden": "true" }, "·"), part] : [part]));
}

/** A card for a `Problem`: what failed, what to do, the request id, and a retry button if a retry makes sense. */
export function problemCard(problem, retry, retryLabel = "Try again") {
  return h("div", { class: "notice bad", role: "alert" },
    h("p", { class: "notice-title" }, problem.title),
    problem.detail && problem.detail !== problem.title ? h("p", {}, ...prose(problem.detail)) : null,
    problem.action ? h("p", {}, ...prose(problem.action)) : null,
    problem.requestId ? h("p", { class: "meta" }, "Request id ", h("code", {}, problem.requestId)) : null,
    retry ? h("button", { type: "button", class: "secondary", onclick: retry }, retryLabel) : null);
}

/** A note that the search was weaker than requested; `degraded`: the service's reason, a sentence. */
export function degradedNote(degraded) {
  return degraded ? h("p", { class: "notice warn" }, degraded, " Some passages may be missing.") : null;
}

export const count = (number) => new Intl.NumberFormat("en").format(number ?? 0);

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function bytes(size) {
  if (size < 1000) return `${size} B`;
  return size < 1_000_000 ? `${(size / 1000).toFixed(0)} kB` : `${(size / 1_000_000).toFixed(1)} MB`;
}

export function when(timestamp) {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) return null;
  const text = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" }).format(date);
  return h("time", { datetime: date.toISOString() }, text);
}
