// The map as the hand, the marks and the pictures on it know it: what they ask of the view, and what they tell it.
import type { Camera, ModelIndex, Points } from '../contract'
import type { ViewerCore } from '../core'
import type { Size, Spot } from '../maths/camera'
import type { Shown } from './backdrop'
import type { Coloured } from './colouring'
import type { Marks } from './overlay'
import type { Picking } from './picking'

export interface Told {
  note: string
  veiled: boolean
  shown: Shown | null
  busy: boolean
  pointed: { spot: Spot; row: number; label: number; at: number } | null
  lasso: number[] | null
  drawing: boolean
  coloured: Coloured
}

export interface Surface {
  readonly core: ViewerCore
  readonly model: ModelIndex
  readonly element: HTMLElement
  readonly kind: string
  readonly size: Size
  readonly camera: Camera
  readonly points: Points | null
  readonly places: Picking | null
  readonly between: boolean // one layout morphs into another
  readonly laid: boolean // a layout without an inverse is shown, by itself
  readonly taking: boolean // the next drag draws a lasso
  readonly cursorSpot: Spot | null
  readonly marks: Pick<Marks, 'lasso' | 'pointed'>
  readonly frames: number
  readonly strokes: number
  readonly frameMs: number
  tell(told: Partial<Told>): void
  ask(): void
  activate(): void
  take(taking: boolean): void
  moveTo(spot: Spot, settled: boolean): void
  pan(dx: number, dy: number): void
  zoom(factor: number, spot?: Spot): void
  pick(spot: Spot): number
  closest(spot: Spot): number
  shows(i: number): boolean
  spotOf(i: number): Spot
  indexOf(row: number): number
  spotOfRow(row: number): Spot | null
}
