/*
 * Makes one element like another and touches only what differs. What stays the same keeps its focus, is not read out
 * again by a screen reader, and does not flicker.
 *
 * Children find each other by `data-key`, or else by their place among those of the same name; one whose key is new is
 * put in as it came. An element with `data-keep` belongs to a script and is left alone.
 */

export function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.hasAttribute("data-keep")) return;
  morphAttributes(old, fresh);
  morphChildren(old, [...fresh.childNodes]);
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function morphChildren(old, wanted) {
  const unused = [...old.childNodes];
  const pairs = wanted.map((fresh) => {
    const index = unused.findIndex((child) => nameOf(child) === nameOf(fresh));
    return [index < 0 ? null : unused.splice(index, 1)[0], fresh];
  });
  for (const child of unused) child.remove();
  let place = old.firstChild;
  for (const [kept, fresh] of pairs) {
    if (kept) morph(kept, fresh);
    const child = kept ?? fresh;
    if (child === place) place = place.nextSibling;
    else old.insertBefore(child, place);
  }
}

function nameOf(node) {
  return `${node.nodeName} ${node.dataset?.key ?? ""}`;
}
