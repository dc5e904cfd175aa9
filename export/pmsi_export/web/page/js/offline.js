/** Without a network: the service worker keeps the page, its models and the build of the runtime that this browser takes. */

/**
 * Whether the page works without a network from now on.
 * @param {string[]} runtimeFiles
 */
export async function keepOffline(runtimeFiles) {
  try {
    await navigator.serviceWorker.register(new URL("../sw.js", import.meta.url));
  } catch {
    // Private windows keep nothing, some of them without saying so before.
    return false;
  }
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  /** @type {Promise<boolean>} */
  const kept = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data === true)));
  active?.postMessage(runtimeFiles, [port2]);
  return kept;
}
