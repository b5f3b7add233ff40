// The backend of a report with live decoders: every place is decoded in the page; all else is the file's.
import type { Code, ModelIndex, Tile } from '../contract'
import { bytesOf, type Embedded } from './embedded'
import { Latest } from './latest'
import type { Decoder, Runtime } from './runtime'
import { TileBackend } from './tiles'

const NOT_FINITE = 'the decoder gives no finite number here'

/** Values (C, H, W) in 0 … 1 as a tile; C is 1 or 3. */
export function tileFrom(values: Float32Array, [channels, height, width]: readonly number[], at = 0): Tile {
  const area = width! * height!
  const rgba = new Uint8ClampedArray(4 * area)
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      const value = values[at + (channels === 1 ? 0 : c) * area + i]!
      if (!Number.isFinite(value)) return { width: width!, height: height!, rgba: null, values: null, failed: NOT_FINITE }
      rgba[4 * i + c] = 255 * value // the array rounds and clips
    }
    rgba[4 * i + 3] = 255
  }
  return { width: width!, height: height!, rgba, values: null, failed: null }
}

export async function unpacked(text: string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream('gzip'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

export class OrtBackend extends TileBackend {
  override readonly live = true
  readonly #decoders: Decoder[] = []
  readonly #latest = [new Latest(), new Latest()]

  /** `decoders`: an ONNX file for each model, `wasm`: the runtime's binary, both gzip in base64. */
  static async openLive(embedded: Embedded, runtime: Runtime['open'], wasm: string, decoders: readonly string[]): Promise<OrtBackend> {
    const backend = await OrtBackend.open(embedded) as OrtBackend
    const binary = await unpacked(wasm)
    for (const model of decoders) backend.#decoders.push(await runtime(binary.buffer, await unpacked(model)))
    return backend
  }

  override async decode(model: ModelIndex, _step: number | null, z: Code[]): Promise<Tile[]> {
    const tiles: Tile[] = []
    for (let from = 0; from < z.length; from += 16) tiles.push(...(await this.#decoded(model, z.slice(from, from + 16))))
    return tiles
  }

  override cursor(model: ModelIndex, _step: number | null, z: Code): void {
    const began = performance.now()
    void this.#latest[model]!.run(async () => {
      const [tile] = await this.#decoded(model, [z])
      this.onCursor(model, z, tile!, performance.now() - began)
    })
  }

  async #decoded(model: ModelIndex, z: Code[]): Promise<Tile[]> {
    const latents = z[0]!.length
    const flat = new Float32Array(z.length * latents)
    z.forEach((code, i) => flat.set(code, i * latents))
    const { values, shape } = await this.#decoders[model]!(flat, latents)
    const each = values.length / z.length
    return z.map((_, i) => tileFrom(values, shape.slice(1), i * each))
  }
}
