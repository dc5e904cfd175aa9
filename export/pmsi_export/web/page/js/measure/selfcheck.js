/** The golden samples through this browser's runtime, and the gate of the file's precision. */

import { agreement, gateOf, misses } from "./gate.js";
import { samplePixels } from "./golden.js";

/**
 * @param {import("../network/classifier.js").Classifier} classifier
 * @param {import("./golden.js").Golden} golden
 */
export async function selfCheck(classifier, golden) {
  const { precision, output } = classifier.contract;
  const outputs = [];
  for (const { png } of golden.samples) outputs.push(await classifier.run(await samplePixels(png)));
  const reference = golden.samples.map(({ probabilities }) => probabilities);
  const measured = agreement(outputs, reference, Boolean(output.top_k));
  const missed = misses(gateOf(precision), measured);
  return { measured, misses: missed, passed: missed.length === 0 };
}
