/** A model that is open: pictures in, probabilities out, one after the other. */

import { Resizer } from "../image/resize.js";
import { Problem } from "../problem.js";

/** @typedef {import("../contract/contract.js").Contract} Contract */
/**
 * @typedef {object} Result
 * @property {Float32Array} probabilities of every class; what a top-k file does not give is 0
 * @property {number | null} unknownScore null of a file that does not give it
 * @property {{pixels: number, network: number}} milliseconds
 */

export class Classifier {
  #network;
  #resizer;
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * @param {Contract} contract
   * @param {import("./litert.js").Network} network
   */
  constructor(contract, network) {
    this.contract = contract;
    this.#network = network;
    this.#resizer = new Resizer(contract.preprocessing.resize, contract.preprocessing.crop);
  }

  /**
   * @param {import("../image/resize.js").Picture} picture
   * @returns {Promise<Result>}
   */
  classify(picture) {
    return this.#inTurn(async () => {
      const before = performance.now();
      const pixels = this.#resizer.pixels(picture);
      const between = performance.now();
      const answer = await this.#run(pixels);
      return { ...answer, milliseconds: { pixels: between - before, network: performance.now() - between } };
    });
  }

  /**
   * The probabilities of pixels that are the network's already.
   * @param {Uint8Array} pixels
   */
  run(pixels) {
    return this.#inTurn(async () => (await this.#run(pixels)).probabilities);
  }

  close() {
    return this.#inTurn(async () => this.#network.close());
  }

  /** @param {Uint8Array} pixels */
  async #run(pixels) {
    const { input, output, classes } = this.contract;
    const image = input.dtype === "uint8" ? pixels : Float32Array.from(pixels);
    const { probabilities, indices, unknown_score: score } = await this.#network.run(image, input.shape);
    if (probabilities?.length !== output.shape[1]) {
      throw new Problem(`It gives ${probabilities?.length ?? "no"} probabilities, its contract says ${output.shape[1]}.`);
    }
    const unknownScore = output.unknown_score ? (score?.[0] ?? NaN) : null;
    if (![...probabilities, unknownScore ?? 0].every(Number.isFinite)) {
      throw new Problem("What it gives are no numbers: its training diverged.");
    }
    if (!indices) return { probabilities: /** @type {Float32Array} */ (probabilities), unknownScore };
    const all = new Float32Array(classes.length);
    indices.forEach((index, position) => (all[index] = probabilities[position]));
    return { probabilities: all, unknownScore };
  }

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  #inTurn(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
