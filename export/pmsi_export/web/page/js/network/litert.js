/** LiteRT.js, the runtime in `runtime/`, on the processor. */

import { Problem, words } from "../problem.js";

const WASM = new URL("../../runtime/core/wasm/", import.meta.url);
const MORE_THREADS_HELP_NO_MORE = 4;

/**
 * @typedef {object} Runtime
 * @property {string} build which of LiteRT's builds this browser takes
 * @property {number} threads
 * @property {string[]} files those that a page without a network needs
 * @property {(model: Uint8Array) => Promise<Network>} open
 */
/**
 * One image in, the outputs by their names.
 * @typedef {object} Network
 * @property {(pixels: Uint8Array | Float32Array, shape: number[]) => Promise<Record<string, Float32Array | Int32Array>>} run
 * @property {() => void} close
 */

/**
 * Throws a Problem where the browser has no WebAssembly for it.
 * @returns {Promise<Runtime>}
 */
export async function loadRuntime() {
  const { loadAndCompile, loadLiteRt, supportsFeature, Tensor } = await import("@litertjs/core");
  const build = await buildFor(supportsFeature);
  // Where its loader looks for Emscripten's options. Its log would all be errors of the console.
  Object.assign(self, { Module: { printErr: complain } });
  const files = ["js", "wasm"].map((suffix) => new URL(`litert_wasm_${build}.${suffix}`, WASM).href);
  try {
    await loadLiteRt(files[0]);
  } catch (error) {
    throw new Problem(`LiteRT.js does not start in this browser: ${words(error)}. Take a newer browser.`);
  }
  const threads = build === "threaded_internal" ? Math.min(navigator.hardwareConcurrency, MORE_THREADS_HELP_NO_MORE) : 1;

  /** @param {Uint8Array} model */
  async function open(model) {
    const compiled = await compile(model);
    return {
      /** @type {Network["run"]} */
      async run(pixels, shape) {
        const image = new Tensor(pixels, shape);
        try {
          const outputs = await compiled.run({ image });
          return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, taken(tensor)]));
        } finally {
          image.delete();
        }
      },
      close: () => compiled.delete(),
    };
  }

  /** @param {Uint8Array} model */
  async function compile(model) {
    try {
      return await loadAndCompile(model, { accelerator: "wasm", cpuOptions: { numThreads: threads } });
    } catch (error) {
      throw new Problem(`LiteRT.js does not take it: ${words(error)}`);
    }
  }

  return { build, threads, files, open };
}

/**
 * The fastest build that this browser runs: SIMD whose products may be rounded as the processor does, threads where the
 * page is alone with its origin (COOP and COEP).
 * @param {(feature: "relaxedSimd" | "threads") => Promise<boolean>} supportsFeature
 */
async function buildFor(supportsFeature) {
  if (!(await supportsFeature("relaxedSimd"))) return "compat_internal";
  return self.crossOriginIsolated && (await supportsFeature("threads")) ? "threaded_internal" : "internal";
}

/** @param {string} line of LiteRT's log */
function complain(line) {
  if (!/^(INFO|WARNING|VERBOSE)/.test(line)) console.error(line);
}

/**
 * A tensor's values, in memory of their own; the tensor is gone.
 * @param {import("@litertjs/core").Tensor} tensor
 */
function taken(tensor) {
  try {
    return tensor.toTypedArray().slice();
  } finally {
    tensor.delete();
  }
}
