// Elements made without HTML text: whatever comes from outside becomes a text node or the value of an attribute.

const SVG = "http://www.w3.org/2000/svg";

// The children that are there: none of `false`, `null` and `undefined`, lists as their members.
const there = (children) => children.flat(3).filter((child) => child !== false && child !== null && child !== undefined);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...there(children));
  return element;
}

// An HTML element. `onclick` and its like are listeners.
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

// The same in SVG.
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Gives an element these children and no others.
export const put = (element, ...children) => element.replaceChildren(...there(children));

// Whether motion is to be kept small.
export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
