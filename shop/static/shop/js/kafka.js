/*
 * The window on Kafka, kept up to date: the server draws it whenever something has changed, and what differs is put in.
 * While it is paused the drawings wait, and go on one by one on demand. What is opened beside it is asked for by its
 * address, so that the way back works and every message has a link.
 */

import { showConnection } from "./connection.js";
import { morph } from "./morph.js";
import { keepSocket } from "./socket.js";
import { setText } from "./words.js";

const NO_PASS = 4403;
const TOO_MANY = 4429;
const WAITING_MAX = 60;
const STORY_MS = 1_000;
// Where an order's messages have scrolled out of sight, its story is looked at less often.
const OUT_OF_SIGHT = 5;

const drawn = document.querySelector("[data-window]");
const panel = document.querySelector("[data-panel]");
const connection = document.querySelector("[data-connection]");
const controls = document.querySelector("[data-controls]");
const pause = controls.querySelector("[data-pause]");
const step = controls.querySelector("[data-step]");
const waitingWords = controls.querySelector("[data-waiting]");

const parts = [];
let waiting = [];
let isPaused = false;
let mine = "";
let untold = 0;
let asked = 0;

const query = () => new URLSearchParams(location.search);

/* -- what the page shows ---------------------------------------------------------------------------------------- */

function parse(html) {
  const holder = document.createElement("div");
  holder.innerHTML = html;
  return holder;
}

function draw(html) {
  const fresh = parse(html);
  for (const details of drawn.querySelectorAll("details[id][open]")) {
    const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = true;
  }
  for (const { name, value } of drawn.attributes) fresh.setAttribute(name, value);
  const before = new Set([...drawn.querySelectorAll(".kafka-log a")].map((link) => link.getAttribute("href")));
  if (before.size) {
    for (const link of fresh.querySelectorAll(".kafka-log a")) {
      if (!before.has(link.getAttribute("href"))) link.classList.add("is-new");
    }
  }
  morph(drawn, fresh);
  const words = [...drawn.querySelectorAll("[data-mine]")].map((own) => own.textContent).join();
  if (words !== mine) untold = OUT_OF_SIGHT;
  mine = words;
}

function withChanges(message) {
  for (const [place, html] of Object.entries(message.parts)) parts[Number(place)] = html;
  parts.length = message.count;
  return parts.join("");
}

function told(html) {
  untold = Math.max(untold, 1);
  if (!isPaused) {
    draw(html);
    return;
  }
  if (waiting.length >= WAITING_MAX) waiting.shift();
  waiting.push(html);
  tellWaiting();
}

function tellWaiting() {
  step.disabled = !waiting.length;
  setText(waitingWords, isPaused ? `Paused; ${waiting.length} changes wait` : "");
}

function togglePause() {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  setText(pause, isPaused ? "Go on" : "Pause");
  if (!isPaused && waiting.length) draw(waiting.at(-1));
  waiting = [];
  tellWaiting();
}

function takeStep() {
  draw(waiting.shift());
  tellWaiting();
}

/* -- what is opened beside it ----------------------------------------------------------------------------------- */

async function openPanel({ isFocused = false } = {}) {
  asked += 1;
  const number = asked;
  try {
    const response = await fetch(`/kafka/panel/${location.search}`, { cache: "no-store", signal: AbortSignal.timeout(15_000) });
    if (!response.ok || number !== asked) return;
    const fresh = parse(await response.text());
    for (const { name, value } of panel.attributes) fresh.setAttribute(name, value);
    morph(panel, fresh);
    if (isFocused) {
      panel.focus({ preventScroll: true });
      panel.scrollIntoView({ block: "nearest" });
    }
  } catch {
    // No network: the connection's words tell.
  }
}

function go(address) {
  const before = query().get("order");
  const target = new URL(address, location.href);
  if (before && !target.searchParams.has("order")) target.searchParams.set("order", before);
  if (query().get("as")) target.searchParams.set("as", query().get("as"));
  history.pushState(null, "", target);
  openPanel({ isFocused: true });
  if (target.searchParams.get("order") !== before) socket.reconnect();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="/kafka/?message="], a[href^="/kafka/?order="]');
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || link.closest("form")) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", () => {
  openPanel();
  socket.reconnect();
});

// An order's story grows while it is looked at.
setInterval(() => {
  if (!untold || isPaused || !query().get("order") || document.visibilityState !== "visible") return;
  if (untold >= OUT_OF_SIGHT) {
    untold = 0;
    openPanel();
  } else {
    untold += 1;
  }
}, STORY_MS);

/* -- the connection ---------------------------------------------------------------------------------------------- */

function show(state, code) {
  const words = {
    live: "Live",
    reconnecting: "Reconnecting…",
    offline: "Offline",
    refused: code === TOO_MANY ? "Too many look at once" : "Your pass is over: open this page from the admin",
  };
  showConnection(connection, state, words[state]);
}

const socket = keepSocket({
  path: () => {
    const asked = query();
    asked.set("parts", "1");
    return `/kafka/socket/?${asked}`;
  },
  hear(message) {
    if (message.type !== "window") return false;
    if (message.parts) told(withChanges(message));
    show("live");
    return true;
  },
  show,
  whileAway() {},
  refusals: [NO_PASS, TOO_MANY],
  longestDelayMs: 5_000,
  silenceMs: 15_000,
  hiddenMs: 10_000,
});

controls.querySelector("[data-flow]").hidden = false;
pause.addEventListener("click", togglePause);
step.addEventListener("click", takeStep);
show("reconnecting");
socket.connect();
