/** Photos and frames as pixels. */

import { Problem } from "../problem.js";

/** Pixels of a canvas that every browser has (Safari on a phone: 16.7 million). */
const LARGEST = 16_000_000;

/**
 * A photo's pixels: upright, in sRGB, transparency over white.
 * @param {Blob} file
 * @returns {Promise<ImageData>}
 */
export async function readPhoto(file) {
  /** @type {ImageBitmap} */
  let photo;
  try {
    photo = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Problem("This browser cannot read it as a photo. Convert it to JPEG or PNG.");
  }
  const shrink = Math.min(1, Math.sqrt(LARGEST / (photo.width * photo.height)));
  const [width, height] = [photo.width, photo.height].map((side) => Math.max(1, Math.floor(side * shrink)));
  const context = drawing(width, height);
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(photo, 0, 0, width, height);
  photo.close();
  return context.getImageData(0, 0, width, height);
}

/** Frames of a video, one after the other. */
export class Frames {
  #context = drawing(1, 1);

  /**
   * The frame that a video shows now.
   * @param {HTMLVideoElement} video
   * @returns {ImageData}
   */
  read(video) {
    const { videoWidth: width, videoHeight: height } = video;
    const { canvas } = this.#context;
    if (canvas.width !== width || canvas.height !== height) this.#context = drawing(width, height);
    this.#context.drawImage(video, 0, 0);
    return this.#context.getImageData(0, 0, width, height);
  }
}

/**
 * @param {number} width
 * @param {number} height
 */
function drawing(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Problem("This browser has no memory left for a picture. Close other pages.");
  context.imageSmoothingQuality = "high";
  return context;
}
