/** The parity gates, as pmsi-export applies them: does a file give here what the training network gave? */

/** The margin between the first and the second probability from which on the training network is sure. */
export const CONFIDENT_MARGIN = 0.3;

/**
 * @typedef {object} Agreement
 * @property {number} images
 * @property {number} maxAbsDifference of probabilities
 * @property {number} top1Agreement share in 0..1
 * @property {number | null} sqnrDb null for no difference
 * @property {number} confidentImages
 * @property {number | null} confidentAgreement of those; null where there are none
 */
/**
 * Bounds; what is not there is not applied.
 * @typedef {{maxAbsDifference?: number, top1Agreement?: number, sqnrDb?: number, confidentAgreement?: number}} Gate
 */

/** @type {Gate} */
const EXACT = { maxAbsDifference: 1e-4, top1Agreement: 1 };
/** @type {Gate} */
const HALF = { maxAbsDifference: 2e-2, top1Agreement: 0.995 };
/** @type {Gate} */
const COARSE = { sqnrDb: 17, confidentAgreement: 0.98 };

/** @param {import("../contract/contract.js").Precision} precision */
export function gateOf(precision) {
  return { fp32: EXACT, fp16: HALF, int8: COARSE, "int8-dynamic": COARSE }[precision];
}

/**
 * @param {ArrayLike<number>[]} outputs [N][K]; of a top-k file zeros outside of its largest
 * @param {ArrayLike<number>[]} reference of the training network, [N][K]
 * @returns {Agreement}
 */
export function agreement(outputs, reference, topK = false) {
  const differences = outputs.map((output, image) => {
    const expected = topK ? largest(reference[image], output) : reference[image];
    return Array.from(output, (value, index) => Math.abs(value - expected[index]));
  });
  const same = outputs.map((output, image) => first(output) === first(reference[image]));
  const confident = same.filter((_, image) => margin(reference[image]) >= CONFIDENT_MARGIN);
  const noise = power(differences);
  return {
    images: outputs.length,
    maxAbsDifference: Math.max(...differences.flat()),
    top1Agreement: share(same),
    sqnrDb: noise ? 10 * Math.log10(power(reference) / noise) : null,
    confidentImages: confident.length,
    confidentAgreement: confident.length ? share(confident) : null,
  };
}

/**
 * What is out of bounds, and by how much. Only what compares true is within.
 * @param {Gate} gate
 * @param {Agreement} measured
 */
export function misses(gate, measured) {
  const { maxAbsDifference: difference, top1Agreement: same, sqnrDb: sqnr, confidentAgreement: sure } = measured;
  /** @type {string[]} */
  const found = [];
  if (gate.maxAbsDifference !== undefined && !(difference <= gate.maxAbsDifference)) {
    found.push(`largest difference ${difference.toPrecision(2)}, allowed ${gate.maxAbsDifference}`);
  }
  if (gate.top1Agreement !== undefined && !(same >= gate.top1Agreement)) {
    found.push(`the same first class on ${percent(same)}, wanted ${percent(gate.top1Agreement)}`);
  }
  if (gate.sqnrDb !== undefined && sqnr !== null && !(sqnr >= gate.sqnrDb)) {
    found.push(`SQNR ${sqnr.toFixed(1)} dB, wanted ${gate.sqnrDb}`);
  }
  if (gate.confidentAgreement !== undefined && sure !== null && !(sure >= gate.confidentAgreement)) {
    found.push(`the same first class on ${percent(sure)} where the network is sure, wanted ${percent(gate.confidentAgreement)}`);
  }
  return found;
}

/** @param {number} value in 0..1 */
export function percent(value) {
  return `${(100 * value).toFixed(1)} %`;
}

/**
 * The reference where the output has something, elsewhere by how much it exceeds the least of those.
 * @param {ArrayLike<number>} reference
 * @param {ArrayLike<number>} output
 */
function largest(reference, output) {
  const least = Math.min(...Array.from(reference).filter((_, index) => output[index] > 0));
  return Array.from(reference, (value, index) => (output[index] > 0 ? value : Math.max(value - least, 0)));
}

/** @param {ArrayLike<number>} values */
function first(values) {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index] > values[best]) best = index;
  return best;
}

/** @param {ArrayLike<number>} values */
function margin(values) {
  const [one, other = 0] = Array.from(values).sort((a, b) => b - a);
  return one - other;
}

/** @param {boolean[]} values */
function share(values) {
  return values.filter(Boolean).length / values.length;
}

/** @param {ArrayLike<number>[]} rows */
function power(rows) {
  return rows.reduce((sum, row) => Array.from(row).reduce((total, value) => total + value * value, sum), 0);
}
