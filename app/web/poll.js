// Reading something again and again while its view is looked at, and not while the window is hidden.

/** `read` is async and handles its own failures. `turn` reads now, and goes on from there. */
export function poller(milliseconds, read) {
  let timer = null;
  let visible = false;
  async function turn() {
    clearTimeout(timer);
    await read();
    clearTimeout(timer); // another turn may have ended meanwhile
    if (visible && !document.hidden) timer = setTimeout(turn, milliseconds);
  }
  return {
    turn,
    prepare: () => document.addEventListener("visibilitychange", () => visible && !document.hidden && turn()),
    show: () => {
      visible = true;
      turn();
    },
    hide: () => {
      visible = false;
      clearTimeout(timer);
    },
  };
}
