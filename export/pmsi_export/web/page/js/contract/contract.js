/** The artifact contract in a .tflite file, held against its digests, itself and its file (export/README.md). */

import { Problem } from "../problem.js";
import { content, entries, text } from "./zip.js";

const SCHEMA_VERSION = 1;
const CONTRACT = "pmsi.json";
const LABELS = "labels.txt";
const DIGEST = /"contract_sha256": ?"([0-9a-f]{64})"/g;
const LARGEST_SIDE = 4096;
const AGAIN = "Export it again from its checkpoint.";

/** @typedef {"fp32" | "fp16" | "int8" | "int8-dynamic"} Precision */
/**
 * @typedef {object} Measured an exported file against the training network
 * @property {number} images
 * @property {number} max_abs_difference
 * @property {number} top1_agreement
 * @property {number | null} sqnr_db
 * @property {number | null} [top1]
 */
/**
 * @typedef {object} Confidence
 * @property {number} temperature
 * @property {number} photos
 * @property {number | null} [ece]
 * @property {{right: number, threshold: number, coverage: number}[]} answers
 * @property {{kept: number, threshold: number}} [unknown]
 */
/**
 * The fields that this page uses.
 * @typedef {object} Contract
 * @property {string} format
 * @property {Precision} precision
 * @property {{method: string, backbone: string, stages: number | null, heads: string | null, width: number | null,
 *   head?: string | null}} model
 * @property {{layout: string, shape: number[], dtype: "float32" | "uint8"}} input
 * @property {{shape: number[], top_k?: number | null, unknown_score?: string}} output
 * @property {string[]} classes
 * @property {{resize_rule: string, resize: number, crop_rule: string, crop: number}} preprocessing
 * @property {string} checkpoint_sha256
 * @property {string} created
 * @property {{status: string, gate: string, reason?: string | null, golden?: Measured | null,
 *   photos?: Measured | null}} parity
 * @property {Record<string, number> | null} [resizes]
 * @property {Confidence | null} [confidence]
 * @property {string} [content_sha256]
 * @property {string} [contract_sha256]
 */
/**
 * @typedef {object} Described
 * @property {Contract} contract
 * @property {boolean} sealed whether the contract has a digest of itself; files of 0.1.0 have none
 */

/**
 * The contract in a model's file. Throws a Problem for a file that is damaged, has none, or does not agree with it.
 * @param {Uint8Array} file
 * @returns {Promise<Described>}
 */
export async function readContract(file) {
  const added = new Map(
    entries(file)
      .slice(-2)
      .map((entry) => [entry.name, entry]),
  );
  const [json, labels] = [added.get(CONTRACT), added.get(LABELS)];
  if (!json || !labels) throw new Problem(`It has no contract: it is cut off or not from pmsi-export. ${AGAIN}`);
  const described = await parseContract(text(await content(file, json)));
  const { contract } = described;
  if (text(await content(file, labels)) !== contract.classes.map((name) => `${name}\n`).join("")) {
    throw new Problem("It is damaged: its labels are not the classes of its contract.");
  }
  if (contract.content_sha256 !== (await sha256(file.subarray(0, labels.start)))) {
    throw new Problem(`It has changed since it was exported, or has the contract of another file. ${AGAIN}`);
  }
  return described;
}

/**
 * @param {string} json
 * @returns {Promise<Described>}
 */
export async function parseContract(json) {
  /** @type {unknown} */
  let root;
  try {
    root = JSON.parse(json);
  } catch {
    throw new Problem("Its contract is no JSON.");
  }
  const fields = /** @type {Record<string, unknown>} */ (root instanceof Object ? root : {});
  const version = fields.schema_version;
  if (typeof version === "number" && version > SCHEMA_VERSION) {
    throw new Problem(`It has contract version ${version}, this page reads ${SCHEMA_VERSION}. Make the page again.`);
  }
  const sealed = await isSealed(json);
  // A digest that is written otherwise than the rule says is no protection.
  if (sealed === false || (sealed === null && fields.contract_sha256)) {
    throw new Problem(`It is damaged: its contract has changed since it was written. ${AGAIN}`);
  }
  const problem = version === SCHEMA_VERSION ? contradiction(fields) : "it has no version";
  if (problem) throw new Problem(`Its contract cannot be used: ${problem}. ${AGAIN}`);
  return { contract: /** @type {Contract} */ (root), sealed: sealed === true };
}

/**
 * Whether a contract's text has the SHA-256 of itself, with that value empty; null where it names none.
 * @param {string} json
 */
export async function isSealed(json) {
  const digests = [...json.matchAll(DIGEST)];
  if (digests.length === 0) return null;
  if (digests.length > 1) return false;
  const [[whole, digest]] = digests;
  const unsealed = json.replace(whole, () => whole.replace(digest, ""));
  return digest === (await sha256(new TextEncoder().encode(unsealed)));
}

/**
 * What of a contract is missing or contradicts itself, in words; null where nothing does.
 * @param {Record<string, any>} fields
 */
function contradiction(fields) {
  const { classes, input, output, preprocessing, model, parity, checkpoint_sha256: checkpoint } = fields;
  if (![input, output, preprocessing, model, parity].every((part) => part instanceof Object) || !checkpoint) {
    return "a part of it is missing";
  }
  const named = Array.isArray(classes) && classes.every((name) => typeof name === "string");
  if (!named || classes.length === 0 || new Set(classes).size < classes.length) return "its classes are no list of names";
  if (fields.format !== "tflite") return `it is that of a ${fields.format} file`;
  const { resize, crop } = preprocessing;
  const whole = Number.isInteger(resize) && Number.isInteger(crop);
  if (!whole || crop < 1 || crop > resize || resize > LARGEST_SIDE) return `sizes ${resize} and ${crop} do not fit`;
  if (input.layout !== "NHWC" || String(input.shape) !== String([1, crop, crop, 3])) {
    return `an input of ${input.layout} ${input.shape} does not fit a crop of ${crop}`;
  }
  if (input.dtype !== (fields.precision === "int8" ? "uint8" : "float32")) {
    return `an input of ${input.dtype} does not fit the precision ${fields.precision}`;
  }
  const given = output.top_k ?? classes.length;
  if (given > classes.length || String(output.shape) !== String([1, given])) {
    return `an output of ${output.shape} does not fit ${classes.length} classes`;
  }
  return null;
}

/** @param {Uint8Array} bytes */
export async function sha256(bytes) {
  const digest = await crypto.subtle.digest("SHA-256", /** @type {Uint8Array<ArrayBuffer>} */ (bytes));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
