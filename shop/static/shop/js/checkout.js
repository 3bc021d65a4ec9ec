/*
 * The total of the checkout, for the country, the way of shipping and the coupon that are chosen.
 *
 * The server works it out and draws it. The form sends the total that is on the page: where the server's is another one,
 * it asks again. So nothing depends on this script.
 */

import { oneAtATime } from "./fragment.js";
import { morph } from "./morph.js";

const PATIENCE_MS = 10_000;
const QUOTE = "[data-quote]";
const CHOICES = "[name=country], [name=shipping]";

const form = document.querySelector("form[data-checkout]");

const workOut = oneAtATime(async () => {
  const sent = new FormData(form);
  sent.set("update", "1");
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(form.action, { method: "POST", body: sent, cache: "no-store", signal });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector(QUOTE);
    if (fresh) show(fresh);
  } catch {
    // No network, or too slow: the server asks again before anything is ordered.
  }
});

function show(fresh) {
  const chosen = fresh.querySelector("[name=shipping]:checked");
  morph(form.querySelector(QUOTE), fresh);
  // What somebody has clicked is no attribute.
  const shown = chosen && [...form.querySelectorAll("[name=shipping]")].find((way) => way.value === chosen.value);
  if (shown) shown.checked = true;
  form.dispatchEvent(new CustomEvent("total", { detail: Number(form.elements.expected_total_minor.value) }));
}

form.addEventListener("change", (event) => { if (event.target.matches(CHOICES)) workOut(); });
form.addEventListener("click", (event) => {
  if (!event.target.closest("[name=update]")) return;
  event.preventDefault();
  workOut();
});
