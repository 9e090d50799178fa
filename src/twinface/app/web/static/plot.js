// A DET curve through a model's operating points, both rates on logarithmic axes.

import { draw, el } from "./dom.js";
import { scientific } from "./words.js";

const WIDTH = 320, HEIGHT = 190, LEFT = 46, RIGHT = 306, TOP = 14, BOTTOM = 150;

/** FNMR against FMR; points with `fmr`, `fnmr`. */
export function ratesPlot(points) {
  const seen = points.filter((point) => point.fnmr > 0 && point.fmr > 0);
  if (seen.length < 2) return "";
  const decades = (values) => [Math.floor(Math.log10(Math.min(...values)) + 1e-9), Math.ceil(Math.log10(Math.max(...values)) - 1e-9)];
  const [x0, x1] = decades(seen.map((point) => point.fmr)), [y0, y1] = decades(seen.map((point) => point.fnmr));
  const x = (rate) => LEFT + (RIGHT - LEFT) * (Math.log10(rate) - x0) / (x1 - x0 || 1);
  const y = (rate) => BOTTOM - (BOTTOM - TOP) * (Math.log10(rate) - y0) / (y1 - y0 || 1);
  const plot = draw("svg", { viewBox: `0 -14 ${WIDTH} ${HEIGHT + 14}`, role: "img", "aria-label":
    `FNMR by FMR: ${seen.map((point) => `${(100 * point.fnmr).toFixed(1)}% at ${scientific(point.fmr)}`).join(", ")}` });
  for (let power = x0; power <= x1; power += 1) {
    const at = x(10 ** power);
    plot.append(draw("line", { class: "grid", x1: at, x2: at, y1: TOP, y2: BOTTOM }), word(at, BOTTOM + 16, "middle", `1e${power}`));
  }
  for (let power = y0; power <= y1; power += 1) {
    const at = y(10 ** power);
    plot.append(draw("line", { class: "grid", x1: LEFT, x2: RIGHT, y1: at, y2: at }), word(LEFT - 8, at + 4, "end", `${+(100 * 10 ** power).toPrecision(3)}%`));
  }
  const line = seen.map((point, index) => `${index ? "L" : "M"}${x(point.fmr)} ${y(point.fnmr)}`).join("");
  plot.append(draw("path", { class: "curve", d: line }));
  for (const point of seen) plot.append(draw("circle", { class: "point", cx: x(point.fmr), cy: y(point.fnmr), r: 4 }));
  plot.append(word((LEFT + RIGHT) / 2, HEIGHT - 6, "middle", "false match rate (FMR)"), word(LEFT - 8, TOP - 13, "end", "FNMR"));
  return el("div", { className: "plot" }, plot);
}

function word(x, y, anchor, text) {
  return draw("text", { x, y, "text-anchor": anchor }, text);
}
