import type { Plugin } from "vite";

/**
 * What the page for models behind addresses may ask: servers with https, and this machine. REGAUGE_ADDRESSES names fewer, as a policy writes
 * them ("https://hub.example https://*.files.example"); "none" builds no such page at all.
 */
const asked = process.env.REGAUGE_ADDRESSES?.trim() || "https: http://localhost:* http://127.0.0.1:*";
export const withAddresses = asked !== "none";

/** A page's content security policy. Only this origin's files are loaded, nothing inline runs, and nothing is sent anywhere else but there. */
function policyThatConnects(to: string): string {
  return [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'", // wasm-unsafe-eval: compiling WebAssembly, and nothing else
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:", // data and blob: plots on their way to a PNG download
    `connect-src ${to}`,
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

export const policy = policyThatConnects("'self'"); // the sample and the .wasm file
export const addressesPolicy = policyThatConnects(`'self' ${asked}`);
export const addressesPage = "addresses.html";

/** Puts the policy into the built pages. The development server needs inline styles and a web socket, so it goes without. */
export function contentSecurityPolicy(): Plugin {
  return {
    name: "regauge-csp",
    apply: "build",
    transformIndexHtml: (_, { filename }) => [
      {
        tag: "meta",
        attrs: {
          "http-equiv": "Content-Security-Policy",
          content: filename.endsWith(addressesPage) ? addressesPolicy : policy,
        },
        injectTo: "head-prepend",
      },
    ],
  };
}
