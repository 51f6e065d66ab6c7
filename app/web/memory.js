// Stores what a reload or Back must not lose (questions, answers, choices) in the browser, for this tab alone, until it is closed or the user
// signs out.

const KEY = "teal";
let owner = ""; // empty while no user is signed in; then nothing is stored

/** Load what was stored for this user; what another user left is deleted. */
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
