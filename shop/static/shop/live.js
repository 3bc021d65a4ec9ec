/*
 * The order page, kept up to date.
 *
 * The server rendered the whole page already; this module only replaces what a newer snapshot says. Every
 * message is a whole snapshot with a version, so nothing can be missed: a lower version than the one shown is
 * old news, and after any doubt (a reconnect, a sleeping tab, a network that came back) the page asks again.
 * While there is no socket it asks over HTTP.
 */

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
// The server pings about every 25 seconds; a connection that is silent for longer is dead.
const SILENCE_MS = 60_000;
const SIGNED_OUT = 4401;
const STRANGER = 4404;

const page = document.querySelector("[data-order]");
const connection = page.querySelector(".connection[hidden]");
const words = connection.querySelector("[data-connection-words]");

let socket = null;
let attempts = 0;
let retryTimer = 0;
let silenceTimer = 0;
let refused = false;

function show(state, text) {
  connection.hidden = false;
  connection.dataset.connection = state;
  if (words.textContent !== text) words.textContent = text;
}

function isFinal() {
  return page.dataset.final === "true";
}

function timeElement(iso) {
  const element = document.createElement("time");
  element.dateTime = iso;
  localise(element);
  return element;
}

function localise(element) {
  const moment = new Date(element.dateTime);
  element.textContent = moment.toLocaleString([], {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
}

function stepElement(step, isNew) {
  const item = document.createElement("li");
  item.className = isNew ? "step is-new" : "step";
  item.dataset.code = step.code;
  item.dataset.state = step.state;
  const mark = document.createElement("span");
  mark.className = "step-mark";
  mark.setAttribute("aria-hidden", "true");
  const label = document.createElement("span");
  label.className = "step-label";
  label.textContent = step.label;
  const time = document.createElement("span");
  time.className = "step-time";
  if (step.at) time.append(timeElement(step.at));
  else if (step.state === "current") time.textContent = "in progress";
  else if (step.state === "skipped") time.textContent = "not needed";
  item.append(mark, label, time);
  return item;
}

function setText(selector, text) {
  const element = page.querySelector(selector);
  // Unchanged words are left alone, so that a screen reader does not read them again.
  if (element.textContent !== text) element.textContent = text;
}

function render(snapshot) {
  if (snapshot.version < Number(page.dataset.version)) return;
  if (snapshot.reductions > Number(page.dataset.reductions) || snapshot.returns > Number(page.dataset.returns)) {
    // Copies were cancelled or come back: the receipt is another one, and the server writes it.
    location.reload();
    return;
  }
  page.dataset.version = snapshot.version;
  page.dataset.status = snapshot.status;
  page.dataset.final = String(snapshot.final);
  setText("[data-headline]", snapshot.headline);
  setText("[data-detail]", snapshot.detail);
  setText("[data-badge]", snapshot.status);
  renderPayment(snapshot);
  const list = page.querySelector("[data-steps]");
  const before = new Map([...list.children].map((item) => [item.dataset.code, item.dataset.state]));
  list.replaceChildren(...snapshot.steps.map((step) => stepElement(step, before.get(step.code) !== step.state)));
  for (const fact of page.querySelectorAll("[data-fact]")) {
    const value = snapshot[fact.dataset.fact];
    fact.hidden = !value;
    fact.querySelector("dd").textContent = value;
  }
  for (const part of page.querySelectorAll("[data-when]")) {
    part.hidden = !part.dataset.when.split(" ").includes(snapshot.status);
  }
}

/* -- the payment that the buyer has to confirm -- */

const pay = page.querySelector("[data-pay]");
let payTimer = 0;
let payEnd = 0;

function renderPayment(snapshot) {
  pay.hidden = snapshot.payment_wait !== "action";
  page.querySelector("[data-pay-idle]").hidden = !pay.hidden;
  for (const part of pay.querySelectorAll("[data-pay-page]")) part.hidden = !snapshot.payment_url;
  pay.querySelector("[data-pay-app]").hidden = Boolean(snapshot.payment_url);
  const until = pay.querySelector("[data-pay-until]");
  if (snapshot.payment_until) {
    until.dateTime = snapshot.payment_until;
    localise(until);
  }
  countDown(snapshot.payment_seconds_left);
}

// The server says how long is left, because the clock of this computer may be wrong.
function countDown(secondsLeft) {
  pay.querySelector("[data-pay-time]").hidden = secondsLeft === null;
  payEnd = secondsLeft === null ? Infinity : performance.now() + secondsLeft * 1000;
  tick();
}

function tick() {
  clearTimeout(payTimer);
  const seconds = Math.ceil((payEnd - performance.now()) / 1000);
  pay.dataset.state = seconds <= 0 ? "over" : pay.dataset.went === "true" ? "went" : "ask";
  if (pay.hidden || seconds <= 0 || seconds === Infinity) return;
  const left = pay.querySelector("[data-pay-left]");
  left.hidden = false;
  left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
  payTimer = setTimeout(tick, 250);
}

/* -- the connection -- */

function socketAddress() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const port = page.dataset.livePort;
  const host = port === "0" ? location.host : `${location.hostname}:${port}`;
  return `${scheme}//${host}${page.dataset.livePath}`;
}

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function heard() {
  clearTimeout(silenceTimer);
  silenceTimer = setTimeout(() => socket && socket.close(), SILENCE_MS);
}

function connect() {
  clearTimeout(retryTimer);
  if (refused || isFinal() || (socket && socket.readyState <= WebSocket.OPEN)) return;
  const opened = new WebSocket(socketAddress());
  socket = opened;
  heard();
  opened.addEventListener("message", (event) => {
    heard();
    const message = JSON.parse(event.data);
    if (message.type === "ping") send({ type: "pong" });
    if (message.type !== "snapshot") return;
    attempts = 0;
    render(message);
    // An open socket is kept even then: a payment that comes late for a cancelled order is still told.
    if (isFinal()) show("done", "Complete");
    else show("live", "Live");
  });
  opened.addEventListener("close", (event) => {
    if (socket !== opened) return;
    socket = null;
    clearTimeout(silenceTimer);
    if (isFinal()) return;
    if (event.code === SIGNED_OUT || event.code === STRANGER) {
      refused = true;
      show("refused", event.code === SIGNED_OUT ? "You have signed out; sign in to see more" : "Not yours to watch");
      return;
    }
    retry();
  });
}

function retry() {
  // Twice as long each time, and a random share of it, so that a thousand pages do not come back at once.
  const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempts);
  attempts += 1;
  show(navigator.onLine ? "reconnecting" : "offline", navigator.onLine ? "Reconnecting…" : "Offline");
  retryTimer = setTimeout(connect, longest * (0.5 + Math.random() / 2));
  // From the second failure on, also ask the shop itself: the socket may stay away while the shop is there.
  if (attempts > 1) askOverHttp();
}

async function askOverHttp() {
  try {
    const response = await fetch(page.dataset.snapshotUrl, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (response.ok) render(await response.json());
    if (isFinal()) show("done", "Complete");
  } catch {
    // No network: the next attempt will tell.
  }
}

function wakeUp() {
  if (document.visibilityState !== "visible" || refused || isFinal()) return;
  if (socket && socket.readyState === WebSocket.OPEN) {
    send({ type: "resync" });
    return;
  }
  attempts = 0;
  connect();
}

for (const element of page.querySelectorAll("time[datetime]:not([datetime=''])")) localise(element);
countDown(pay.dataset.secondsLeft === "" ? null : Number(pay.dataset.secondsLeft));
document.addEventListener("visibilitychange", wakeUp);
addEventListener("online", wakeUp);
addEventListener("offline", () => !isFinal() && !refused && show("offline", "Offline"));
// A page from the back/forward cache wakes up with a closed socket.
addEventListener("pageshow", (event) => event.persisted && wakeUp());

if (isFinal()) show("done", "Complete");
else {
  show("reconnecting", "Connecting…");
  connect();
}
