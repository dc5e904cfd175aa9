/** Zip archives (APPNOTE.TXT, 4.3), in place in a file that may begin with something else. */

import { Problem } from "../problem.js";

const END = 0x06054b50;
const END_SIZE = 22;
const ENTRY = 0x02014b50;
const ENTRY_SIZE = 46;
const LOCAL = 0x04034b50;
const LOCAL_SIZE = 30;
const STORED = 0;
const DEFLATED = 8;
/** Bytes that an entry may inflate to: far more than a contract or a golden sample has. */
const LIMIT = 32 << 20;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/**
 * @typedef {object} Entry
 * @property {string} name
 * @property {number} start of its local header in the file
 * @property {number} method
 * @property {number} packed bytes in the file
 * @property {number} size bytes when inflated
 * @property {number} crc
 */

/**
 * The entries of the archive at the end of a file, in its order; none for a file that does not end as a zip does.
 * @param {Uint8Array} file
 * @returns {Entry[]}
 */
export function entries(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const end = file.length - END_SIZE;
  if (end < 0 || view.getUint32(end, true) !== END) return [];
  return readable(() => {
    let position = view.getUint32(end + 16, true);
    return Array.from({ length: view.getUint16(end + 10, true) }, () => {
      if (view.getUint32(position, true) !== ENTRY) throw new RangeError("no entry");
      const nameLength = view.getUint16(position + 28, true);
      const entry = {
        name: text(file.subarray(position + ENTRY_SIZE, position + ENTRY_SIZE + nameLength)),
        start: view.getUint32(position + 42, true),
        method: view.getUint16(position + 10, true),
        packed: view.getUint32(position + 20, true),
        size: view.getUint32(position + 24, true),
        crc: view.getUint32(position + 16, true),
      };
      position += ENTRY_SIZE + nameLength + view.getUint16(position + 30, true) + view.getUint16(position + 32, true);
      return entry;
    });
  });
}

/**
 * The content of an entry, held against its checksum.
 * @param {Uint8Array} file
 * @param {Entry} entry
 */
export async function content(file, entry) {
  const packed = readable(() => {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    if (view.getUint32(entry.start, true) !== LOCAL) throw new RangeError("no local header");
    const names = view.getUint16(entry.start + 26, true) + view.getUint16(entry.start + 28, true);
    const start = entry.start + LOCAL_SIZE + names;
    if (start + entry.packed > file.length) throw new RangeError("cut off");
    return file.subarray(start, start + entry.packed);
  });
  if (entry.size > LIMIT) throw new Problem(`It is damaged: an entry has more than ${LIMIT >> 20} MB.`);
  const unpacked = await inflated(packed, entry);
  if (unpacked.length !== entry.size || crc32(unpacked) !== entry.crc) {
    throw new Problem(`It is damaged: its entry ${entry.name} has changed.`);
  }
  return unpacked;
}

/**
 * UTF-8, with nothing taken away or replaced.
 * @param {Uint8Array} bytes
 */
export function text(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Problem("It is damaged: text in it is not UTF-8.");
  }
}

/**
 * @param {Uint8Array} packed
 * @param {Entry} entry
 */
async function inflated(packed, entry) {
  if (entry.method === STORED) return packed;
  if (entry.method !== DEFLATED) throw new Problem(`It is damaged: its entry ${entry.name} is packed otherwise.`);
  const unpacked = new Uint8Array(entry.size);
  let length = 0;
  const reader = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (packed)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate-raw"))
    .getReader();
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      // More than it says that it is: `set` throws.
      unpacked.set(chunk.value, length);
      length += chunk.value.length;
    }
  } catch {
    throw new Problem(`It is damaged: its entry ${entry.name} cannot be unpacked.`);
  }
  return unpacked.subarray(0, length);
}

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * @template T
 * @param {() => T} read
 */
function readable(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw new Problem("It is cut off or damaged.");
    throw error;
  }
}
