// Signing in and out. The key is exchanged for an HttpOnly cookie at once and is not stored.

import { Problem, call } from "./api.js";
import { announce, byId, h, problemCard } from "./dom.js";

/** The signed-in user as {name, role, collections}, or null. Throws `Problem` when the service does not answer. */
export async function current() {
  try {
    return await call("GET", "/v1/session", { quiet401: true });
  } catch (problem) {
    if (problem.status === 401) return null;
    throw problem;
  }
}

export async function signIn(key) {
  try {
    await call("POST", "/v1/session", { body: { key }, quiet401: true });
  } catch (problem) {
    if (problem.status !== 401 && problem.status !== 422) throw problem;
    throw new Problem({
      code: problem.code, status: problem.status, requestId: problem.requestId, title: "This key does not work",
      detail: "It may be mistyped, cut off, expired or revoked.",
      action: "Paste the whole key, which begins with `teal_`, or make a new one: `teal keys create --role reader`.",
    });
  }
  return current();
}

export const signOut = () => call("DELETE", "/v1/session", { quiet401: true });

/** The key from a sign-in link (`#key=...`); it is removed from the address bar and the history before anything else happens. */
export function takeKeyFromAddress() {
  const found = /^#key=(.+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", `${location.pathname}${location.search}#ask`);
  try { return decodeURIComponent(found[1]); } catch { return found[1]; }
}

/** Show the sign-in form; `onSignedIn(who)` is called after each success. */
export function prepareForm(onSignedIn) {
  const key = byId("key");
  const button = byId("sign-in-form").querySelector("button[type=submit]");
  byId("key-show").addEventListener("click", (event) => {
    const shown = key.type === "password";
    key.type = shown ? "text" : "password";
    event.currentTarget.setAttribute("aria-pressed", String(shown));
    event.currentTarget.textContent = shown ? "Hide" : "Show";
  });
  byId("sign-in-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const typed = key.value.trim();
    if (!typed) {
      explain(new Problem({ title: "Type or paste your key first", code: "empty" }));
      key.focus();
      return;
    }
    button.disabled = true;
    byId("sign-in-notice").replaceChildren(h("p", { class: "loading" }, "Signing in…"));
    try {
      const who = await signIn(typed);
      key.value = "";
      byId("sign-in-notice").replaceChildren();
      onSignedIn(who);
    } catch (problem) {
      explain(problem);
      key.focus();
      key.select();
    } finally {
      button.disabled = false;
    }
  });
}

export function explain(problem) {
  byId("sign-in-notice").replaceChildren(problemCard(problem));
}

export function sayEnded() {
  byId("sign-in-notice").replaceChildren(h("p", { class: "notice warn" }, "Your session has ended. Sign in again; what you typed is kept."));
  announce("Your session has ended. Sign in again.");
}
