/** What probabilities mean. */

/** @typedef {import("../contract/contract.js").Contract} Contract */
/** @typedef {{name: string, probability: number}} Ranked */

/** The share of answers that shall be right. */
export const RIGHT = 0.95;

/**
 * The most likely classes, the likeliest first.
 * @param {Contract} contract
 * @param {Float32Array} probabilities
 * @returns {Ranked[]}
 */
export function ranking({ classes }, probabilities, count = 5) {
  return Array.from(probabilities, (probability, index) => ({ name: classes[index], probability }))
    .filter(({ probability }) => probability > 0)
    .sort((one, other) => other.probability - one.probability)
    .slice(0, count);
}

/**
 * The first probability from which on so many answers are right as `RIGHT` says, or null where nobody measured it.
 * @param {Contract} contract
 */
export function threshold({ confidence }) {
  return confidence?.answers.find(({ right }) => right === RIGHT)?.threshold ?? null;
}

/**
 * The answer in words.
 * @param {Contract} contract
 * @param {Ranked[]} ranked
 * @param {number | null} unknownScore
 */
export function answer(contract, ranked, unknownScore = null) {
  const most = contract.confidence?.unknown?.threshold;
  if (unknownScore !== null && most !== undefined && unknownScore > most) return { sure: false, text: "None of these" };
  const [first, second] = ranked;
  const least = threshold(contract);
  const sure = least === null || first.probability >= least;
  return { sure, text: sure ? first.name : `Not sure: ${[first, second].filter(Boolean).map(({ name }) => name).join(" or ")}` };
}
