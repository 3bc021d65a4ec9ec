/*
 * Units left, kept up to date on the page of a book and on the cards of a shelf.
 *
 * The server rendered everything already, and this module only changes what has become untrue. The socket says first
 * how the page's books are, then what changed, at most three times a second. Small things (units left, how many can be
 * ordered) are changed in place; when the panel itself is another (a sale starts or ends, the last copy goes, one comes
 * back), the server is asked for it, so there is one place that knows how to draw it.
 */

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
// The server pings every ten seconds; a connection that is silent for longer is dead.
const SILENCE_MS = 35_000;
// A tab that nobody looks at gives its place at the socket back.
const HIDDEN_MS = 60_000;
const SKUS_MAX = 60;
// Thousands of pages hear the same at once, and must not all ask at once; and one asks no more often than this.
const SPREAD_MS = 600;
const REFRESH_MS = 2_000;
const TRIES = 5;
const NOT_UNDERSTOOD = 4400;
const STRANGER = 4404;

// What the server said last, by sku; nothing while the socket is away.
const known = new Map();
const speaker = document.createElement("p");

let socket = null;
let attempts = 0;
let retryTimer = 0;
let silenceTimer = 0;
let hiddenTimer = 0;
let tickTimer = 0;
let watched = "";
let refused = "";
let state = "";
// The server's clock minus this one's, in milliseconds.
let clockOffset = 0;
let typedQuantity = null;
let isRefreshing = false;
let refreshedAt = -REFRESH_MS;

const panel = () => document.querySelector("[data-stock][data-panel-url]");
const places = (sku) => document.querySelectorAll(`[data-stock][data-sku="${CSS.escape(sku)}"]`);
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
const moment = (iso) => Date.parse(iso ?? "") || 0;

function setText(element, text) {
  // Unchanged words are left alone, so that nothing flickers.
  if (element && element.textContent !== text) element.textContent = text;
}

/* -- what a page shows of a book ------------------------------------------------------------------------------- */

function show(sku, book) {
  const before = known.get(sku);
  known.set(sku, book);
  for (const place of places(sku)) {
    if (place.matches(".card")) showOnCard(place, book);
    else if (place.matches(".sale-ticket")) showOnTicket(place, book);
    else {
      if (before && book) announceChange(before, book);
      if (book) showOnPanel(place, book);
      if (!agrees(place, book)) refresh();
    }
  }
}

function showOnPanel(place, book) {
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

function showOnCard(card, book) {
  const isRunning = book?.phase === "running";
  const cover = card.querySelector(".cover");
  let words = "";
  if (!book?.left) words = book ? book.words : "No longer for sale";
  else if (isRunning) words = "Flash sale";
  setPart(cover, "ribbon", words);
  cover.querySelector(".ribbon")?.classList.toggle("ribbon-sale", Boolean(book?.left) && isRunning);
  setPart(card.querySelector(".card-foot"), "stock", book?.level === "few" ? book.words : "", "few");
  showPrice(card.querySelector(".price"), book, isRunning);
}

function showOnTicket(ticket, book) {
  const phase = book?.phase ?? "over";
  // A sale that has left the books (nobody speaks of it any more) is over too.
  for (const part of ticket.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== (phase === "none" ? "over" : phase);
  if (phase !== "running") return;
  const left = ticket.querySelector("[data-left-words]");
  left.dataset.level = book.level;
  setText(left, book.words);
}

function setPart(parent, name, text, level) {
  let part = parent.querySelector(`.${name}`);
  if (!text) part?.remove();
  else {
    if (!part) {
      part = document.createElement("span");
      part.className = name;
      if (level) part.dataset.level = level;
      parent.append(part);
    }
    setText(part, text);
  }
}

function showPrice(element, book, isRunning) {
  if (!book || element.firstChild.textContent.trim() === book.price) return;
  const usual = document.createElement("s");
  usual.className = "card-usual";
  usual.textContent = element.firstChild.textContent.trim();
  element.replaceChildren(book.price, ...(isRunning ? [" ", usual] : []));
}

function announceChange(before, book) {
  const sentences = [];
  if (before.phase !== book.phase && book.phase === "running") sentences.push(`The sale has started: ${book.price}, ${book.words}.`);
  else if (before.phase === "running" && book.phase !== "running") sentences.push("The sale is over.");
  else if (before.most && !book.most) sentences.push("Sold out.");
  else if (!before.most && book.most) sentences.push(`Available again: ${book.words}.`);
  if (sentences.length) speaker.textContent = sentences.join(" ");
}

/* -- another panel --------------------------------------------------------------------------------------------- */

async function refresh({ anyway = false } = {}) {
  if (isRefreshing) return;
  isRefreshing = true;
  let isDue = anyway;
  try {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      await pause(Math.max(Math.random() * SPREAD_MS, refreshedAt + REFRESH_MS - performance.now()));
      const old = panel();
      // The shop's processes learn of a change within a second of each other: perhaps this one did not know yet.
      if (!old || (!isDue && agrees(old, known.get(old.dataset.sku)))) return;
      refreshedAt = performance.now();
      const fresh = await fetchPanel(old.dataset.panelUrl);
      if (fresh && old.isConnected) {
        replace(old, fresh);
        isDue = false;
      }
    }
  } finally {
    isRefreshing = false;
  }
}

async function fetchPanel(url) {
  try {
    const response = await fetch(url, { cache: "no-store" });
    if (!response.ok) return null;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return page.querySelector("[data-stock][data-panel-url]");
  } catch {
    return null; // No network: whoever is asked next will tell.
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
  if (socket === null || known.size === 0) clockOffset = moment(place.dataset.now) - Date.now();
  const connection = document.createElement("p");
  connection.className = "connection";
  const dot = document.createElement("span");
  dot.className = "connection-dot";
  dot.setAttribute("aria-hidden", "true");
  const words = document.createElement("span");
  words.dataset.connectionWords = "";
  connection.append(dot, words);
  place.append(connection);
  showConnection(state);
  tick();
}

/* -- the countdown --------------------------------------------------------------------------------------------- */

function tick() {
  clearTimeout(tickTimer);
  const place = panel();
  const goal = { upcoming: place?.dataset.starts, running: place?.dataset.ends }[place?.dataset.phase];
  if (!goal) return;
  const remaining = moment(goal) - Date.now() - clockOffset;
  const verb = place.dataset.phase === "upcoming" ? "starts" : "ends";
  setText(place.querySelector("[data-countdown]"), remaining > 0 ? `${verb} in ${inWords(remaining)}` : `${verb} now`);
  // The socket brings the change within a second; without it, or if it does not, the page asks.
  if (remaining <= 0 && (state !== "live" || remaining < -3_000)) refresh({ anyway: true });
  tickTimer = setTimeout(tick, remaining > 0 ? (remaining % 1000) + 5 : 1000);
}

function inWords(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} day${days === 1 ? "" : "s"} ${hours} h`;
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/* -- the connection -------------------------------------------------------------------------------------------- */

function showConnection(next) {
  state = next;
  const connection = panel()?.querySelector(".connection");
  if (!connection) return;
  const text = { live: "Live", stale: "Waiting for the shop…", reconnecting: "Reconnecting…", offline: "Offline" }[next];
  connection.hidden = !text;
  connection.dataset.connection = next === "stale" ? "reconnecting" : next;
  setText(connection.querySelector("[data-connection-words]"), text ?? "");
}

function skusOfPage() {
  const skus = [...document.querySelectorAll("[data-stock][data-sku]")].map((place) => place.dataset.sku);
  // The panel's own first: it is what the page is about.
  const first = panel()?.dataset.sku;
  return [...new Set(first ? [first, ...skus] : skus)].slice(0, SKUS_MAX);
}

function socketAddress() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const port = document.body.dataset.livePort || "0";
  const host = port === "0" ? location.host : `${location.hostname}:${port}`;
  return `${scheme}//${host}/live/stock/?${watched}`;
}

function watch() {
  const skus = skusOfPage();
  const wanted = skus.map((sku) => `sku=${encodeURIComponent(sku)}`).join("&");
  if (wanted === watched && socket) return;
  watched = wanted;
  disconnect();
  connect();
}

function heard() {
  clearTimeout(silenceTimer);
  silenceTimer = setTimeout(() => socket && socket.close(), SILENCE_MS);
}

function connect() {
  clearTimeout(retryTimer);
  if (!watched || refused === watched || document.visibilityState === "hidden") return;
  if (socket && socket.readyState <= WebSocket.OPEN) return;
  const opened = new WebSocket(socketAddress());
  socket = opened;
  heard();
  opened.addEventListener("message", (event) => {
    if (socket !== opened) return;
    heard();
    const message = JSON.parse(event.data);
    if (message.type === "ping") opened.send('{"type":"pong"}');
    else if (message.type === "stale") showConnection("stale");
    else if (message.type === "stock") {
      attempts = 0;
      clockOffset = moment(message.now) - Date.now();
      showConnection("live");
      for (const [sku, book] of Object.entries(message.books)) show(sku, book);
      tick();
    }
  });
  opened.addEventListener("close", (event) => {
    if (socket !== opened) return;
    disconnect();
    if (event.code === STRANGER || event.code === NOT_UNDERSTOOD) {
      refused = watched;
      showConnection("");
    } else retry();
  });
}

function disconnect() {
  clearTimeout(retryTimer);
  clearTimeout(silenceTimer);
  known.clear();
  const closing = socket;
  socket = null;
  closing?.close();
}

function retry() {
  // Twice as long each time, and a random share of it, so that a thousand pages do not come back at once.
  const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempts);
  attempts += 1;
  showConnection(navigator.onLine ? "reconnecting" : "offline");
  retryTimer = setTimeout(connect, longest * (0.5 + Math.random() / 2));
  // From the second failure on, also ask the shop itself: the socket may stay away while the shop is there.
  if (attempts > 1) refresh({ anyway: true });
}

function wakeUp() {
  clearTimeout(hiddenTimer);
  if (document.visibilityState === "hidden") {
    hiddenTimer = setTimeout(disconnect, HIDDEN_MS);
    return;
  }
  attempts = 0;
  tick();
  connect();
}

function start() {
  speaker.className = "visually-hidden";
  speaker.setAttribute("role", "status");
  document.body.append(speaker);
  const place = panel();
  if (place) {
    state = "reconnecting";
    prepare(place);
  }
  document.addEventListener("visibilitychange", wakeUp);
  addEventListener("online", wakeUp);
  addEventListener("offline", () => showConnection("offline"));
  // A page from the back/forward cache wakes up with a closed socket.
  addEventListener("pageshow", (event) => event.persisted && wakeUp());
  // Search results come while somebody types.
  document.addEventListener("htmx:afterSettle", () => { if (skusOfPage().length) watch(); });
  watch();
}

if (document.querySelector("[data-stock], #results")) start();
