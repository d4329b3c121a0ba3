import type { Plugin } from "vite";

/** The page's content security policy. Only this origin's files are loaded, nothing inline runs, and nothing is sent anywhere. */
export const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'", // wasm-unsafe-eval: compiling WebAssembly, and nothing else
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:", // data and blob: plots on their way to a PNG download
  "connect-src 'self'", // the sample and the .wasm file
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Puts the policy into the built index.html. The development server needs inline styles and a web socket, so it goes without. */
export function contentSecurityPolicy(): Plugin {
  return {
    name: "regauge-csp",
    apply: "build",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: policy }, injectTo: "head-prepend" },
    ],
  };
}
