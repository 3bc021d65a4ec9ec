/*
 * The order page, kept up to date.
 *
 * The server draws the order, and nobody else does. The socket tells how the order is: each message is a whole
 * snapshot with a version, so nothing can be missed, and a lower version than the one shown is old news. Where a
 * snapshot says something else than the page, the page asks for the order's fragment and puts in what is different.
 * While there is no socket, it asks for the snapshot over HTTP.
 */

import { showConnection } from "./connection.js";
import { fetchFragment, oneAtATime } from "./fragment.js";
import { morph } from "./morph.js";
import { countDown } from "./order_pay.js";
import { keepSocket } from "./socket.js";
import { localise } from "./words.js";

const SIGNED_OUT = 4401;
const STRANGER = 4404;
// A fragment that did not come, or came from before the news, is asked for again after this time, twice as long, …
const AGAIN_MS = 500;
const TRIES = 6;

const order = document.querySelector("[data-order]");
const connection = order.querySelector(".connection[data-keep]");

let latest = null;
let tries = 0;
let againTimer = 0;

const version = () => Number(order.dataset.version);
const isFinal = () => order.dataset.final === "true";
const stepsOf = (element) => [...element.querySelectorAll("[data-code]")];

/* -- what the page shows ---------------------------------------------------------------------------------------- */

function catchUp(snapshot) {
  if (snapshot.version < version()) return;
  latest = snapshot;
  tries = 0;
  if (agrees(snapshot)) countDown(order, snapshot.payment_seconds_left);
  else ask();
}

function agrees(snapshot) {
  const { version: number, final, reductions, returns, slow } = order.dataset;
  const shown = stepsOf(order).map((step) => [step.dataset.code, step.dataset.state]);
  const told = snapshot.steps.map((step) => [step.code, step.state]);
  return Number(number) === snapshot.version && final === String(snapshot.final)
    && Number(reductions) === snapshot.reductions && Number(returns) === snapshot.returns && slow === snapshot.slow
    && JSON.stringify(shown) === JSON.stringify(told);
}

const ask = oneAtATime(async () => {
  clearTimeout(againTimer);
  if (agrees(latest)) return;
  const fresh = await fetchFragment(order.dataset.fragmentUrl, "[data-order]");
  if (fresh && Number(fresh.dataset.version) >= version()) draw(fresh);
  if (agrees(latest) || version() > latest.version) return;
  tries += 1;
  if (tries < TRIES) againTimer = setTimeout(ask, AGAIN_MS * 2 ** tries);
});

function draw(fresh) {
  localise(fresh);
  const before = stepsOf(order).map((step) => step.dataset.key);
  for (const step of stepsOf(fresh)) {
    if (!before.includes(step.dataset.key)) step.classList.add("is-new");
  }
  const focused = order.contains(document.activeElement) ? document.activeElement : null;
  morph(order, fresh);
  countDown(order);
  // What had the focus is no longer offered: go on from the beginning of the page's own part.
  if (focused && !focused.isConnected) document.getElementById("content").focus({ preventScroll: true });
  if (isFinal()) show("done");
}

/* -- the connection ---------------------------------------------------------------------------------------------- */

function show(state, code) {
  const words = {
    connecting: "Connecting…",
    live: "Live",
    reconnecting: "Reconnecting…",
    offline: "Offline",
    refused: code === SIGNED_OUT ? "You have signed out; sign in to see more" : "Not yours to watch",
    done: "Complete",
  };
  showConnection(connection, state === "connecting" ? "reconnecting" : state, words[state]);
}

async function askOverHttp() {
  try {
    const response = await fetch(order.dataset.snapshotUrl, {
      headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(10_000),
    });
    if (response.ok) catchUp(await response.json());
  } catch {
    // No network: the next attempt will tell.
  }
}

const socket = keepSocket({
  // An open socket is kept even when the order is complete: a payment that comes late is still told.
  path: () => (isFinal() ? "" : order.dataset.livePath),
  hear(message) {
    if (message.type !== "snapshot") return false;
    catchUp(message);
    show(isFinal() ? "done" : "live");
    return true;
  },
  show,
  whileAway: askOverHttp,
  refusals: [SIGNED_OUT, STRANGER],
  longestDelayMs: 15_000,
  // The server pings about every 25 seconds.
  silenceMs: 60_000,
  canResync: true,
});

localise(order);
countDown(order);
show(isFinal() ? "done" : "connecting");
socket.connect();
