/*
 * The operations page, kept up to date: the server draws it every two seconds, and what differs is put in. Where nothing
 * comes, the page says how old its figures are. On a chart a time can be drawn with the mouse to see it alone.
 */

import { showConnection } from "./connection.js";
import { morph } from "./morph.js";
import { keepSocket } from "./socket.js";

const NO_PASS = 4403;
const SILENT_AFTER_MS = 10_000;
const SHORTEST_SECONDS = 30;
const LEAST_PIXELS = 8;

const content = document.getElementById("content");
const connection = document.querySelector("[data-connection]");
let heardAt = Date.now();
let state = "reconnecting";
let isOver = false;

/* -- what the page shows ---------------------------------------------------------------------------------------- */

function draw(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-ops]");
  const shown = content.querySelector("[data-ops]");
  if (!fresh || !shown) return false;
  // What a person has unfolded stays unfolded.
  for (const details of shown.querySelectorAll("details[id][open]")) {
    const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = true;
  }
  morph(shown, fresh);
  return true;
}

function tellAge() {
  const silentMs = Date.now() - heardAt;
  document.body.classList.toggle("is-silent", silentMs > SILENT_AFTER_MS);
  const age = `${Math.round(silentMs / 1000)} s old`;
  const words = {
    live: silentMs > SILENT_AFTER_MS ? `Silent, ${age}` : "Live",
    reconnecting: `Reconnecting, ${age}`,
    offline: `Offline, ${age}`,
    refused: "Your pass is over: open this page from the admin",
  };
  showConnection(connection, state === "live" && silentMs > SILENT_AFTER_MS ? "reconnecting" : state, words[state]);
}

/* -- a time drawn on a chart ------------------------------------------------------------------------------------- */

let drawing = null;

function momentAt(svg, clientX) {
  const box = svg.getBoundingClientRect();
  const { since, until, left, right, width } = svg.dataset;
  const across = ((clientX - box.left) / box.width) * Number(width);
  const share = (across - Number(left)) / (Number(right) - Number(left));
  return Number(since) + Math.min(1, Math.max(0, share)) * (Number(until) - Number(since));
}

function begin(event) {
  const svg = event.target.closest?.("svg[data-since]");
  if (!svg || event.button !== 0 || event.pointerType === "touch") return;
  const mark = document.createElement("div");
  mark.className = "ops-drawn";
  // Its copy of the time axis, for the chart moves on meanwhile.
  drawing = { svg: svg.cloneNode(false), box: svg.getBoundingClientRect(), from: event.clientX, mark };
  drawing.svg.getBoundingClientRect = () => drawing.box;
  document.body.append(mark);
  event.preventDefault();
}

function stretch(event) {
  if (!drawing) return;
  const { box, from, mark } = drawing;
  mark.style.left = `${Math.min(from, event.clientX) + scrollX}px`;
  mark.style.width = `${Math.abs(event.clientX - from)}px`;
  mark.style.top = `${box.top + scrollY}px`;
  mark.style.height = `${box.height}px`;
}

function finish(event) {
  if (!drawing) return;
  const { svg, from, mark } = drawing;
  const ends = [momentAt(svg, from), momentAt(svg, event.clientX)].sort((a, b) => a - b).map(Math.round);
  mark.remove();
  drawing = null;
  if (Math.abs(event.clientX - from) < LEAST_PIXELS) return;
  const query = new URLSearchParams(location.search);
  query.delete("last");
  query.set("from", ends[0]);
  query.set("until", Math.max(ends[1], ends[0] + SHORTEST_SECONDS));
  location.search = query.toString();
}

/* -- the connection ---------------------------------------------------------------------------------------------- */

function show(next) {
  state = next;
  isOver = next === "refused";
  tellAge();
}

const socket = keepSocket({
  path: () => (isOver ? "" : `/ops/socket${location.pathname.slice("/ops".length)}${location.search}`),
  hear(message) {
    if (message.type !== "page" || !draw(message.html)) return false;
    heardAt = Date.now();
    show("live");
    return true;
  },
  show,
  whileAway() {},
  refusals: [NO_PASS],
  longestDelayMs: 5_000,
  silenceMs: 15_000,
  hiddenMs: 60_000,
});

document.addEventListener("pointerdown", begin);
document.addEventListener("pointermove", stretch);
document.addEventListener("pointerup", finish);
setInterval(tellAge, 1_000);
tellAge();
socket.connect();
