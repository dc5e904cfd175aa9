/** The page: screens, the model that they share, what is dropped on it. */

import { byId, element } from "./dom.js";
import { keepOffline } from "./offline.js";
import { Problem, words } from "./problem.js";
import { BenchmarkScreen } from "./screens/benchmark.js";
import { CameraScreen } from "./screens/camera.js";
import { CheckScreen } from "./screens/check.js";
import { DetailsScreen } from "./screens/details.js";
import { PhotoScreen } from "./screens/photo.js";
import { Session } from "./session.js";

const NOT_IN_A_BROWSER = /\.(onnx|pte|ptl|pt|pth|mlpackage|mlmodel)$/i;

const notice = byId("notice", HTMLElement);
const chooser = byId("model", HTMLSelectElement);
const tabs = [...document.querySelectorAll("nav button")];
const camera = new CameraScreen();
const photo = new PhotoScreen();
const screens = [camera, photo, new BenchmarkScreen(), new CheckScreen(), new DetailsScreen()];

/**
 * The model that is open, for whoever measures this page from outside.
 * @type {Session | undefined}
 */
export let session;
/** @type {import("./session.js").Opened | undefined} */
let shown;

/** @param {string} id */
function show(id) {
  for (const tab of tabs) {
    const chosen = tab.getAttribute("aria-controls") === id;
    if (chosen) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  for (const section of document.querySelectorAll("main > section")) section.toggleAttribute("hidden", section.id !== id);
  if (id === "camera") camera.show();
  else camera.hide();
}

/**
 * Say what goes wrong on the page, whatever screen it is on.
 * @param {string} file
 * @param {() => Promise<void>} work
 */
async function attempt(file, work) {
  notice.textContent = "";
  try {
    await work();
  } catch (error) {
    notice.textContent = `${file}: ${words(error)}`;
  }
}

/** @param {import("./session.js").Opened | undefined} opened */
function use(opened) {
  if (!opened) return;
  const before = shown;
  shown = opened;
  if (![...chooser.options].some(({ value }) => value === opened.name)) {
    chooser.append(element("option", { value: opened.name }, opened.name));
  }
  chooser.value = opened.name;
  for (const screen of screens) screen.use(opened);
  // Last: what a screen has begun with it is then of no interest any more.
  if (before && before.classifier !== opened.classifier) void before.classifier.close();
}

/**
 * A file of any kind, from the picker or dropped.
 * @param {File} file
 */
async function take(file) {
  await attempt(file.name, async () => {
    if (!session) throw new Problem("The runtime has not started.");
    if (file.name.endsWith(".tflite")) {
      use(await session.openModel(file.name, new Uint8Array(await file.arrayBuffer())));
    } else if (file.name.endsWith(".zip")) {
      await session.addGolden(new Uint8Array(await file.arrayBuffer()));
      use(session.opened);
      show("check");
    } else if (NOT_IN_A_BROWSER.test(file.name)) {
      throw new Problem("This page runs .tflite files: pmsi-export --format tflite makes one of the same checkpoint.");
    } else {
      show("photo");
      await photo.read(file);
    }
  });
}

function listen() {
  for (const tab of tabs) tab.addEventListener("click", () => show(tab.getAttribute("aria-controls") ?? ""));
  chooser.addEventListener("change", () => {
    const name = chooser.value;
    void attempt(name, async () => use(await session?.openOwn(name)));
  });
  const input = byId("file-input", HTMLInputElement);
  input.addEventListener("change", () => {
    if (input.files?.[0]) void take(input.files[0]);
    input.value = "";
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    void Array.from(event.dataTransfer?.files ?? []).reduce(
      (before, file) => before.then(() => take(file)),
      Promise.resolve(),
    );
  });
}

async function start() {
  listen();
  show("camera");
  await attempt("This page", async () => {
    session = await Session.start();
    chooser.replaceChildren(...session.models.map((name) => element("option", { value: name }, name)));
    if (session.models[0]) use(await session.openOwn(session.models[0]));
    document.documentElement.dataset.ready = "";
    const offline = await keepOffline(session.runtimeFiles);
    byId("offline", HTMLElement).textContent = offline ? "Works without a network." : "Needs the network: not all of it could be kept.";
    document.documentElement.dataset.offline = String(offline);
  });
}

void start();
