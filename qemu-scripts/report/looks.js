// SPDX-License-Identifier: BSD-2-Clause
// What is wrong with how a page looks, as a list of texts. Run in the page by report_test.py, which calls
// one of these functions by its name.

function rgb(text) {
  const numbers = text.match(/[\d.]+/g);
  return numbers ? numbers.map(Number) : [0, 0, 0, 0];
}

// Relative luminance and contrast as WCAG 2 defines them.
function luminance(colour) {
  const [red, green, blue] = colour.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

// The colour behind an element: that of the nearest one around it that has any.
function behind(element) {
  for (let around = element; around; around = around.parentElement) {
    const colour = rgb(getComputedStyle(around).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
  }
  return [255, 255, 255];
}

function textElements() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Set();
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() && !parent.closest("defs, style, script, title, #told")) found.add(parent);
  }
  return [...found];
}

function faintTexts() {
  const faults = [];
  for (const element of textElements()) {
    const style = getComputedStyle(element);
    const colour = rgb(element instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const ratio = contrast(colour, behind(element));
    if (ratio < 4.5 || style.opacity !== "1") {
      faults.push(`${element.textContent.trim().slice(0, 40)}: contrast ${ratio.toFixed(2)}`);
    }
  }
  return faults;
}

// Marks and lines that show data must be told from the page; and what the style sheet does not colour
// would be black in either scheme.
function faintMarks() {
  const faults = [], paper = behind(document.body), page = getComputedStyle(document.documentElement);
  for (const name of ["--cost", "--largest", "--median", "--worst", "--limit"]) {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = page.getPropertyValue(name);
    const ratio = contrast(rgb(getComputedStyle(probe).color).slice(0, 3), paper);
    probe.remove();
    if (ratio < 3) faults.push(`${name}: contrast ${ratio.toFixed(2)}`);
  }
  for (const element of document.querySelectorAll("svg.plot :is(path, use, text, rect, polygon)")) {
    if (element.closest("defs")) continue;
    const style = getComputedStyle(element);
    const unstyled = [style.fill, style.stroke].some((colour) => colour === "rgb(0, 0, 0)");
    if (unstyled) faults.push(`${element.tagName} in ${element.closest("svg").id}: black in every scheme`);
  }
  return faults;
}

// The drawings of plots that this window shows.
function shownPlots() {
  return [...document.querySelectorAll("svg.plot")].filter((plot) => plot.getBoundingClientRect().width > 0);
}

function missingPlots(names, maps) {
  const faults = [];
  for (const name of names) {
    const id = `plot-${name}`, of = shownPlots().filter((plot) => plot.id.startsWith(`${id}-`)), plot = of[0];
    const box = plot?.getBoundingClientRect();
    if (of.length !== 1) faults.push(`${id}: ${of.length} drawings are shown`);
    else if (box.width < 0.8 * plot.parentElement.clientWidth || box.height < 150) faults.push(`${id}: too small`);
    else if (plot.querySelectorAll("path, use").length < 20) faults.push(`${id}: hardly anything in it`);
  }
  const drawn = [...document.querySelectorAll("svg.map")].filter((map) => {
    const box = map.getBoundingClientRect();
    return box.width > 200 && box.height > 50 && map.querySelectorAll("rect").length > 20;
  });
  if (drawn.length !== maps) faults.push(`${drawn.length} maps are drawn, and should be ${maps}`);
  return faults;
}

// Letters of the plots that are too small to read: they are drawn in units of the plot.
function smallLetters() {
  const faults = [];
  for (const text of shownPlots().flatMap((plot) => [...plot.querySelectorAll("text")])) {
    const { a, b } = text.getScreenCTM();
    const size = Math.hypot(a, b) * parseFloat(getComputedStyle(text).fontSize);
    if (size < 6.9) faults.push(`${text.textContent}: ${size.toFixed(1)} px`);
  }
  return faults;
}

// First cells of rows that have as many lines as words.
function brokenCells() {
  const faults = [];
  for (const cell of document.querySelectorAll("tr > :first-child")) {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const tops = [...range.getClientRects()].filter((box) => box.width > 1).map((box) => box.top);
    const lines = tops.sort((a, b) => a - b).filter((top, at) => at === 0 || top - tops[at - 1] > 8).length;
    const words = cell.innerText.trim().split(/\s+/).length;
    if (words > 2 && lines >= words) faults.push(`${cell.innerText}: ${lines} lines`);
  }
  return faults;
}

// Tables that are wider than their place, and move within it.
function movedTables() {
  return [...document.querySelectorAll(".wide")].filter(
    (wide) => wide.scrollWidth > wide.clientWidth && getComputedStyle(wide).overflowX === "auto").length;
}

function overflowing() {
  const faults = [], root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`the page is ${root.scrollWidth} wide in ${root.clientWidth}`);
  for (const element of document.body.querySelectorAll("*")) {
    if (element.parentElement.closest(".wide, svg")) continue;
    const right = element.getBoundingClientRect().right;
    if (right > root.clientWidth + 0.5) faults.push(`${element.tagName} ${element.className}: ends at ${right}`);
  }
  return faults;
}

// The cells of a table, row by row, without its head.
function tableOf(section) {
  const rows = document.querySelectorAll(`#${section} tbody tr`);
  return [...rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
}
