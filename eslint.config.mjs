// What the compiler does not see: unused names, undefined globals, misused Svelte.
import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import typescript from "typescript-eslint";

export default typescript.config(
    { ignores: ["**/dist/", "**/node_modules/", "build/", ".toolchain/", "web/public/"] },
    js.configs.recommended,
    ...typescript.configs.recommended,
    ...svelte.configs.recommended,
    { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
    { files: ["**/*.svelte", "**/*.svelte.ts"], languageOptions: { parserOptions: { parser: typescript.parser } } },
    {
        rules: {
            "@typescript-eslint/no-unused-expressions": "off", // a round of a hash is one sequence of assignments
            "svelte/no-useless-mustaches": "off", // the one that it finds is a space that svelte-check reads no other way
            "svelte/prefer-svelte-reactivity": "off", // our URLSearchParams are made, read and forgotten
        },
    },
);
