/** The answer and the most likely classes with their bars. */

import { element } from "../dom.js";
import { percent } from "../measure/gate.js";
import { answer, ranking } from "../network/answer.js";

/**
 * @param {{verdict: Element, list: Element}} parts
 * @param {import("../contract/contract.js").Contract} contract
 * @param {import("../network/classifier.js").Result} result
 */
export function showAnswer({ verdict, list }, contract, { probabilities, unknownScore }) {
  const ranked = ranking(contract, probabilities);
  const { sure, text } = answer(contract, ranked, unknownScore);
  verdict.textContent = text;
  verdict.classList.toggle("unsure", !sure);
  list.replaceChildren(
    ...ranked.map(({ name, probability }) => {
      const bar = element("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", String(probability));
      const label = element("span", { class: "name" }, name);
      return element("li", {}, label, element("span", { class: "percent" }, percent(probability)), bar);
    }),
  );
}

/**
 * @param {{verdict: Element, list: Element}} parts
 * @param {string} message
 */
export function showNoAnswer({ verdict, list }, message) {
  verdict.textContent = message;
  verdict.classList.add("unsure");
  list.replaceChildren();
}

/**
 * Draw what the network sees of a picture: the middle, of both sides the same share.
 * @param {HTMLElement} frame
 * @param {import("../contract/contract.js").Contract} contract
 */
export function showCrop(frame, { preprocessing: { resize, crop } }) {
  frame.style.setProperty("--seen", String(crop / resize));
}
