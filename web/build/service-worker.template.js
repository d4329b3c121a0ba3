// Two jobs: the page works offline after one visit, and it is cross-origin isolated (threads) on hosts that cannot set headers.
const VERSION = "__VERSION__";
const FILES = "__FILES__";
const POLICY = "__POLICY__";
// The page for models behind addresses, and its workers, have a policy of their own; null where it was not built.
const OTHER_PAGE = "__OTHER_PAGE__";
const OTHER_POLICY = "__OTHER_POLICY__";
// Named after the place it is served from: another regauge on this host keeps its own.
const PLACE = `regauge ${self.registration.scope} `;
const CACHE = PLACE + VERSION;

// Of the two modules with threads an engine takes one (hasRelaxedSimd in node/src/relaxed-simd.ts).
const relaxed = WebAssembly.validate(Uint8Array.from("__RELAXED_PRODUCT__".match(/../g), (byte) => parseInt(byte, 16)));
const isOtherEngines = (file) => (relaxed ? /regauge-mt-[^-]{8}\.wasm$/ : /regauge-mt-relaxed-.{8}\.wasm$/).test(file);

self.addEventListener("install", (event) => {
  self.skipWaiting();
  const wanted = FILES.filter((file) => !isOtherEngines(file)).map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(wanted)));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith(PLACE) && name !== CACHE;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(answer(request, event.clientId));
});

const isOther = (url) => OTHER_PAGE !== null && new URL(url).pathname.endsWith(OTHER_PAGE);

// Built file names carry a hash of their content, so the cache is always right; index.html is asked for first, to notice a new version.
async function answer(request, clientId) {
  const cache = await caches.open(CACHE);
  const page = request.mode === "navigate";
  const other = isOther(page ? request.url : ((await self.clients.get(clientId))?.url ?? self.registration.scope));
  const policy = other ? OTHER_POLICY : POLICY;
  const kept = await cache.match(page ? (other ? `.${OTHER_PAGE}` : "./") : request, { ignoreSearch: true });
  if (page) {
    try {
      return isolated(await fetch(request), policy);
    } catch (error) {
      if (kept) return isolated(kept, policy);
      throw error;
    }
  }
  return isolated(kept ?? (await fetch(request)), policy);
}

// Workers take no policy from the page's <meta>, so theirs comes as a header: they, too, can reach nothing but this origin.
function isolated(response, policy) {
  if (response.status === 0 || response.redirected) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  headers.set("Content-Security-Policy", policy);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
