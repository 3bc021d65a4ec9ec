/*
 * Units left and prices, kept up to date on the page of a book, the cards of a shelf, the cart and the checkout.
 *
 * The server rendered everything already, and this only changes what has become untrue. The socket says first how the
 * page's books are, then what changed, at most three times a second.
 */

import { panel, refresh, setClock, showOnPanel, showState, startPanel } from "./buy.js";
import { showOnCard } from "./card.js";
import { showOnLine, startLines } from "./line.js";
import { showOnTicket } from "./sale_strip.js";
import { keepSocket } from "./socket.js";

const SKUS_MAX = 60;
const NOT_UNDERSTOOD = 4400;
const NO_SUCH_BOOK = 4404;

// What the server said last, by sku; nothing while the socket is away.
const known = new Map();
let watched = "";

function hear(message) {
  if (message.type === "stale") showState("stale");
  if (message.type !== "stock") return false;
  showState("live");
  for (const [sku, book] of Object.entries(message.books)) show(sku, book);
  setClock(message.now);
  return true;
}

function show(sku, book) {
  const before = known.get(sku);
  known.set(sku, book);
  for (const place of document.querySelectorAll(`[data-stock][data-sku="${CSS.escape(sku)}"]`)) {
    if (place.matches(".card")) showOnCard(place, book);
    else if (place.matches("[data-line]")) showOnLine(place, book);
    else if (place.matches(".sale-ticket")) showOnTicket(place, book);
    else showOnPanel(place, before, book);
  }
}

const socket = keepSocket({
  path: () => watched && `/live/stock/?${watched}`,
  hear,
  show: showState,
  whileAway: () => refresh({ anyway: true }),
  forget: () => known.clear(),
  refusals: [NO_SUCH_BOOK, NOT_UNDERSTOOD],
  longestDelayMs: 30_000,
  // The server pings every ten seconds.
  silenceMs: 35_000,
  hiddenMs: 60_000,
});

function skusOfPage() {
  const skus = [...document.querySelectorAll("[data-stock][data-sku]")].map((place) => place.dataset.sku);
  // The panel's own first: it is what the page is about.
  const first = panel()?.dataset.sku;
  return [...new Set(first ? [first, ...skus] : skus)].slice(0, SKUS_MAX);
}

function watch() {
  const skus = skusOfPage();
  const wanted = skus.map((sku) => `sku=${encodeURIComponent(sku)}`).join("&");
  if (wanted === watched) return;
  watched = wanted;
  socket.reconnect();
}

startPanel((sku) => known.get(sku));
startLines((sku) => known.get(sku));
// Search results come while somebody types.
document.addEventListener("htmx:afterSettle", () => { if (skusOfPage().length) watch(); });
watch();
