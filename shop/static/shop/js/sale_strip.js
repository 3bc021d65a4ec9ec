/* What the ticket of a flash sale on the front page says. */

import { setText } from "./words.js";

export function showOnTicket(ticket, book) {
  // A sale that has left the books (nobody speaks of it any more) is over too.
  const phase = !book || book.phase === "none" ? "over" : book.phase;
  for (const part of ticket.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== phase;
  if (phase !== "running") return;
  const left = ticket.querySelector("[data-left-words]");
  left.dataset.level = book.level;
  setText(left, book.words);
}
