/** Golden samples: photos as the network takes them, with the probabilities that the training network gives. */

import { content, entries, text } from "../contract/zip.js";
import { readPhoto } from "../image/photo.js";
import { Problem } from "../problem.js";

/**
 * @typedef {object} Golden
 * @property {string} checkpoint_sha256
 * @property {string | null} head
 * @property {number} side
 * @property {{png: Uint8Array, probabilities: number[]}[]} samples
 */

/**
 * Read a `.golden.zip`.
 * @param {Uint8Array} file
 * @returns {Promise<Golden>}
 */
export async function readGolden(file) {
  const found = new Map(entries(file).map((entry) => [entry.name, entry]));
  /** @param {string} name */
  const named = (name) => {
    const entry = found.get(name);
    if (!entry) throw new Problem(`It holds no golden samples: ${name} is missing.`);
    return content(file, entry);
  };
  const index = parse(text(await named("golden.json")));
  const samples = [];
  for (const { image, probabilities } of index.samples) {
    if (probabilities.length !== index.classes) throw new Problem(`It is damaged: sample ${image} is not complete.`);
    const png = await named(image);
    if (!isPng(png, index.side)) throw new Problem(`It is damaged: ${image} is not ${index.side} x ${index.side} pixels.`);
    samples.push({ png, probabilities });
  }
  return { checkpoint_sha256: index.checkpoint_sha256, head: index.head, side: index.side, samples };
}

/**
 * Whether they are those of the network in a file with this contract.
 * @param {Golden} golden
 * @param {import("../contract/contract.js").Contract} contract
 */
export function belongsTo(golden, contract) {
  return (
    golden.checkpoint_sha256 === contract.checkpoint_sha256 &&
    golden.head === (contract.model.head ?? null) &&
    golden.side === contract.preprocessing.crop &&
    golden.samples.every(({ probabilities }) => probabilities.length === contract.classes.length)
  );
}

/**
 * R, G and B of a sample's pixels, row by row.
 * @param {Uint8Array} png
 */
export async function samplePixels(png) {
  const { data } = await readPhoto(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (png)], { type: "image/png" }));
  return Uint8Array.from(data).filter((_, index) => index % 4 !== 3);
}

/**
 * Whether a PNG begins here, of side x side pixels (PNG specification, 5.2 and 11.2.1), before a browser decodes it.
 * @param {Uint8Array} bytes
 * @param {number} side
 */
function isPng(bytes, side) {
  if (bytes.length < 24) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getBigUint64(0) === 0x89504e470d0a1a0an && view.getUint32(16) === side && view.getUint32(20) === side;
}

/**
 * @param {string} json
 * @returns {{checkpoint_sha256: string, head: string | null, side: number, classes: number,
 *   samples: {image: string, probabilities: number[]}[]}}
 */
function parse(json) {
  try {
    const index = JSON.parse(json);
    if (index.samples.length > 0 && index.samples.every((/** @type {any} */ sample) => Array.isArray(sample.probabilities))) {
      return index;
    }
  } catch {
    // The same to a reader.
  }
  throw new Problem("It is damaged: golden.json cannot be read.");
}
