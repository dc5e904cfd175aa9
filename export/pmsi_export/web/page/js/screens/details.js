/** What the model's contract says. */

import { byId, describe, element } from "../dom.js";
import { percent } from "../measure/gate.js";
import { RIGHT } from "../network/answer.js";

/** @typedef {import("../session.js").Opened} Opened */
/** @typedef {import("../contract/contract.js").Contract} Contract */

export class DetailsScreen {
  #table = byId("details-table", HTMLElement);
  #classes = byId("details-classes", HTMLElement);
  #count = byId("details-count", HTMLElement);

  /** @param {Opened} opened */
  use({ name, bytes, contract, sealed, runtime }) {
    const { model, preprocessing, parity, classes, output } = contract;
    const heads = model.stages ? `, ${model.stages} stages, ${model.heads} heads, width ${model.width}` : "";
    const measured = parity.photos ?? parity.golden;
    describe(this.#table, [
      ["file", `${name}, ${(bytes / 1e6).toFixed(1)} MB`],
      ["network", `${model.method}, ${model.backbone}${heads}`],
      ["precision", contract.precision],
      ["input", `${preprocessing.crop} x ${preprocessing.crop} pixels, the middle of ${preprocessing.resize} x ${preprocessing.resize}`],
      ["output", output.top_k ? `the ${output.top_k} largest probabilities` : "a probability for each class"],
      ["export's gate", `${parity.status}${parity.reason ? `: ${parity.reason}` : ""}`],
      ...accuracy(measured),
      ["sure from", certainty(contract)],
      ...noneOfThese(contract),
      ["exported", contract.created.slice(0, 10)],
      ["contract", sealed ? "unchanged since it was exported" : "not protected: written by an earlier version"],
      ["runtime", runtime],
    ]);
    this.#count.textContent = `${classes.length} classes`;
    this.#classes.replaceChildren(...classes.map((label) => element("li", {}, label)));
  }
}

/**
 * @param {import("../contract/contract.js").Measured | null | undefined} measured
 * @returns {[string, string][]}
 */
function accuracy(measured) {
  if (!measured) return [];
  const top1 = measured.top1 === null || measured.top1 === undefined ? "" : `, ${percent(measured.top1)} of them right`;
  return [["measured on", `${measured.images} photos${top1}`]];
}

/**
 * @param {Contract} contract
 * @returns {[string, string][]}
 */
function noneOfThese({ confidence, output }) {
  if (!output.unknown_score) return [];
  if (!confidence?.unknown) return [["none of these", "no threshold: the page cannot say when it is no class"]];
  const { kept, threshold } = confidence.unknown;
  return [["none of these", `above a score of ${threshold.toFixed(2)}, which keeps ${percent(kept)} of the classes' photos`]];
}

/** @param {Contract} contract */
function certainty(contract) {
  const promise = contract.confidence?.answers.find(({ right }) => right === RIGHT);
  if (!promise) return "not measured: the page cannot say when it is not sure";
  const promised = `at least ${percent(RIGHT)} of such answers are right, for photos of the kind that this was measured on`;
  return `${percent(promise.threshold)}: ${promised}; ${percent(promise.coverage)} of ${contract.confidence?.photos} had one`;
}
