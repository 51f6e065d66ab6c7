// Polling while a view is shown, and not while the window is hidden.

/** Poll with `read`, which is async and handles its own failures. `turn` reads at once and continues from then on. */
export function poller(milliseconds, read) {
  let timer = null;
  let visible = false;
  async function turn() {
    clearTimeout(timer);
    await read();
    clearTimeout(timer); // another `turn` may have set a timer meanwhile
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
