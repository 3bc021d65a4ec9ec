/* What the card of a book says of its stock and its price. */

import { setText } from "./words.js";

/** `book` is what the socket says; null for one that is no longer for sale. */
export function showOnCard(card, book) {
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
