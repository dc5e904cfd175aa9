/** One photo. */

import { byId, inMilliseconds } from "../dom.js";
import { readPhoto } from "../image/photo.js";
import { words } from "../problem.js";
import { showAnswer, showCrop, showNoAnswer } from "./answers.js";

/** @typedef {import("../session.js").Opened} Opened */

export class PhotoScreen {
  #canvas = byId("photo-canvas", HTMLCanvasElement);
  #frame = byId("photo-frame", HTMLElement);
  #time = byId("photo-time", HTMLElement);
  #parts = { verdict: byId("photo-verdict", HTMLElement), list: byId("photo-ranking", HTMLElement) };
  /** @type {Opened | undefined} */
  #opened;
  /** @type {ImageData | undefined} */
  #photo;

  constructor() {
    const input = byId("photo-input", HTMLInputElement);
    input.addEventListener("change", () => {
      if (input.files?.[0]) void this.read(input.files[0]);
      input.value = "";
    });
  }

  /** @param {Opened} opened */
  use(opened) {
    this.#opened = opened;
    showCrop(this.#frame, opened.contract);
    void this.#classify();
  }

  /** @param {Blob} file */
  async read(file) {
    this.#photo = undefined;
    try {
      this.#photo = await readPhoto(file);
    } catch (error) {
      showNoAnswer(this.#parts, words(error));
      return;
    }
    const { width, height } = this.#photo;
    Object.assign(this.#canvas, { width, height });
    this.#canvas.getContext("2d")?.putImageData(this.#photo, 0, 0);
    this.#canvas.parentElement?.classList.add("live");
    await this.#classify();
  }

  async #classify() {
    const [opened, photo] = [this.#opened, this.#photo];
    if (!opened || !photo) return;
    try {
      const result = await opened.classifier.classify(photo);
      if (this.#photo !== photo || this.#opened !== opened) return;
      showAnswer(this.#parts, opened.contract, result);
      const { pixels, network } = result.milliseconds;
      this.#time.textContent = `${inMilliseconds(pixels)} to resize, ${inMilliseconds(network)} the network`;
    } catch (error) {
      if (this.#opened === opened) showNoAnswer(this.#parts, words(error));
    }
  }
}
