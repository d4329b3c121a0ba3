// Light or dark: as the system says until someone chooses. The style sheet does the rest (light-dark()).

export type Theme = "auto" | "light" | "dark";
const key = "regauge-theme";

function stored(): Theme {
  try {
    const value = localStorage.getItem(key);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto";
  }
}

class ThemeChoice {
  choice: Theme = $state(stored());
  private system = $state(matchMedia("(prefers-color-scheme: dark)").matches);
  /** What is shown now; canvases redraw when it changes. */
  dark = $derived(this.choice === "auto" ? this.system : this.choice === "dark");

  constructor() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => (this.system = event.matches));
    this.show();
  }

  choose(choice: Theme): void {
    this.choice = choice;
    this.show();
    try {
      if (choice === "auto") localStorage.removeItem(key);
      else localStorage.setItem(key, choice);
    } catch {
      // Not kept, then.
    }
  }

  private show(): void {
    if (this.choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
  }
}

export const theme = new ThemeChoice();
