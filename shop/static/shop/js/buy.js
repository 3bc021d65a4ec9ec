/*
 * The panel from which a book is bought. Small things (units left, how many can be ordered) are changed in place; when
 * the panel itself is another (a sale starts or ends, the last copy goes, one comes back), the server is asked for it,
 * so there is one place that knows how to draw it.
 */

import { makeConnection, showConnection } from "./connection.js";
import { fetchFragment } from "./fragment.js";
import { setText } from "./words.js";

// Thousands of pages hear the same at once, and must not all ask at once; and one asks no more often than this.
const SPREAD_MS = 600;
const REFRESH_MS = 2_000;
const TRIES = 5;
const PANEL = "[data-stock][data-panel-url]";

const speaker = document.createElement("p");

// What the socket says of a book; nothing while it is away.
let known = () => undefined;
let state = "";
// The server's clock minus this one's, in milliseconds.
let clockOffset = 0;
let tickTimer = 0;
let typedQuantity = null;
let isRefreshing = false;
let refreshedAt = -REFRESH_MS;

export const panel = () => document.querySelector(PANEL);
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
const moment = (iso) => Date.parse(iso ?? "") || 0;

/** Take care of the page's panel, if it has one; `lookUp` says what the socket says of a book, by sku. */
export function startPanel(lookUp) {
  known = lookUp;
  speaker.className = "visually-hidden";
  speaker.setAttribute("role", "status");
  document.body.append(speaker);
  const place = panel();
  if (!place) return;
  state = "reconnecting";
  prepare(place);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && tick());
}

/* -- what it says ------------------------------------------------------------------------------------------------ */

export function showOnPanel(place, before, book) {
  if (before && book) announceChange(before, book);
  if (book) showNumbers(place, book);
  if (!agrees(place, book)) refresh();
}

function showNumbers(place, book) {
  place.dataset.left = book.left ?? "";
  const input = place.querySelector("[name=quantity]");
  if (input && book.most) input.max = book.most;
  for (const button of place.querySelectorAll(".buy-form button")) button.disabled = !book.most;
  if (place.dataset.phase !== book.phase) return;
  const words = place.querySelector("[data-left-words]");
  if (words) words.dataset.level = book.level;
  setText(words, book.words);
  const meter = place.querySelector("[data-left-meter]");
  if (meter) {
    meter.max = book.units;
    meter.value = book.left ?? 0;
    meter.dataset.level = book.level;
  }
}

function agrees(place, book) {
  if (book === undefined) return true;
  const canBuy = place.querySelector(".buy-form") !== null;
  if (book === null) return !canBuy;
  return place.dataset.phase === book.phase && canBuy === Boolean(book.most)
    && place.querySelector(".buy-price").textContent.trim().startsWith(book.price)
    && moment(place.dataset.starts) === moment(book.starts) && moment(place.dataset.ends) === moment(book.ends);
}

function announceChange(before, book) {
  const hasStarted = before.phase !== book.phase && book.phase === "running";
  if (hasStarted) speaker.textContent = `The sale has started: ${book.price}, ${book.words}.`;
  else if (before.phase === "running" && book.phase !== "running") speaker.textContent = "The sale is over.";
  else if (before.most && !book.most) speaker.textContent = "Sold out.";
  else if (before.price !== book.price) speaker.textContent = `The price is now ${book.price}; it was ${before.price}.`;
  else if (!before.most && book.most) speaker.textContent = `Available again: ${book.words}.`;
}

/* -- another panel ----------------------------------------------------------------------------------------------- */

/** Ask the server for the panel until it agrees with what is known; once at least if it is to be asked `anyway`. */
export async function refresh({ anyway = false } = {}) {
  if (isRefreshing) return;
  isRefreshing = true;
  let isDue = anyway;
  try {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      await pause(Math.max(Math.random() * SPREAD_MS, refreshedAt + REFRESH_MS - performance.now()));
      const old = panel();
      // The shop's processes learn of a change within a second of each other: perhaps this one did not know yet.
      if (!old || (!isDue && agrees(old, known(old.dataset.sku)))) return;
      refreshedAt = performance.now();
      const fresh = await fetchFragment(old.dataset.panelUrl, PANEL);
      if (fresh && old.isConnected) {
        replace(old, fresh);
        isDue = false;
      }
    }
  } finally {
    isRefreshing = false;
  }
}

function replace(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  old.replaceWith(fresh);
  prepare(fresh);
  if (focused) {
    const same = [...fresh.querySelectorAll("input, button")].find(
      (element) => element.name === focused.name && element.value === focused.value && element.type === focused.type,
    ) ?? (focused.name === "quantity" ? fresh.querySelector("[name=quantity]") : null);
    if (!same) fresh.tabIndex = -1;
    (same ?? fresh).focus({ preventScroll: true });
  }
}

function prepare(place) {
  const input = place.querySelector("[name=quantity]");
  if (input) {
    if (typedQuantity !== null) input.value = typedQuantity;
    input.addEventListener("input", () => { typedQuantity = input.value; });
  }
  // As the page was made just now. Where it was kept by the browser, the socket's first message puts the clock right.
  if (place.dataset.now && known(place.dataset.sku) === undefined) clockOffset = moment(place.dataset.now) - Date.now();
  place.append(makeConnection());
  showState(state);
  tick();
}

/** The words below the panel: live, stale, reconnecting, offline; none for any other state. */
export function showState(next) {
  state = next;
  const connection = panel()?.querySelector(".connection");
  const words = { live: "Live", stale: "Waiting for the shop…", reconnecting: "Reconnecting…", offline: "Offline" };
  if (connection) showConnection(connection, next === "stale" ? "reconnecting" : next, words[next] ?? "");
}

/* -- the countdown ----------------------------------------------------------------------------------------------- */

/** The server's clock, in its own words. */
export function setClock(iso) {
  clockOffset = moment(iso) - Date.now();
  tick();
}

function tick() {
  clearTimeout(tickTimer);
  const place = panel();
  const goal = { upcoming: place?.dataset.starts, running: place?.dataset.ends }[place?.dataset.phase];
  if (!goal) return;
  const remaining = moment(goal) - Date.now() - clockOffset;
  const verb = place.dataset.phase === "upcoming" ? "starts" : "ends";
  const words = remaining > 0 ? `${verb} in ${inWords(remaining)}` : `${verb} now`;
  setText(place.querySelector("[data-countdown]"), words);
  // The socket brings the change within a second; without it, or if it does not, the page asks.
  if (remaining <= 0 && (state !== "live" || remaining < -3_000)) refresh({ anyway: true });
  tickTimer = setTimeout(tick, remaining > 0 ? (remaining % 1000) + 5 : 1000);
}

function inWords(milliseconds) {
  const total = Math.ceil(milliseconds / 1000);
  const [days, hours] = [Math.floor(total / 86_400), Math.floor(total / 3600) % 24];
  const [minutes, seconds] = [Math.floor(total / 60) % 60, String(total % 60).padStart(2, "0")];
  if (days) return `${days} day${days === 1 ? "" : "s"} ${hours} h`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}
