// The current view and its parameters are in the address (`#search?q=words`), so that they survive a reload and Back and can be shared.

/** The name of the view in the address, and its parameters. */
export function current() {
  const [view, query = ""] = location.hash.slice(1).split("?");
  return { view, parameters: new URLSearchParams(query) };
}

/** Write a view's parameters into the address; empty ones are left out. `replace`: add no history entry. `state`: history state that is not text. */
export function write(view, parameters, { replace = false, state = null } = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  const query = new URLSearchParams(given).toString();
  const hash = `#${view}${query ? `?${query}` : ""}`;
  if (hash === location.hash && !replace) return;
  history[replace ? "replaceState" : "pushState"](state, "", hash);
}
