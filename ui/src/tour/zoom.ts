// A map drawn near what a step speaks of, and back again when the step is left.
import type { Camera, ModelIndex } from '../contract'
import type { ViewerCore } from '../core'
import { fit, type Size } from '../maths/camera'
import { project } from '../maths/planes'

const SPREADS = 9 // of the cloud's own width, from one side of the map to the other

/** A camera on μ from which a cloud of this width (map units) is seen whole and large. */
export const closeUp = ({ a, b }: { a: number; b: number }, width: number, size: Size): Camera => {
  const half = (SPREADS / 2) * width
  return fit({ a0: a - half, a1: a + half, b0: b - half, b1: b + half }, size)
}

/** Zooms on a code of a model; where the map is not seen, or has no place for it, nothing happens. */
export function zoomOn(core: ViewerCore, model: ModelIndex, mu: readonly number[], scale: readonly number[]): void {
  const map = mapOf(model)
  const plane = core.planes[model]
  if (!map?.clientWidth || !plane || plane.layout || mu.length !== plane.u.length) return
  const width = Math.sqrt(scale.reduce((sum, s, i) => sum + s * s * (plane.u[i]! ** 2 + plane.v[i]! ** 2), 0) / 2)
  if (width > 0) core.setCamera(model, closeUp(project(plane, mu), width, { width: map.clientWidth, height: map.clientHeight }))
}

/** The cameras as they are; the function that is returned puts them back and clears what was pointed at. */
export function borrowed(core: ViewerCore): () => void {
  const before = core.state.models.map(({ camera }) => camera)
  return () => before.forEach((camera, m) => {
    core.setCamera(m as ModelIndex, camera)
    core.guide(m as ModelIndex, null)
  })
}

export const mapOf = (model: ModelIndex): HTMLElement | null => document.querySelector(`[data-testid=map-${model}] .map`)
