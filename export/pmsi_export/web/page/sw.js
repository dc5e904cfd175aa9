/**
 * The service worker: everything comes from what was kept, the network only brings what is new. `files.js`, written when
 * the page is made, changes with any file of it; then the browser installs this worker again.
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
importScripts("files.js");

const CACHES = `pmsi ${worker.registration.scope} `;
const CACHE = CACHES + VERSION;

worker.addEventListener("install", (event) => {
  event.waitUntil(keep(FILES).then(() => worker.skipWaiting()));
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(removeOlder().then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event.request));
});

// The page says which build of the runtime its browser takes.
worker.addEventListener("message", (event) => {
  event.waitUntil(
    keep(event.data).then(
      () => event.ports[0].postMessage(true),
      () => event.ports[0].postMessage(false),
    ),
  );
});

/** @param {string[]} files */
async function keep(files) {
  const cache = await caches.open(CACHE);
  const missing = await Promise.all(files.map(async (file) => ((await cache.match(file)) ? [] : [file])));
  // Asked of the server: what the browser kept by itself may be of an older page.
  await cache.addAll(missing.flat().map((file) => new Request(file, { cache: "no-cache" })));
}

/** @param {Request} request */
async function answer(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}

async function removeOlder() {
  const names = await caches.keys();
  const older = names.filter((name) => name.startsWith(CACHES) && name !== CACHE);
  await Promise.all(older.map((name) => caches.delete(name)));
}
