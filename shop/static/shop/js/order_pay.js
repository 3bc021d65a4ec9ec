/* The payment that the buyer has to confirm: how long there is for it. */

let timer = 0;
let end = Infinity;

/**
 * Count down from so many seconds, or from what the panel says; null is no end.
 *
 * The server says how long is left, because the clock of this computer may be wrong.
 */
export function countDown(order, secondsLeft = secondsOf(order)) {
  end = secondsLeft === null ? Infinity : performance.now() + secondsLeft * 1000;
  tick(order.querySelector("[data-pay]"));
}

function secondsOf(order) {
  const { secondsLeft } = order.querySelector("[data-pay]").dataset;
  return secondsLeft === "" ? null : Number(secondsLeft);
}

function tick(panel) {
  clearTimeout(timer);
  const seconds = Math.ceil((end - performance.now()) / 1000);
  panel.dataset.state = seconds <= 0 ? "over" : panel.dataset.went === "true" ? "went" : "ask";
  if (panel.hidden || seconds <= 0 || seconds === Infinity) return;
  const left = panel.querySelector("[data-pay-left]");
  left.hidden = false;
  left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
  timer = setTimeout(tick, 250, panel);
}
