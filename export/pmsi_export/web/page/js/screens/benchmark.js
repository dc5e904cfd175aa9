/** The network's latency on this device. */

import { byId, describe, element, inMilliseconds } from "../dom.js";
import { benchmark, RUNS, WARM_UP } from "../measure/benchmark.js";
import { words } from "../problem.js";

/** @typedef {import("../session.js").Opened} Opened */

const BARS = 24;

export class BenchmarkScreen {
  #button = byId("benchmark-button", HTMLButtonElement);
  #median = byId("benchmark-median", HTMLElement);
  #bars = byId("benchmark-bars", HTMLElement);
  #table = byId("benchmark-table", HTMLElement);
  #progress = byId("benchmark-progress", HTMLProgressElement);
  /** @type {Opened | undefined} */
  #opened;

  constructor() {
    this.#button.addEventListener("click", () => void this.#measure());
  }

  /** @param {Opened} opened */
  use(opened) {
    this.#opened = opened;
    this.#median.textContent = "";
    this.#bars.replaceChildren();
    this.#table.replaceChildren();
  }

  async #measure() {
    const opened = this.#opened;
    if (!opened) return;
    this.#button.disabled = true;
    this.#progress.hidden = false;
    try {
      const latency = await benchmark(opened.classifier, (done) => (this.#progress.value = Math.max(0, done) / RUNS));
      if (this.#opened === opened) this.#show(latency, opened);
    } catch (error) {
      if (this.#opened === opened) this.#median.textContent = words(error);
    } finally {
      this.#progress.hidden = true;
      this.#button.disabled = false;
    }
  }

  /**
   * @param {import("../measure/benchmark.js").Latency} latency
   * @param {Opened} opened
   */
  #show({ runs, median, p10, p90 }, { runtime }) {
    this.#median.textContent = inMilliseconds(median);
    const [least, most] = [Math.min(...runs), Math.max(...runs)];
    const counts = new Array(BARS).fill(0);
    for (const run of runs) counts[Math.min(BARS - 1, Math.floor(((run - least) / (most - least || 1)) * BARS))] += 1;
    this.#bars.setAttribute("aria-label", `From ${inMilliseconds(least)} to ${inMilliseconds(most)}`);
    this.#bars.replaceChildren(
      ...counts.map((count) => {
        const bar = element("span");
        bar.style.setProperty("--share", String(count / Math.max(...counts)));
        return bar;
      }),
    );
    describe(this.#table, [
      ["median", inMilliseconds(median)],
      ["10 to 90 % of the runs", `${inMilliseconds(p10)} to ${inMilliseconds(p90)}`],
      ["shortest, longest", `${inMilliseconds(least)}, ${inMilliseconds(most)}`],
      ["runs", `${RUNS} after ${WARM_UP} to warm up`],
      ["runtime", runtime],
    ]);
  }
}
