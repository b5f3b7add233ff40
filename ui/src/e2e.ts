// What browser tests read, only with `?e2e=1`: the state and counts, no way round the page's own controls.
import type { Backend, ModelIndex } from './contract'
import type { ViewerCore } from './core'
import { SocketBackend } from './socket'

type Client = { x: number; y: number } | null
export interface Probe { pointAt(row: number): Client; cursorAt(): Client; toClient(a: number, b: number): Client; frames: number; strokes: number; frameMs: number; kind: string }

export const probes = new Map<ModelIndex, Probe>() // the maps on the page

export function expose(core: ViewerCore, backend: Backend): void {
  if (!new URLSearchParams(location.search).has('e2e')) return
  const errors: string[] = []
  addEventListener('error', (event) => errors.push(event.message))
  addEventListener('unhandledrejection', (event) => errors.push(String(event.reason)))
  const socket = backend instanceof SocketBackend ? backend.cursors : null
  const app = {
    core, errors,
    state: () => core.state,
    get sent() { return socket?.sent ?? 0 },
    get drawn() { return socket?.drawn ?? 0 },
    get inFlightMax() { return socket?.inFlightMax ?? 0 },
    get frames() { return [...probes.values()].reduce((sum, probe) => sum + probe.frames, 0) },
    get strokes() { return [...probes.values()].reduce((sum, probe) => sum + probe.strokes, 0) },
    get frameMs() { return [...probes.values()].map((probe) => probe.frameMs) },
    get renderers() { return [...probes.values()].map((probe) => probe.kind) },
    pointAt: (model: ModelIndex, row: number) => probes.get(model)?.pointAt(row) ?? null,
    cursorAt: (model: ModelIndex) => probes.get(model)?.cursorAt() ?? null,
    toClient: (model: ModelIndex, a: number, b: number) => probes.get(model)?.toClient(a, b) ?? null,
  }
  Object.assign(window, { __app: app })
}
