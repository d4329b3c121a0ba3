import { mount } from "svelte";
import App from "./App.svelte";
import { bench } from "./state.svelte";
import "./styles/base.css";
import "./styles/parts.css";

mount(App, { target: document.getElementById("app")! });

// Offline after one visit, and threads. Only in the built page, and only where the browser allows it (https or localhost).
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  let begun = false;
  for (const event of ["pointerdown", "keydown", "dragenter"])
    addEventListener(event, () => (begun = true), { once: true });
  const hasBegun = () => begun || bench.entries.length > 0 || bench.job !== null;
  navigator.serviceWorker.register("./service-worker.js").then(
    () => isolate(hasBegun),
    () => {
      // Without it everything works but offline use and, where the host sends no headers for it, threads.
    },
  );
}

/**
 * Threads need a page that is cross-origin isolated. Where the host does not send the headers the service worker does, but not for a page that
 * was loaded before it: so a first visit loads twice, unless someone has begun to work meanwhile. Once a session: some browsers never isolate.
 */
async function isolate(hasBegun: () => boolean): Promise<void> {
  if (crossOriginIsolated) return;
  await navigator.serviceWorker.ready;
  try {
    if (hasBegun() || sessionStorage.getItem("regauge-isolate")) return;
    sessionStorage.setItem("regauge-isolate", "tried");
  } catch {
    return; // nothing may be stored, and so nothing says that it was tried
  }
  location.reload();
}
