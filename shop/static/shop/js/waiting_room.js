/*
 * The waiting room, kept up to date. The socket says the same to everybody: how many were admitted so far. Each page
 * subtracts that from the people before it, and asks the server for its own part when something else than a number has
 * changed, at a moment of its own, so that thousands do not ask at once.
 */

import { makeConnection, showConnection } from "./connection.js";
import { fetchFragment, oneAtATime } from "./fragment.js";
import { keepSocket } from "./socket.js";
import { setText } from "./words.js";

const NOT_UNDERSTOOD = 4400;
const NO_SUCH_ROOM = 4404;
const SPREAD_MS = 1500;
// So many pages a second may ask for their part when the sale starts.
const PAGES_PER_SECOND = 400;
// What nobody is told by the socket, such as a better estimate.
const LOOK_AGAIN_MS = 30_000;
const WORDS = { live: "Live", reconnecting: "Reconnecting…", offline: "Offline: your place is kept" };

const room = () => document.getElementById("room");
const speaker = document.getElementById("room-news");
const connection = makeConnection();
let state = "";
let last = null;
let number = null;
let dueAt = Number.POSITIVE_INFINITY;
let dueTimer = 0;
let countdownTimer = 0;

function hear(message) {
  if (message.type === "away") {
    showState("reconnecting");
    return false;
  }
  if (message.type !== "room") return false;
  last = message;
  showState("live");
  show();
  findNumber(message.seed);
  return true;
}

/** Put numbers right, or ask for the page's own part where more has changed. */
function show() {
  const shown = room();
  if (!last || !shown) return;
  const { dataset } = shown;
  for (const name of ["waiting", "free", "held"]) {
    setText(shown.querySelector(`[data-number="${name}"]`), last[name].toLocaleString("en"));
  }
  const waits = dataset.state === "waiting" || dataset.state === "before";
  if (waits && last.phase === "over") sayThatItIsOver(shown);
  if (waits && number !== null && number <= last.served_to) refreshSoon(SPREAD_MS / 3);
  const isOther = dataset.phase !== last.phase || dataset.epoch !== last.epoch;
  if (isOther || Number(dataset.restored) !== last.restored) {
    refreshSoon(Math.max(SPREAD_MS, (last.waiting * 1000) / PAGES_PER_SECOND));
  } else if (dataset.state === "waiting") {
    const ahead = Number(dataset.ahead) - (last.served - Number(dataset.served));
    if (ahead < 0) refreshSoon(SPREAD_MS / 3);
    else setText(shown.querySelector("[data-heading]"), inWords(ahead));
  }
}

/** At once, without asking: the server's words follow. */
function sayThatItIsOver(shown) {
  setText(shown.querySelector("[data-heading]"), "Sold out");
  setText(speaker, "Sold out");
}

/** One's own number in the draw, once its seed is told; see shop/waiting_room/draw.py. */
async function findNumber(seed) {
  const { place } = room().dataset;
  if (number !== null || !seed || !place || !globalThis.crypto?.subtle) return;
  const bytes = Uint8Array.from(seed.match(/../g), (pair) => Number.parseInt(pair, 16));
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const drawn = new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(place)));
  const hex = [...drawn.slice(0, 7)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  number ??= Number.parseInt(hex.slice(0, 13), 16);
  show();
}

function inWords(ahead) {
  if (ahead === 0) return "You are next";
  return ahead === 1 ? "One person is before you" : `${ahead.toLocaleString("en")} people are before you`;
}

/** At a random moment within the spread; one that is sooner takes the place of one that is later. */
function refreshSoon(spread) {
  const at = performance.now() + Math.random() * spread;
  if (at >= dueAt) return;
  dueAt = at;
  clearTimeout(dueTimer);
  dueTimer = setTimeout(refresh, at - performance.now());
}

const refresh = oneAtATime(async () => {
  dueAt = Number.POSITIVE_INFINITY;
  const fresh = await fetchFragment(location.pathname, "#room");
  const old = room();
  if (!fresh || !old) return;
  const before = old.dataset.state;
  const isOpen = old.querySelector("details")?.open;
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(fresh);
  fresh.querySelector("details").open = isOpen;
  if (hadFocus) {
    fresh.tabIndex = -1;
    fresh.focus({ preventScroll: true });
  }
  if (before !== fresh.dataset.state) {
    const heading = fresh.querySelector("[data-heading]").textContent;
    setText(speaker, heading);
    document.title = `${heading}: waiting room, Bookrush`;
  }
  prepare();
});

function prepare() {
  room().append(connection);
  showState(state);
  number = room().dataset.number ? Number(room().dataset.number) : null;
  clearInterval(countdownTimer);
  const left = Number(room().dataset.secondsLeft);
  if (left > 0) {
    const until = performance.now() + left * 1000;
    countdownTimer = setInterval(() => countDown(until), 1000);
  }
}

function countDown(until) {
  const seconds = Math.max(0, Math.round((until - performance.now()) / 1000));
  setText(room().querySelector("[data-countdown]"), seconds === 1 ? "1 second" : `${seconds} seconds`);
  if (seconds > 0) return;
  clearInterval(countdownTimer);
  refreshSoon(SPREAD_MS);
}

function showState(next) {
  state = next;
  showConnection(connection, next, WORDS[next] ?? "");
}

prepare();
keepSocket({
  path: () => `/live/room/${room().dataset.sale}/`,
  hear,
  show: showState,
  whileAway: () => refreshSoon(SPREAD_MS),
  refusals: [NO_SUCH_ROOM, NOT_UNDERSTOOD],
  longestDelayMs: 15_000,
  // The server pings every ten seconds.
  silenceMs: 35_000,
}).connect();
setInterval(() => {
  if (document.visibilityState === "visible") refreshSoon(LOOK_AGAIN_MS / 2);
}, LOOK_AGAIN_MS);
