/** Models: those of this page, and those that are dropped on it. */

import { readContract } from "./contract/contract.js";
import { belongsTo, readGolden } from "./measure/golden.js";
import { Classifier } from "./network/classifier.js";
import { loadRuntime } from "./network/litert.js";
import { Problem } from "./problem.js";

/**
 * A model that is open.
 * @typedef {object} Opened
 * @property {string} name of its file
 * @property {number} bytes
 * @property {import("./contract/contract.js").Contract} contract
 * @property {boolean} sealed
 * @property {Classifier} classifier
 * @property {import("./measure/golden.js").Golden | null} golden
 * @property {string} runtime in words
 */
/**
 * What `site.json` says: files in `models/`.
 * @typedef {{models: {file: string, golden: string | null}[], runtime: string}} Site
 */

export class Session {
  /** @type {Site} */
  #site;
  /** @type {import("./network/litert.js").Runtime} */
  #runtime;
  /** @type {import("./measure/golden.js").Golden[]} */
  #golden = [];
  /** @type {Opened | undefined} */
  opened;

  /**
   * @param {Site} site
   * @param {import("./network/litert.js").Runtime} runtime
   */
  constructor(site, runtime) {
    this.#site = site;
    this.#runtime = runtime;
  }

  static async start() {
    if (!isSecureContext) throw new Problem("A browser runs this page on https and on localhost only.");
    const site = /** @type {Site} */ (await (await fetched("site.json")).json());
    return new Session(site, await loadRuntime());
  }

  /** Names of the page's own models. */
  get models() {
    return this.#site.models.map(({ file }) => file);
  }

  /** What the page needs without a network beside what is always kept. */
  get runtimeFiles() {
    return this.#runtime.files;
  }

  /**
   * Open one of the page's own models.
   * @param {string} name
   */
  async openOwn(name) {
    const golden = this.#site.models.find(({ file }) => file === name)?.golden;
    if (golden) await this.addGolden(await downloaded(`models/${golden}`));
    return this.openModel(name, await downloaded(`models/${name}`));
  }

  /**
   * @param {string} name
   * @param {Uint8Array} bytes
   * @returns {Promise<Opened>}
   */
  async openModel(name, bytes) {
    const { contract, sealed } = await readContract(bytes);
    const network = await this.#runtime.open(bytes);
    const golden = this.#golden.find((samples) => belongsTo(samples, contract)) ?? null;
    const { build, threads } = this.#runtime;
    const kind = build === "compat_internal" ? "SIMD" : "relaxed SIMD";
    const runtime = `${this.#site.runtime}, ${threads === 1 ? "1 thread" : `${threads} threads`}, ${kind}`;
    this.opened = { name, bytes: bytes.length, contract, sealed, classifier: new Classifier(contract, network), golden, runtime };
    return this.opened;
  }

  /**
   * Golden samples for a model that is open or will be.
   * @param {Uint8Array} bytes
   */
  async addGolden(bytes) {
    const golden = await readGolden(bytes);
    this.#golden.unshift(golden);
    if (this.opened && belongsTo(golden, this.opened.contract)) this.opened = { ...this.opened, golden };
  }
}

/** @param {string} path */
async function downloaded(path) {
  return new Uint8Array(await (await fetched(path)).arrayBuffer());
}

/** @param {string} path */
async function fetched(path) {
  const response = await fetch(new URL(`../${path}`, import.meta.url));
  if (!response.ok) throw new Problem(`${path} is not there (${response.status}): make the page again.`);
  return response;
}
