/*
 * Keeps the part of the page that changes up to date: the server draws it, and what differs is put in. While nothing
 * answers (the page itself can be broken), it says so and goes on asking.
 */

import { morph } from "../shop/js/morph.js";

const BUSY_MS = 700;
const IDLE_MS = 3000;

const address = new URL(location.href);
address.searchParams.set("part", "1");

async function refresh() {
  const part = document.querySelector("[data-live]");
  const wasRunning = part.hasAttribute("data-running");
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(response.statusText);
    const html = await response.text();
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-live]");
    if (fresh) morph(part, fresh);
    part.classList.remove("is-silent");
  } catch {
    part.classList.add("is-silent");
  }
  const isRunning = part.hasAttribute("data-running");
  for (const form of document.querySelectorAll("[data-while-running]")) form.hidden = !isRunning;
  setTimeout(refresh, isRunning || wasRunning ? BUSY_MS : IDLE_MS);
}

setTimeout(refresh, BUSY_MS);
