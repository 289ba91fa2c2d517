/**
 * The small picture of a file's parts. Ten thousand of them do not fit on a narrow screen, so a cell stands for
 * as many neighbours as it must and is shaded by how many of them are there.
 */

import { DONE, UNDER_WAY } from "../sdk/index.js";
import { count } from "./format.js";

/** @typedef {import("../sdk/index.js").Slices} Slices */

/** CSS pixels. */
const CELL = 9;
const GAP = 3;
const MOST_ROWS = 4;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Slices} slices
 */
export function drawParts(canvas, slices) {
  canvas.hidden = slices.count < 2;
  const width = canvas.parentElement?.clientWidth ?? 0;
  if (canvas.hidden || width === 0) return;
  const style = getComputedStyle(canvas);
  const room = Math.floor(canvas.getBoundingClientRect().width || width);
  const columns = Math.max(1, Math.floor((room + GAP) / (CELL + GAP)));
  const perCell = Math.ceil(slices.count / (columns * MOST_ROWS));
  const cells = Math.ceil(slices.count / perCell);
  const rows = Math.ceil(cells / columns);
  const paint = prepare(canvas, room, rows * (CELL + GAP) - GAP);
  const colours = {
    missing: style.getPropertyValue("--part-missing"),
    underWay: style.getPropertyValue("--part-under-way"),
    done: style.getPropertyValue("--part-done"),
  };
  for (let cell = 0; cell < cells; cell += 1) {
    const { done, underWay } = share(slices, cell * perCell, perCell);
    const x = (cell % columns) * (CELL + GAP);
    const y = Math.floor(cell / columns) * (CELL + GAP);
    drawCell(paint, x, y, 1, colours.missing);
    if (done > 0) drawCell(paint, x, y, done === 1 ? 1 : 0.25 + 0.5 * done, colours.done);
    if (underWay) drawCell(paint, x, y, 1, colours.underWay);
  }
  const label = `${count(slices.doneCount)} of ${count(slices.count)} parts stored`;
  if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
}

/**
 * Sharp on every screen: as many real pixels as the screen has.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  paint.scale(ratio, ratio);
  return paint;
}

/**
 * @param {Slices} slices
 * @param {number} first  index
 * @param {number} length
 * @returns {{done: number, underWay: boolean}} the share that is stored, 0 to 1
 */
function share(slices, first, length) {
  const states = slices.states.subarray(first, first + length);
  let done = 0;
  let underWay = false;
  for (const state of states) {
    if (state === DONE) done += 1;
    if (state === UNDER_WAY) underWay = true;
  }
  return { done: done / states.length, underWay };
}

/**
 * @param {CanvasRenderingContext2D} paint
 * @param {number} x
 * @param {number} y
 * @param {number} opacity
 * @param {string} colour
 */
function drawCell(paint, x, y, opacity, colour) {
  paint.globalAlpha = opacity;
  paint.fillStyle = colour;
  paint.beginPath();
  paint.roundRect(x, y, CELL, CELL, 2);
  paint.fill();
}
