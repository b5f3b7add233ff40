// ONNX Runtime Web for one thread, as a script of its own: only a report with live decoders carries it (and its 14 MB of WebAssembly).
// A page of one file may start no worker and load nothing: the binary is handed over, and there is one thread.
import * as ort from 'onnxruntime-web/wasm'

export type Decoder = (z: Float32Array, latents: number) => Promise<{ values: Float32Array; shape: readonly number[] }>
export interface Runtime { open(wasm: ArrayBuffer, model: Uint8Array): Promise<Decoder> }

async function open(wasm: ArrayBuffer, model: Uint8Array): Promise<Decoder> {
  ort.env.wasm.numThreads = 1
  ort.env.wasm.wasmBinary = wasm
  ort.env.logLevel = 'error'
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] })
  const [input, output] = [session.inputNames[0]!, session.outputNames[0]!]
  return async (z, latents) => {
    const given = new ort.Tensor('float32', z, [z.length / latents, latents])
    const { [output]: found } = await session.run({ [input]: given })
    return { values: found!.data as Float32Array, shape: found!.dims }
  }
}

;(globalThis as { LegatoRuntimeOpen?: Runtime['open'] }).LegatoRuntimeOpen = open
