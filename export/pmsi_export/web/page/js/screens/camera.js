/** What the camera sees, as fast as the network answers. */

import { byId, inMilliseconds } from "../dom.js";
import { Frames } from "../image/photo.js";
import { words } from "../problem.js";
import { showAnswer, showCrop, showNoAnswer } from "./answers.js";

/** @typedef {import("../session.js").Opened} Opened */

const HINT = "Hold what is to be named inside the frame.";
const SMALLEST = { width: 640, height: 480 };

export class CameraScreen {
  #video = byId("camera-video", HTMLVideoElement);
  #button = byId("camera-button", HTMLButtonElement);
  #frame = byId("camera-frame", HTMLElement);
  #time = byId("camera-time", HTMLElement);
  #parts = { verdict: byId("camera-verdict", HTMLElement), list: byId("camera-ranking", HTMLElement) };
  #frames = new Frames();
  #shown = false;
  #wanted = false;
  /** @type {Opened | undefined} */
  #opened;
  /** @type {MediaStream | undefined} */
  #stream;

  constructor() {
    this.#button.addEventListener("click", () => {
      this.#wanted = !this.#wanted;
      void this.#update();
    });
    document.addEventListener("visibilitychange", () => void this.#update());
  }

  /** @param {Opened} opened */
  use(opened) {
    this.#opened = opened;
    showCrop(this.#frame, opened.contract);
    void this.#update();
  }

  show() {
    this.#shown = true;
    void this.#update();
  }

  hide() {
    this.#shown = false;
    void this.#update();
  }

  async #update() {
    const on = this.#wanted && this.#shown && !document.hidden && this.#opened !== undefined;
    this.#button.textContent = this.#wanted ? "Stop" : "Start the camera";
    if (!on) this.#stop();
    else if (!this.#stream) await this.#start();
  }

  async #start() {
    if (!navigator.mediaDevices) {
      this.#refuse("A browser opens the camera on https pages and on localhost only.");
      return;
    }
    const stream = (this.#stream = new MediaStream());
    try {
      const side = this.#opened?.contract.preprocessing.resize ?? 0;
      const camera = await navigator.mediaDevices.getUserMedia({
        video: {
          facingMode: { ideal: "environment" },
          width: { ideal: Math.max(SMALLEST.width, Math.ceil((side * 4) / 3)) },
          height: { ideal: Math.max(SMALLEST.height, side) },
        },
      });
      camera.getTracks().forEach((track) => stream.addTrack(track));
      if (this.#stream !== stream) {
        stop(stream);
        return;
      }
      this.#video.srcObject = stream;
      await this.#video.play();
      this.#video.parentElement?.classList.add("live");
    } catch (error) {
      if (this.#stream === stream) this.#refuse(`The camera does not open: ${words(error)}. Allow it for this page.`);
      return;
    }
    await this.#run(stream);
  }

  /** @param {MediaStream} stream */
  async #run(stream) {
    while (this.#stream === stream) {
      await nextFrame(this.#video);
      const opened = this.#opened;
      if (this.#stream !== stream || !opened || !this.#video.videoWidth) continue;
      try {
        const before = performance.now();
        const picture = this.#frames.read(this.#video);
        const result = await opened.classifier.classify(picture);
        if (this.#stream !== stream || this.#opened !== opened) continue;
        showAnswer(this.#parts, opened.contract, result);
        const whole = inMilliseconds(performance.now() - before);
        this.#time.textContent = `${whole} a frame, ${inMilliseconds(result.milliseconds.network)} of it the network`;
      } catch (error) {
        if (this.#opened === opened) this.#refuse(words(error));
      }
    }
  }

  /** @param {string} message */
  #refuse(message) {
    this.#wanted = false;
    void this.#update();
    showNoAnswer(this.#parts, message);
  }

  #stop() {
    if (this.#stream) stop(this.#stream);
    this.#stream = undefined;
    this.#video.srcObject = null;
    this.#video.parentElement?.classList.remove("live");
    this.#time.textContent = HINT;
  }
}

/** @param {MediaStream} stream */
function stop(stream) {
  stream.getTracks().forEach((track) => track.stop());
}

/** @param {HTMLVideoElement} video */
function nextFrame(video) {
  return new Promise((resolve) => {
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
    // A camera that gives no frame any more must not hold the loop.
    setTimeout(resolve, 500);
  });
}
