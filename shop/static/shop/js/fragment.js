/* A part of a page, drawn anew by the server, which alone knows how to draw it. */

// A request that hangs must not keep the next one from being made.
const PATIENCE_MS = 10_000;

/** The element that the server sends now; nothing if it could not be had. */
export async function fetchFragment(url, selector) {
  try {
    const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) return null;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return page.querySelector(selector);
  } catch {
    return null; // No network, or too slow: the next attempt will tell.
  }
}

/** The work, done one at a time: calls that come meanwhile are one more run after it, however many they are. */
export function oneAtATime(work) {
  let isRunning = false;
  let isWantedAgain = false;
  return async () => {
    isWantedAgain = true;
    if (isRunning) return;
    isRunning = true;
    try {
      while (isWantedAgain) {
        isWantedAgain = false;
        await work();
      }
    } finally {
      isRunning = false;
    }
  };
}
