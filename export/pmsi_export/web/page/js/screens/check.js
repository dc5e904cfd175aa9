/** The self-check: does this browser compute what the training network computed? */

import { byId, describe } from "../dom.js";
import { percent } from "../measure/gate.js";
import { selfCheck } from "../measure/selfcheck.js";
import { words } from "../problem.js";

/** @typedef {import("../session.js").Opened} Opened */

export class CheckScreen {
  #button = byId("check-button", HTMLButtonElement);
  #verdict = byId("check-verdict", HTMLElement);
  #table = byId("check-table", HTMLElement);
  /** @type {Opened | undefined} */
  #opened;

  constructor() {
    this.#button.addEventListener("click", () => void this.#check());
  }

  /** @param {Opened} opened */
  use(opened) {
    this.#opened = opened;
    this.#button.disabled = opened.golden === null;
    this.#table.replaceChildren();
    this.#say(opened.golden ? "" : "There are no golden samples for this model: drop its .golden.zip here.", "");
  }

  async #check() {
    const opened = this.#opened;
    if (!opened?.golden) return;
    this.#button.disabled = true;
    try {
      const { measured, misses, passed } = await selfCheck(opened.classifier, opened.golden);
      if (this.#opened !== opened) return;
      const gate = `the gate of ${opened.contract.precision}`;
      this.#say(passed ? `Passed ${gate}.` : `Missed ${gate}: ${misses.join("; ")}.`, passed ? "passed" : "failed");
      const { images, maxAbsDifference, top1Agreement, sqnrDb, confidentImages, confidentAgreement } = measured;
      describe(this.#table, [
        ["golden samples", String(images)],
        ["largest difference", maxAbsDifference.toExponential(1)],
        ["same first class", percent(top1Agreement)],
        ["… where the network is sure", confidentAgreement === null ? "nowhere" : `${percent(confidentAgreement)} of ${confidentImages}`],
        ["SQNR", sqnrDb === null ? "no difference" : `${sqnrDb.toFixed(1)} dB`],
      ]);
    } catch (error) {
      if (this.#opened === opened) this.#say(words(error), "failed");
    } finally {
      this.#button.disabled = !this.#opened?.golden;
    }
  }

  /**
   * @param {string} sentence
   * @param {string} outcome
   */
  #say(sentence, outcome) {
    this.#verdict.textContent = sentence;
    this.#verdict.dataset.outcome = outcome;
  }
}
