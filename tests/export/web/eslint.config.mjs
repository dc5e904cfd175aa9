import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    files: ["js/**/*.js"],
    languageOptions: { globals: globals.browser },
  },
  {
    files: ["sw.js"],
    languageOptions: { sourceType: "script", globals: { ...globals.serviceworker, FILES: "readonly", VERSION: "readonly" } },
  },
  { rules: { eqeqeq: "error", "no-var": "error", "prefer-const": "error" } },
];
