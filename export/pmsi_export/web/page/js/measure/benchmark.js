/** How long the network takes on this device. */

export const WARM_UP = 10;
export const RUNS = 50;

/**
 * @typedef {object} Latency milliseconds
 * @property {number[]} runs in their order
 * @property {number} median
 * @property {number} p10
 * @property {number} p90
 */

/**
 * The network alone, pixels in and probabilities out, on one image after the other.
 * @param {import("../network/classifier.js").Classifier} classifier
 * @param {(done: number) => void} [progress] of all runs
 * @returns {Promise<Latency>}
 */
export async function benchmark(classifier, progress, runs = RUNS, warmUp = WARM_UP) {
  const pixels = new Uint8Array(classifier.contract.input.shape.reduce((product, side) => product * side, 1));
  // No image has nothing but zeros, and multiplying by them may be fast.
  for (let index = 0; index < pixels.length; index++) pixels[index] = (index * 31 + (index >> 7)) & 0xff;
  const taken = [];
  for (let run = -warmUp; run < runs; run++) {
    const before = performance.now();
    await classifier.run(pixels);
    if (run >= 0) taken.push(performance.now() - before);
    // The page stays alive.
    if (run % 10 === 0) await new Promise((resolve) => setTimeout(resolve));
    progress?.(run + 1);
  }
  return { runs: taken, median: quantile(taken, 0.5), p10: quantile(taken, 0.1), p90: quantile(taken, 0.9) };
}

/**
 * Linear between the two nearest.
 * @param {number[]} values
 * @param {number} share
 */
export function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  return sorted[below] + (position - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}
