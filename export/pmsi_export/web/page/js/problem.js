/** Something a person can act on, in a sentence or two. */
export class Problem extends Error {}

/**
 * What to tell of an error, whatever threw it.
 * @param {unknown} error
 */
export function words(error) {
  return error instanceof Error ? error.message : String(error);
}
