// The socket of the cursors: for each model one request under way and the newest that waits; stale answers are dropped.
import type { Code, ModelIndex, Tile } from './contract'
import { answerFrame, askFrame, DECODE, failed } from './frames'

interface Wanted { z: Code; step: number; since: number }
interface Under extends Wanted { seq: number }

/** The part of WebSocket that is used, so that a test can stand in for it. */
export type Wire = Pick<WebSocket, 'send' | 'close' | 'readyState'> & {
  binaryType: string
  onopen: ((event: Event) => void) | null
  onclose: ((event: CloseEvent) => void) | null
  onmessage: ((event: MessageEvent) => void) | null
}

export class Cursors {
  sent = 0 // the last number sent
  drawn = 0 // the last number drawn
  inFlightMax = 0 // the most requests under way for one model
  onTile: (model: ModelIndex, z: Code, tile: Tile, milliseconds: number) => void = () => {}
  onConnection: (open: boolean) => void = () => {}

  #wire: Wire | null = null
  #wait = 500
  #timer: ReturnType<typeof setTimeout> | undefined
  readonly #under = new Map<ModelIndex, Under>()
  readonly #flying = new Map<ModelIndex, number>() // counted apart from what is meant to be under way
  readonly #newest = new Map<ModelIndex, Wanted>()

  constructor(private readonly connectTo: () => Wire) { this.connect() }

  ask(model: ModelIndex, step: number, z: Code): void {
    this.#newest.set(model, { z, step, since: performance.now() })
    this.#send(model)
  }

  connect(): void {
    clearTimeout(this.#timer)
    const wire = this.connectTo()
    this.#wire = wire
    wire.binaryType = 'arraybuffer'
    wire.onopen = () => this.#opened()
    wire.onmessage = (event) => this.#answered(event.data as ArrayBuffer)
    wire.onclose = () => wire === this.#wire && this.#closed()
  }

  #opened(): void {
    this.#wait = 500
    this.onConnection(true)
    for (const model of this.#newest.keys()) this.#send(model)
  }

  /** What was under way is asked again once the socket is back, unless something newer waits. */
  #closed(): void {
    this.#wire = null
    for (const [model, under] of this.#under) if (!this.#newest.has(model)) this.#newest.set(model, under)
    this.#under.clear()
    this.#flying.clear()
    this.onConnection(false)
    this.#timer = setTimeout(() => this.connect(), this.#wait)
    this.#wait = Math.min(8000, this.#wait * 2)
  }

  #send(model: ModelIndex): void {
    const wanted = this.#newest.get(model)
    if (!wanted || this.#under.has(model) || this.#wire?.readyState !== 1) return
    this.#newest.delete(model)
    const seq = ++this.sent
    this.#under.set(model, { ...wanted, seq })
    const flying = (this.#flying.get(model) ?? 0) + 1
    this.#flying.set(model, flying)
    this.inFlightMax = Math.max(this.inFlightMax, flying)
    this.#wire.send(askFrame({ seq, op: DECODE, model, step: wanted.step, z: wanted.z }))
  }

  #answered(bytes: ArrayBuffer): void {
    const { seq, model, tile } = answerFrame(bytes)
    this.#flying.set(model, (this.#flying.get(model) ?? 1) - 1)
    const under = this.#under.get(model)
    if (!under || seq !== under.seq) return
    this.#under.delete(model)
    this.#send(model)
    this.drawn = Math.max(this.drawn, seq)
    this.onTile(model, under.z, tile, performance.now() - under.since)
  }

  /** For a request that cannot be put into a frame. */
  refuse(model: ModelIndex, z: Code, why: string): void {
    this.#newest.delete(model)
    this.onTile(model, z, failed(why), 0)
  }
}
