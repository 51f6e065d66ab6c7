// What a reload or Back must not lose: questions, answers, choices. Kept by the browser for this tab alone, until it is closed or somebody signs out.

const KEY = "teal";
let owner = ""; // nobody is signed in: nothing is kept

/** What was kept of this person; what another one left is dropped. */
export function recall(who) {
  owner = `${who.name} ${who.role}`;
  const kept = read();
  if (kept.owner === owner) return kept;
  drop();
  return {};
}

export function keep(part, value) {
  if (owner) write({ ...read(), owner, [part]: value });
}

export function forget() {
  owner = "";
  drop();
}

function drop() {
  try { sessionStorage.removeItem(KEY); } catch { /* a browser that keeps nothing has nothing to forget */ }
}

function read() {
  try { return JSON.parse(sessionStorage.getItem(KEY)) ?? {}; } catch { return {}; }
}

function write(kept) {
  try { sessionStorage.setItem(KEY, JSON.stringify(kept)); } catch { /* full or forbidden: the page works, a reload loses more */ }
}
