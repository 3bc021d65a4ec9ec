/* Words on the page. */

/** Unchanged words are left alone, so that a screen reader does not read them again and nothing flickers. */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Put all times in an element into the visitor's own zone and language. */
export function localise(element) {
  for (const time of element.querySelectorAll("time[datetime]:not([datetime=''])")) {
    const moment = new Date(time.dateTime);
    time.textContent = moment.toLocaleString([], {
      month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
    });
  }
}
