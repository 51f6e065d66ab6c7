// The entry point: signing in, and choosing the view that is shown. Each view has its own file.

import * as address from "./address.js";
import { session as sessionEvents } from "./api.js";
import * as ask from "./ask.js";
import { byId, problemCard } from "./dom.js";
import * as documents from "./documents.js";
import * as memory from "./memory.js";
import * as passage from "./passage.js";
import * as search from "./search.js";
import * as session from "./session.js";
import * as signals from "./signals.js";
import * as status from "./status.js";

const VIEWS = { ask, search, documents, status, signals };
let who = null;
let shown = null;

function only(id) {
  for (const section of document.querySelectorAll("main > .view")) section.hidden = section.id !== id;
  const inside = id.startsWith("view-");
  byId("tabs").hidden = !inside;
  byId("who").hidden = !inside;
}

function leave() {
  if (shown) VIEWS[shown].hide?.();
  shown = null;
}

/** Show the view that the address names. The focus moves to its heading if the reader navigated there. */
function route({ focus = false } = {}) {
  if (!who) return;
  const { view: asked, parameters } = address.current();
  const name = Object.hasOwn(VIEWS, asked) && (asked !== "signals" || isAdmin()) ? asked : "ask";
  if (name !== shown) {
    leave();
    shown = name;
    only(`view-${name}`);
    for (const link of byId("tabs").querySelectorAll("a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${byId(`${name}-title`).textContent} · Teal`;
    VIEWS[name].show?.(who, parameters);
  } else if (asked === name) VIEWS[name].move?.(parameters); // Back, forth, or a changed address
  if (focus) byId(`${name}-title`).focus();
}

const isAdmin = () => who?.role === "admin";

function remember(principal) {
  who = principal;
  ask.restore(memory.recall(principal).ask);
  byId("tab-signals").hidden = !isAdmin();
  byId("who-name").textContent = [...new Set([principal.name, principal.role])].filter(Boolean).join(" · ");
}

function signedIn(principal) {
  remember(principal);
  route({ focus: true });
}

function showSignIn() {
  who = null;
  leave();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  document.title = "Sign in · Teal";
  only("sign-in");
  byId("key").focus();
}

async function signInWith(key) {
  leave();
  byId("boot-text").textContent = "Signing in…";
  only("boot");
  try {
    signedIn(await session.signIn(key));
  } catch (problem) {
    showSignIn();
    session.explain(problem);
  }
}

async function boot() {
  const key = session.takeKeyFromAddress();
  if (key) return signInWith(key);
  only("boot");
  try {
    const principal = await session.current();
    if (!principal) return showSignIn();
    remember(principal);
    return route();
  } catch (problem) {
    return byId("boot").replaceChildren(problemCard(problem, () => location.reload()));
  }
}

session.prepareForm(signedIn);
for (const view of Object.values(VIEWS)) view.prepare();
passage.prepare();

// `popstate` is fired for every step through the history and for a changed fragment. The focus moves only when the view changes.
window.addEventListener("popstate", () => {
  leaveKeyOut() || route({ focus: address.current().view !== shown });
});
function leaveKeyOut() {
  const key = session.takeKeyFromAddress();
  if (key) signInWith(key);
  return Boolean(key);
}
sessionEvents.addEventListener("ended", () => {
  if (!who) return;
  showSignIn();
  session.sayEnded();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // only the views may set the fragment
  byId("main").focus();
});
byId("sign-out").addEventListener("click", async () => {
  try {
    await session.signOut();
  } catch (problem) {
    byId("boot").replaceChildren(problemCard(problem, () => location.reload()));
    leave();
    return only("boot");
  }
  memory.forget();
  location.reload(); // removes every answer from the page
  return undefined;
});

boot();
