// A picture for each good, made from its id: something turned on a wheel.
import { s } from "../lib/dom.js";

// Numbers from 0 to 1 that follow from a text (FNV-1a, then xorshift).
export function numbers(text) {
  let state = 0x811c9dc5;
  for (const char of String(text)) state = Math.imul(state ^ char.codePointAt(0), 0x01000193);
  state ^= Math.imul(state >>> 15, 0x85ebca6b);
  state |= 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const short = (number) => number.toFixed(1);

// The outline of a body with these half widths at these heights, mirrored at x = 50.
function outline(points) {
  const side = (sign) => points.map(([x, y]) => [50 + sign * x, y]);
  const curve = (list) =>
    list.slice(1).reduce((before, [x, y], n) => {
      const [fromX, fromY] = list[n];
      const half = (fromY + y) / 2;
      return `${before}C${[fromX, half, x, half, x, y].map(short).join(" ")}`;
    }, list[0].map(short).join(" "));
  return `M${curve(side(1))}L${curve(side(-1).reverse())}Z`;
}

export function picture(id) {
  const next = numbers(id);
  const between = (from, to) => from + next() * (to - from);
  const hue = Math.round(next() * 360);
  const other = Math.round(hue + between(25, 70)) % 360;
  const top = between(18, 36);
  const foot = 82;
  const at = (share) => top + (foot - top) * share;
  const points = [
    [between(7, 20), top],
    [between(5, 14), at(0.18)],
    [between(15, 31), at(0.5)],
    [between(12, 27), at(0.78)],
    [between(8, 17), foot],
  ];
  const path = outline(points);
  const clip = `cut-${String(id).replace(/[^a-zA-Z0-9-]/g, "")}`;
  const band = at(between(0.35, 0.6));
  const height = between(4, 12);
  const parts = [
    s("rect", { x: -17, width: 134, height: 100, fill: `hsl(${hue} 30% 90%)` }),
    s("ellipse", { cx: 50, cy: 84, rx: 30, ry: 3.5, fill: `hsl(${hue} 20% 78%)` }),
    s("path", { d: path, fill: `hsl(${other} 38% 46%)` }),
    s("clipPath", { id: clip }, s("path", { d: path })),
    s("g", { "clip-path": `url(#${clip})` },
      s("rect", { y: band, width: 100, height, fill: `hsl(${hue} 45% 82%)` }),
      s("rect", { y: band + height + 2, width: 100, height: 1.5, fill: `hsl(${hue} 45% 82%)` }),
      s("rect", { x: 50, width: 50, height: 100, fill: "#000", opacity: 0.09 })),
  ];
  if (next() > 0.5) {
    const [x, y] = points[2];
    const arc = `M${50 + x - 3} ${y - 12}c16 -6 20 22 1 22`;
    parts.splice(2, 0, s("path", { d: arc, fill: "none", stroke: `hsl(${other} 38% 40%)`, "stroke-width": 4, "stroke-linecap": "round" }));
  }
  return s("svg", { class: "picture", viewBox: "-17 0 134 100", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" }, parts);
}
