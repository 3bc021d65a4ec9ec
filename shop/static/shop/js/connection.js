/* The dot and the words that say whether a page is live. */

import { setText } from "./words.js";

/** Show a state in the element; without words, hide it. */
export function showConnection(element, state, words) {
  element.hidden = !words;
  element.dataset.connection = state;
  setText(element.querySelector("[data-connection-words]"), words);
}

/** An element for a part of the page that has none yet. */
export function makeConnection() {
  const element = document.createElement("p");
  element.className = "connection";
  const dot = document.createElement("span");
  dot.className = "connection-dot";
  dot.setAttribute("aria-hidden", "true");
  const words = document.createElement("span");
  words.dataset.connectionWords = "";
  element.append(dot, words);
  return element;
}
