/** What the page uses of @litertjs/core. */
declare module "@litertjs/core" {
  export class Tensor {
    constructor(data: Float32Array | Int32Array | Uint8Array, shape: number[]);
    toTypedArray(): Float32Array | Int32Array;
    delete(): void;
  }
  interface CompiledModel {
    run(inputs: Record<string, Tensor>): Promise<Record<string, Tensor>>;
    delete(): void;
  }
  export function loadLiteRt(path: string): Promise<unknown>;
  export function loadAndCompile(
    model: Uint8Array,
    options: { accelerator: "wasm"; cpuOptions: { numThreads: number } },
  ): Promise<CompiledModel>;
  export function supportsFeature(feature: "relaxedSimd" | "threads"): Promise<boolean>;
}
