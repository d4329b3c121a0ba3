import { mount } from "svelte";
import App from "./App.svelte";
import "./styles/base.css";
import "./styles/parts.css";

mount(App, { target: document.getElementById("app")! });

// Offline after one visit. Only in the built page, and only where the browser allows it (https or localhost).
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  navigator.serviceWorker.register("./service-worker.js").catch(() => {
    // Without it everything but offline use and threads works.
  });
}
