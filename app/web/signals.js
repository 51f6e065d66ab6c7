// The signals view: the metrics of all processes, polled every few seconds while the view is shown. Rates are computed here from two answers.

import { call } from "./api.js";
import { byId, h, problemCard } from "./dom.js";
import { poller } from "./poll.js";

const REFRESH_MS = 2_000;
const KEPT = 150; // five minutes of points
const [WIDTH, HEIGHT] = [300, 90];
const SVG = "http://www.w3.org/2000/svg";
const SERIES = 6; // the number of colors; more lines could not be distinguished

let before = null; // the previous answer, from which differences are computed
let shown = "service";
const history = new Map(); // series -> [[seconds, value], ...]

const polling = poller(REFRESH_MS, refresh);
export const { prepare, hide } = polling;

export function show() {
  if (!before) byId("signals-body").replaceChildren(h("p", { class: "loading" }, "Asking every process…"));
  polling.show();
}

async function refresh() {
  try {
    const found = await call("GET", "/v1/signals");
    byId("signals-notice").replaceChildren();
    remember(found);
    draw(found);
  } catch (problem) {
    if (!byId("signals-notice").children.length) byId("signals-notice").replaceChildren(problemCard(problem, polling.turn));
  }
}

const identity = (dashboard, panel, line, point) => [dashboard.slug, panel.title, line.kind, line.name, line.quantile, ...point.labels].join("\u0000");

function* each(found) {
  for (const dashboard of found.dashboards)
    for (const panel of dashboard.panels)
      for (const line of panel.lines) for (const point of line.points) yield [identity(dashboard, panel, line, point), line, point];
}

/** Add one value to every series; negative rates, which a restarted process would cause, are left out. */
function remember(found) {
  const old = before ? new Map([...each(before)].map(([id, , point]) => [id, point])) : new Map();
  const seconds = before ? found.at - before.at : 0;
  for (const [id, line, point] of each(found)) {
    const value = valueOf(line, point, old.get(id), seconds);
    if (!history.has(id)) history.set(id, []);
    const kept = history.get(id);
    kept.push([found.at, value]);
    if (kept.length > KEPT) kept.shift();
  }
  before = found;
}

function valueOf(line, point, old, seconds) {
  if (["highest", "lowest", "total"].includes(line.kind)) return point.value;
  if (!old || seconds <= 0) return null;
  if (line.kind === "rate") return positive((point.value - old.value) / seconds);
  if (line.kind === "ratio") return point.per > old.per ? positive((point.value - old.value) / (point.per - old.per)) : null;
  return quantile(line.quantile, point.buckets.map(([bound, count], at) => [bound, count - (old.buckets[at]?.[1] ?? 0)]));
}

const positive = (value) => (value >= 0 ? value : null);

/** The quantile as Prometheus's histogram_quantile computes it: linear within a bucket, and the last bound for values beyond it. */
export function quantile(share, buckets) {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  const wanted = share * total;
  let [low, under] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= wanted) {
      if (bound === null) return low;
      return count > under ? low + ((bound - low) * (wanted - under)) / (count - under) : bound;
    }
    [low, under] = [bound, count];
  }
  return low;
}

function draw(found) {
  const lost = found.processes.length ? "" : " No process answered.";
  const who = found.processes.map(({ color, component }) => `${color} ${component}`).sort();
  byId("signals-lead").textContent = `${found.processes.length} processes (${[...new Set(who)].join(", ")}), asked every 2 seconds; the last 5 minutes.${lost}`;
  const focused = document.activeElement?.dataset?.slug;
  byId("signals-tabs").replaceChildren(
    ...found.dashboards.map(({ slug, title }) =>
      h("button", { type: "button", "data-slug": slug, class: "quiet", "aria-pressed": String(slug === shown), onclick: () => { shown = slug; draw(found); } }, title)));
  if (focused) byId("signals-tabs").querySelector(`[data-slug="${focused}"]`)?.focus();
  const dashboard = found.dashboards.find(({ slug }) => slug === shown) ?? found.dashboards[0];
  byId("signals-body").replaceChildren(...dashboard.panels.map((panel) => panelNode(dashboard, panel)));
}

function panelNode(dashboard, panel) {
  const all = panel.lines.flatMap((line) =>
    line.points.map((point) => ({ name: [line.name, ...point.labels].filter(Boolean).join(" ") || "value", points: history.get(identity(dashboard, panel, line, point)) ?? [] })));
  const highest = ({ points }) => Math.max(...points.map(([, value]) => value ?? -1));
  const kept = new Set(all.filter((line) => highest(line) >= 0).sort((one, other) => highest(other) - highest(one)).slice(0, SERIES));
  const lines = all.filter((line) => kept.has(line));
  const said = lines.map(({ name, points }) => [name, format(points.at(-1)[1], panel.unit)]);
  return h("section", { class: "signal", "aria-label": panel.title },
    h("h2", {}, panel.title),
    lines.length ? graph(lines, `${panel.title}: ${said.map((pair) => pair.join(" ")).join(", ")}`) : h("p", { class: "signal-none" }, "Nothing yet"),
    h("ul", { class: "signal-legend" }, ...said.map(([name, value], at) => h("li", { class: `series-${at}` }, h("span", { class: "signal-name" }, name), h("strong", {}, value)))),
    panel.about ? h("p", { class: "hint" }, panel.about) : null);
}

function graph(lines, label) {
  const now = before.at;
  const span = (KEPT * REFRESH_MS) / 1000;
  const top = Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value ?? 0)), 0) || 1;
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none" });
  lines.forEach(({ points }, at) => {
    let path = "";
    let pen = "M";
    for (const [seconds, value] of points) {
      if (value === null) { pen = "M"; continue; }
      const x = WIDTH * (1 - (now - seconds) / span);
      path += `${pen}${x.toFixed(1)} ${(HEIGHT - 2 - (HEIGHT - 6) * (value / top)).toFixed(1)}`;
      pen = "L";
    }
    svg.append(node("path", { d: path, class: `line series-${at}` }));
  });
  return svg;
}

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function format(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "share") return `${(100 * value).toFixed(value && value < 0.1 ? 2 : 0)} %`;
  if (unit === "seconds") return value >= 120 ? `${(value / 60).toFixed(0)} min` : value >= 1 ? `${value.toFixed(1)} s` : `${(1000 * value).toFixed(value < 0.01 ? 1 : 0)} ms`;
  if (unit === "bytes") {
    const scale = value >= 1e9 ? [1e9, "GB"] : value >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
    return `${(value / scale[0]).toFixed(1)} ${scale[1]}`;
  }
  const rounded = value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(2);
  return unit === "per second" ? `${rounded}/s` : rounded;
}
