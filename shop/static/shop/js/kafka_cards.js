/*
 * The cards: what was guessed and what came of it. The broker is asked over a socket that is opened for one card, and
 * what was done is kept in this browser alone.
 */

import { showConnection } from "./connection.js";

const KEY = "bookrush.kafka.cards";
const LONGEST_MS = 60_000;

const cards = [...document.querySelectorAll("[data-card]")];
const progress = document.querySelector("[data-progress]");
showConnection(document.querySelector("[data-connection]"), "", "");

/* -- what was done ------------------------------------------------------------------------------------------------ */

function remembered() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof found === "object" && found !== null ? found : {};
  } catch {
    return {};
  }
}

function remember(name, isRight) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...remembered(), [name]: isRight ? "right" : "wrong" }));
  } catch {
    // A browser that keeps nothing: the cards work all the same.
  }
}

function tellProgress() {
  const done = remembered();
  let count = 0;
  for (const card of cards) {
    const result = done[card.dataset.card];
    if (result !== "right" && result !== "wrong") continue;
    card.dataset.done = result;
    count += 1;
  }
  progress.textContent = count ? `You have done ${count} of ${cards.length}.` : "";
}

/* -- one card ----------------------------------------------------------------------------------------------------- */

function ask(name) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/kafka/cards/socket/`);
  return new Promise((resolve) => {
    const end = (answer) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => end({ error: "It takes too long. Try again." }), LONGEST_MS);
    socket.addEventListener("open", () => socket.send(JSON.stringify({ do: name })));
    socket.addEventListener("message", (event) => end(JSON.parse(event.data)));
    socket.addEventListener("close", () => end({ error: "The shop did not answer. Try again." }));
  });
}

function paragraph(words) {
  const element = document.createElement("p");
  element.textContent = words;
  return element;
}

async function play(card, button) {
  const verdict = card.querySelector("[data-verdict]");
  const guess = card.querySelector("input:checked")?.value;
  if (!guess) {
    verdict.replaceChildren(paragraph("Guess first: choose one of the answers."));
    card.querySelector("input").focus();
    return;
  }
  button.disabled = true;
  verdict.replaceChildren(paragraph("Doing it…"));
  const answer = await ask(card.dataset.card);
  button.disabled = false;
  if (answer.error) {
    verdict.replaceChildren(paragraph(answer.error));
    return;
  }
  const isRight = answer.choice === guess;
  const right = card.querySelector(`input[value="${CSS.escape(answer.choice)}"]`)?.closest("label").textContent.trim();
  const first = paragraph(isRight ? "You were right." : `Not so. It is: ${right ?? answer.choice}.`);
  first.className = "kafka-result";
  verdict.replaceChildren(first, paragraph(answer.sentence));
  remember(card.dataset.card, isRight);
  tellProgress();
}

for (const card of cards) {
  const button = card.querySelector("[data-do]");
  if (!button) continue;
  button.hidden = false;
  button.addEventListener("click", () => play(card, button));
}
tellProgress();
