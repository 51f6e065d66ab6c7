// What is looked at is in the address, `#search?q=words`, so that reload and Back find it again and it can be passed on.

/** The view that the address names, and its parameters. */
export function current() {
  const [view, query = ""] = location.hash.slice(1).split("?");
  return { view, parameters: new URLSearchParams(query) };
}

/** Write a view's parameters into the address; empty ones are left out. `replace`: without a step for Back. `state`: what is no text. */
export function write(view, parameters, { replace = false, state = null } = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  const query = new URLSearchParams(given).toString();
  const hash = `#${view}${query ? `?${query}` : ""}`;
  if (hash === location.hash && !replace) return;
  history[replace ? "replaceState" : "pushState"](state, "", hash);
}
