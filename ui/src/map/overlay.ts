// Lines over the points: axes, prior rings, the path, the selected image's own ellipse, the lasso and the cursor.
import type { Camera } from '../contract'
import { roundLength, toScreen, type Size, type Spot } from '../maths/camera'
import { ellipseOf, type Covariance } from '../maths/clouds'

export interface Inks { text: string; muted: string; line: string; accent: string; map: string; danger: string }
export interface Marks {
  cursor: Spot | null
  active: boolean
  inside: boolean
  rings: boolean
  axes: [string, string]
  path: { spot: Spot | null; name: string }[] // null: no place on this map
  leg: Spot[] // the path's course
  guide: { spots: { spot: Spot; off: boolean }[]; way: { spot: Spot; off: boolean }[] } | null // what the tour points at
  selected: { spot: Spot; cloud: Covariance | null } | null
  pointed: Spot | null
  followed: Spot | null // the image whose code the other map's cursor is at
  lasso: Spot[]
}

export function drawMarks(context: CanvasRenderingContext2D, size: Size, ratio: number, camera: Camera, marks: Marks, inks: Inks): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.clearRect(0, 0, size.width, size.height)
  context.lineJoin = 'round'
  context.font = '11px system-ui, sans-serif'
  if (marks.axes[0]) axes(context, size, camera, marks, inks)
  if (marks.rings) rings(context, size, camera, inks)
  course(context, marks, inks)
  if (marks.guide) guided(context, marks.guide, inks)
  if (marks.selected) selected(context, camera, marks.selected, inks)
  if (marks.followed) ring(context, marks.followed, 5, inks.map, 4), ring(context, marks.followed, 5, inks.accent, 2)
  if (marks.pointed) ring(context, marks.pointed, 7, inks.text, 1.5)
  if (marks.lasso.length) lasso(context, marks.lasso, inks)
  if (marks.cursor) cross(context, marks.cursor, marks, inks)
  if (marks.axes[0]) bar(context, size, camera, inks)
}

function axes(context: CanvasRenderingContext2D, size: Size, camera: Camera, { axes: [across, up] }: Marks, inks: Inks): void {
  const zero = toScreen(camera, size, 0, 0)
  context.strokeStyle = inks.line
  context.lineWidth = 1
  context.beginPath()
  context.moveTo(Math.round(zero.x) + 0.5, 0)
  context.lineTo(Math.round(zero.x) + 0.5, size.height)
  context.moveTo(0, Math.round(zero.y) + 0.5)
  context.lineTo(size.width, Math.round(zero.y) + 0.5)
  context.stroke()
  words(context, `${across} →`, size.width - 10, size.height - 10, 'right', inks)
  words(context, `↑ ${up}`, 10, 18, 'left', inks)
}

function words(context: CanvasRenderingContext2D, text: string, x: number, y: number, align: CanvasTextAlign, inks: Inks, ink = inks.text): void {
  context.textAlign = align
  context.lineWidth = 3
  context.strokeStyle = inks.map
  context.strokeText(text, x, y)
  context.fillStyle = ink
  context.fillText(text, x, y)
}

/** The prior's 1, 2 and 3 σ. */
function rings(context: CanvasRenderingContext2D, size: Size, camera: Camera, inks: Inks): void {
  const centre = toScreen(camera, size, 0, 0)
  context.setLineDash([4, 4])
  for (const k of [1, 2, 3]) {
    const radius = k * camera.scale
    if (radius < 8 || radius > 4 * Math.max(size.width, size.height)) continue
    context.setLineDash([])
    context.globalAlpha = 0.45
    ring(context, centre, radius, inks.map, 3)
    context.globalAlpha = 1
    context.setLineDash([4, 4])
    ring(context, centre, radius, inks.text, 1.2)
    const [x, y] = [centre.x + radius * Math.SQRT1_2, centre.y - radius * Math.SQRT1_2]
    context.setLineDash([])
    words(context, `${k}σ`, x, y, 'center', inks)
    context.setLineDash([4, 4])
  }
  context.setLineDash([])
}

function course(context: CanvasRenderingContext2D, { path, leg }: Marks, inks: Inks): void {
  stroke(context, leg, inks.map, 4)
  stroke(context, leg, inks.accent, 2)
  path.forEach(({ spot }, i) => {
    if (!spot) return
    ring(context, spot, 5, inks.accent, 2, inks.map)
    words(context, String.fromCharCode(65 + (i % 26)), spot.x, spot.y - 9, 'center', inks)
  })
}

/** A way with its ends named, red where the model does not know it; places as rings, red likewise. */
function guided(context: CanvasRenderingContext2D, { spots, way }: NonNullable<Marks['guide']>, inks: Inks): void {
  stroke(context, way.map(({ spot }) => spot), inks.map, 6)
  way.slice(1).forEach(({ spot, off }, i) => stroke(context, [way[i]!.spot, spot], off || way[i]!.off ? inks.danger : inks.accent, 3))
  const ends = way.length > 1 ? [way[0]!.spot, way.at(-1)!.spot] : []
  ends.forEach((spot, i) => {
    ring(context, spot, 5, inks.accent, 2, inks.map)
    words(context, i ? 'B' : 'A', spot.x, spot.y - 9, 'center', inks)
  })
  for (const { spot, off } of spots) {
    ring(context, spot, 5, inks.map, 4)
    ring(context, spot, 5, off ? inks.danger : inks.accent, 2)
  }
}

function selected(context: CanvasRenderingContext2D, camera: Camera, { spot, cloud }: NonNullable<Marks['selected']>, inks: Inks): void {
  if (cloud) {
    const { major, minor, angle } = ellipseOf(cloud)
    for (const k of [1, 2]) {
      context.beginPath()
      context.ellipse(spot.x, spot.y, Math.max(k * major * camera.scale, 0.5), Math.max(k * minor * camera.scale, 0.5), -angle, 0, 2 * Math.PI)
      context.strokeStyle = inks.text
      context.lineWidth = k === 1 ? 1.8 : 1
      context.stroke()
    }
  }
  ring(context, spot, 7, inks.map, 4)
  ring(context, spot, 7, inks.text, 2)
}

function lasso(context: CanvasRenderingContext2D, spots: Spot[], inks: Inks): void {
  context.setLineDash([5, 3])
  stroke(context, [...spots, spots[0]!], inks.accent, 1.5)
  context.setLineDash([])
}

function cross(context: CanvasRenderingContext2D, { x, y }: Spot, { active, inside }: Marks, inks: Inks): void {
  const arms = (ink: string, width: number) => {
    context.strokeStyle = ink
    context.lineWidth = width
    context.beginPath()
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
      context.moveTo(x + 5 * dx, y + 5 * dy)
      context.lineTo(x + 15 * dx, y + 15 * dy)
    }
    context.stroke()
    ring(context, { x, y }, 9, ink, width)
  }
  arms(inks.map, 5)
  arms(!inside ? inks.danger : active ? inks.text : inks.muted, 2)
}

function bar(context: CanvasRenderingContext2D, size: Size, camera: Camera, inks: Inks): void {
  const length = roundLength(camera.scale, Math.min(120, size.width / 4))
  const [x, y, wide] = [12, size.height - 12, length * camera.scale]
  const line = [{ x, y: y - 4 }, { x, y }, { x: x + wide, y }, { x: x + wide, y: y - 4 }]
  stroke(context, line, inks.map, 4)
  stroke(context, line, inks.text, 1.5)
  words(context, `${Number(length.toPrecision(1))}`, x + wide / 2, y - 5, 'center', inks)
}

function stroke(context: CanvasRenderingContext2D, spots: Spot[], ink: string, width: number): void {
  if (spots.length < 2) return
  context.strokeStyle = ink
  context.lineWidth = width
  context.beginPath()
  spots.forEach(({ x, y }, i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)))
  context.stroke()
}

function ring(context: CanvasRenderingContext2D, { x, y }: Spot, radius: number, ink: string, width: number, fill = ''): void {
  context.beginPath()
  context.arc(x, y, radius, 0, 2 * Math.PI)
  if (fill) {
    context.fillStyle = fill
    context.fill()
  }
  context.strokeStyle = ink
  context.lineWidth = width
  context.stroke()
}
