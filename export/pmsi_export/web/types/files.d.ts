/** What `files.js` says, which is written with the page. */
declare const FILES: string[];
declare const VERSION: string;
