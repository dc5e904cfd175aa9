/**
 * The contract's preprocessing: a picture stretched to a square and cut out in the middle, bit by bit as Pillow's
 * `resize(..., BILINEAR)` gives it, with which the network was trained (libImaging/Resample.c).
 */

/** Of the fraction of a weight: a sum of weighted pixels then fits 31 bits. */
const BITS = 22;
const HALF = 1 << (BITS - 1);
const CHANNELS = 3;

/**
 * What a canvas gives: R, G, B and A of each pixel, row by row.
 * @typedef {{data: Uint8ClampedArray | Uint8Array, width: number, height: number}} Picture
 */
/**
 * Of one axis: which old pixels, and how much of each, make up each of the new ones in the middle.
 * @typedef {object} Axis
 * @property {number} length
 * @property {Int32Array} starts the first old pixel of each new one
 * @property {Int32Array} offsets where its weights begin; one more, for their end
 * @property {Int32Array} weights fixed-point numbers; those of a new pixel sum to 1
 */

/** Pictures of one size after the other, as of a camera, share their weights. */
export class Resizer {
  /** @type {Axis | undefined} */
  #columns;
  /** @type {Axis | undefined} */
  #rows;

  /**
   * @param {number} resize
   * @param {number} crop
   */
  constructor(resize, crop) {
    this.resize = resize;
    this.crop = crop;
  }

  /**
   * R, G and B of crop x crop pixels, row by row.
   * @param {Picture} picture
   */
  pixels({ data, width, height }) {
    if (this.#columns?.length !== width) this.#columns = axis(width, this.resize, this.crop);
    if (this.#rows?.length !== height) this.#rows = axis(height, this.resize, this.crop);
    const [columns, rows] = [this.#columns, this.#rows];
    const shortened = height - this.resize;
    // Pillow 13 begins with the axis that leaves less to do for the other.
    if (shortened > 0 && shortened > 2 * (width - this.resize)) {
      return narrow(shorten(data, 4, width, rows), width, 0, this.crop, columns);
    }
    const last = this.crop - 1;
    const [first, end] = [rows.starts[0], rows.starts[last] + rows.offsets[last + 1] - rows.offsets[last]];
    return shorten(narrow(data, width, first, end, columns, 4), CHANNELS, this.crop, rows, first);
  }
}

/**
 * A triangle over twice the distance of two new pixels.
 * @param {number} length in old pixels
 * @param {number} stretched in new pixels
 * @param {number} count of those in the middle
 * @returns {Axis}
 */
function axis(length, stretched, count) {
  const scale = length / stretched;
  const support = Math.max(scale, 1);
  const margin = halfToEven((stretched - count) / 2);
  const starts = new Int32Array(count);
  const offsets = new Int32Array(count + 1);
  /** @type {number[]} */
  const weights = [];
  for (let index = 0; index < count; index++) {
    const centre = (margin + index + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), length);
    const shares = Array.from({ length: end - start }, (_, position) =>
      Math.max(1 - Math.abs((position + start - centre + 0.5) / support), 0),
    );
    const sum = shares.reduce((total, share) => total + share, 0);
    for (const share of shares) weights.push(Math.trunc((share / sum) * 2 ** BITS + 0.5));
    starts[index] = start;
    offsets[index + 1] = weights.length;
  }
  return { length, starts, offsets, weights: Int32Array.from(weights) };
}

/**
 * The rows from `first` to before `end` of `width` pixels of `step` bytes, made as long as the axis.
 * @param {Uint8ClampedArray | Uint8Array} data
 * @param {number} width
 * @param {number} first
 * @param {number} end
 * @param {Axis} columns
 */
function narrow(data, width, first, end, { starts, offsets, weights }, step = CHANNELS) {
  const narrowed = new Uint8Array((end - first) * starts.length * CHANNELS);
  let to = 0;
  for (let y = first; y < end; y++) {
    for (let x = 0; x < starts.length; x++) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let from = (y * width + starts[x]) * step;
      for (let index = offsets[x]; index < offsets[x + 1]; index++, from += step) {
        const weight = weights[index];
        red += weight * data[from];
        green += weight * data[from + 1];
        blue += weight * data[from + 2];
      }
      narrowed[to++] = red >> BITS;
      narrowed[to++] = green >> BITS;
      narrowed[to++] = blue >> BITS;
    }
  }
  return narrowed;
}

/**
 * As many rows as the axis has; `data` begins with row `first` of the picture.
 * @param {Uint8ClampedArray | Uint8Array} data
 * @param {number} step
 * @param {number} width
 * @param {Axis} rows
 */
function shorten(data, step, width, { starts, offsets, weights }, first = 0) {
  const shortened = new Uint8Array(starts.length * width * CHANNELS);
  const sums = new Int32Array(width * CHANNELS);
  for (let y = 0; y < starts.length; y++) {
    sums.fill(HALF);
    let from = (starts[y] - first) * width * step;
    for (let index = offsets[y]; index < offsets[y + 1]; index++) {
      const weight = weights[index];
      for (let to = 0; to < sums.length; to += CHANNELS, from += step) {
        sums[to] += weight * data[from];
        sums[to + 1] += weight * data[from + 1];
        sums[to + 2] += weight * data[from + 2];
      }
    }
    const row = y * sums.length;
    for (let position = 0; position < sums.length; position++) shortened[row + position] = sums[position] >> BITS;
  }
  return shortened;
}

/** As Python's `round` and torchvision's centre crop. @param {number} value */
function halfToEven(value) {
  return value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value);
}
