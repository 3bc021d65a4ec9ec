/*
 * One socket to the shop that is kept open: it comes back after a failure, notices silence, and rests when nobody
 * looks. What is said on it, and what the page makes of it, is the business of whoever asks for it.
 */

const FIRST_DELAY_MS = 500;
// The server's word for a page that says too much: it is not asked again soon, whatever was said before.
const TOO_MANY_MESSAGES = 4429;
const MANY_ATTEMPTS = 10;

/**
 * Keep a socket.
 *
 * path: where to, a function; "" while there is nothing to listen to.
 * hear: gets each message but pings; true says that all is well, and that a failure would be the first one again.
 * show: gets the state (reconnecting, offline, refused) and, when refused, the code.
 * whileAway: called at each failure from the second on; the socket may stay away while the shop is there.
 * forget: called whenever the socket is gone.
 * refusals: codes after which the same path is not tried again.
 * silenceMs: so long without a message, and the connection counts as dead; longer than the server's pings are apart.
 * hiddenMs: a tab that nobody looks at for so long gives its place back; 0 keeps it.
 * canResync: whether the server says everything again when asked to.
 *
 * Returns connect, which does nothing where there is a socket already, and reconnect, for another path.
 */
export function keepSocket({
  path, hear, show, whileAway, refusals, silenceMs, longestDelayMs,
  forget = () => {}, hiddenMs = 0, canResync = false,
}) {
  let socket = null;
  let attempts = 0;
  let retryTimer = 0;
  let silenceTimer = 0;
  let hiddenTimer = 0;
  let refused = "";

  const isOpen = () => socket?.readyState === WebSocket.OPEN;
  const wanted = () => (path() === refused ? "" : path());

  function heard() {
    clearTimeout(silenceTimer);
    silenceTimer = setTimeout(() => socket?.close(), silenceMs);
  }

  function send(message) {
    if (isOpen()) socket.send(JSON.stringify(message));
  }

  function connect() {
    clearTimeout(retryTimer);
    const target = wanted();
    if (!target || (hiddenMs && document.visibilityState === "hidden")) return;
    if (socket && socket.readyState <= WebSocket.OPEN) return;
    const opened = new WebSocket(address(target));
    socket = opened;
    heard();
    opened.addEventListener("message", (event) => {
      if (socket !== opened) return;
      heard();
      const message = JSON.parse(event.data);
      if (message.type !== "ping" && hear(message)) attempts = 0;
      if (message.type === "ping" || message.ping) send({ type: "pong" });
    });
    opened.addEventListener("close", (event) => {
      if (socket !== opened) return;
      disconnect();
      if (refusals.includes(event.code)) {
        refused = target;
        show("refused", event.code);
      } else if (wanted()) {
        if (event.code === TOO_MANY_MESSAGES) attempts = MANY_ATTEMPTS;
        retry();
      }
    });
  }

  function disconnect() {
    clearTimeout(retryTimer);
    clearTimeout(silenceTimer);
    const closing = socket;
    socket = null;
    closing?.close();
    forget();
  }

  function retry() {
    // Twice as long each time, and a random share of it, so that a thousand pages do not come back at once.
    const longest = Math.min(longestDelayMs, FIRST_DELAY_MS * 2 ** attempts);
    attempts += 1;
    show(navigator.onLine ? "reconnecting" : "offline");
    retryTimer = setTimeout(connect, longest * (0.5 + Math.random() / 2));
    if (attempts > 1) whileAway();
  }

  function wakeUp() {
    clearTimeout(hiddenTimer);
    if (document.visibilityState === "hidden") {
      if (hiddenMs) hiddenTimer = setTimeout(disconnect, hiddenMs);
      return;
    }
    if (!wanted()) return;
    if (isOpen()) {
      if (canResync) send({ type: "resync" });
      return;
    }
    attempts = 0;
    connect();
  }

  document.addEventListener("visibilitychange", wakeUp);
  addEventListener("online", wakeUp);
  addEventListener("offline", () => wanted() && show("offline"));
  // A page from the back/forward cache wakes up with a closed socket.
  addEventListener("pageshow", (event) => event.persisted && wakeUp());

  return {
    connect,
    reconnect() {
      disconnect();
      connect();
    },
  };
}

function address(path) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const port = document.body.dataset.livePort || "0";
  const host = port === "0" ? location.host : `${location.hostname}:${port}`;
  return `${scheme}//${host}${path}`;
}
