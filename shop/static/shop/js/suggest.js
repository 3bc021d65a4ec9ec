/* What is offered below the search field while somebody types: a combobox with a list. Without it, the form searches. */

const PAUSE_MS = 150;
const LETTERS_MIN = 2;

const field = document.querySelector("[data-suggest]");
const list = document.getElementById("suggestions");
let asked = "";
let pause = 0;
let at = -1;

function options() {
  return [...list.children];
}

function close() {
  list.hidden = true;
  at = -1;
  field.setAttribute("aria-expanded", "false");
  field.removeAttribute("aria-activedescendant");
}

function mark(index) {
  const found = options();
  at = index < -1 ? found.length - 1 : index >= found.length ? -1 : index;
  for (const [place, option] of found.entries()) option.setAttribute("aria-selected", String(place === at));
  if (at >= 0) field.setAttribute("aria-activedescendant", found[at].id);
  else field.removeAttribute("aria-activedescendant");
}

async function suggest() {
  const typed = field.value.trim();
  if (typed === asked) return;
  asked = typed;
  if (typed.length < LETTERS_MIN) return close();
  try {
    const response = await fetch(`${field.dataset.suggest}?q=${encodeURIComponent(typed)}`);
    if (!response.ok || typed !== asked) return;
    const page = new DOMParser().parseFromString(`<ul>${await response.text()}</ul>`, "text/html");
    list.replaceChildren(...page.querySelectorAll("li"));
  } catch {
    return close(); // No network: the form itself will say so.
  }
  if (!list.children.length || document.activeElement !== field) return close();
  list.hidden = false;
  field.setAttribute("aria-expanded", "true");
  mark(-1);
}

function onKey(event) {
  if (list.hidden) return;
  if (event.key === "ArrowDown") mark(at + 1);
  else if (event.key === "ArrowUp") mark(at - 1);
  else if (event.key === "Escape") close();
  else if (event.key === "Enter" && at >= 0) options()[at].querySelector("a").click();
  else return;
  event.preventDefault();
}

if (field && list) {
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"],
    ["aria-controls", list.id]]) field.setAttribute(name, value);
  field.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(suggest, PAUSE_MS);
  });
  field.addEventListener("keydown", onKey);
  // A click on a suggestion takes the focus first; it must still be there to be clicked.
  field.addEventListener("blur", () => setTimeout(() => list.contains(document.activeElement) || close(), PAUSE_MS));
  list.addEventListener("focusout", () => setTimeout(() => document.activeElement === field || close(), PAUSE_MS));
}
