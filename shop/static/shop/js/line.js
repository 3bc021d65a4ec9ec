/*
 * A line of the cart or of the checkout, whose price or stock is no longer what the page says.
 *
 * The cart is drawn anew by the server, totals and all. The checkout is left as the buyer saw it, for what was seen is
 * what the order is compared with: its line only says what has changed, and that nothing else is charged unasked.
 */

import { fetchFragment, oneAtATime } from "./fragment.js";
import { morph } from "./morph.js";
import { setText } from "./words.js";

const CART = "[data-cart]";
const TRIES = 5;
const PAUSE_MS = 700;

let known = () => undefined;

/** `lookUp` says what the socket says of a book, by sku. */
export function startLines(lookUp) {
  known = lookUp;
}

export function showOnLine(place, book) {
  if (place.closest(CART)) {
    if (!agrees(place, book)) drawCart();
  } else {
    const news = newsOf(place, book);
    setText(place.querySelector("[data-news]"), news);
    if (news) say(`${place.querySelector(".summary-title").textContent}: ${news}`);
  }
}

const say = (words) => setText(document.querySelector("[data-lines-news]"), words);

function agrees(place, book) {
  return book === undefined
    || (place.dataset.price === (book?.price ?? "") && Number(place.dataset.most) === (book?.most ?? 0));
}

function newsOf(place, book) {
  if (!book) return "No longer for sale. We ask you before anything is charged.";
  if (book.most < Number(place.dataset.quantity)) return `${book.words}. We ask you before anything is charged.`;
  if (book.price === place.dataset.price) return "";
  return `Now ${book.price} each. We ask you before we charge another price.`;
}

const drawCart = oneAtATime(async () => {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    await new Promise((resolve) => { setTimeout(resolve, Math.random() * PAUSE_MS); });
    const cart = document.querySelector(CART);
    const lines = cart ? [...cart.querySelectorAll("[data-stock]")] : [];
    // The shop's processes learn of a change within a second of each other: perhaps this one did not know yet.
    if (lines.every((line) => agrees(line, known(line.dataset.sku)))) return;
    const fresh = await fetchFragment(location.href, CART);
    if (fresh) show(cart, fresh);
  }
});

function show(cart, fresh) {
  const before = new Set(noticesIn(cart));
  morph(cart, fresh);
  const news = noticesIn(cart).filter((notice) => !before.has(notice));
  if (news.length) say(news.join(" "));
}

const noticesIn = (cart) => [...cart.querySelectorAll(".notice")].map((notice) => notice.textContent.trim());
