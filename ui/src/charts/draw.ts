// A chart on a canvas: grid, axes, lines, the snapshots as ticks at the foot and the shown one as a line.
import type { Column, Row } from './curves'
import { across, compact, lineOf, ticks, upward, type Plot } from './plot'

export interface Drawn { column: Column; dashed?: boolean }
export interface Inks { muted: string; line: string; edge: string; danger: string; text: string; accent: string }

export function inksOf(element: Element): Inks {
  const style = getComputedStyle(element)
  const names = ['muted', 'line', 'edge', 'danger', 'text', 'accent'] as const
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as unknown as Inks
}

export function drawChart(
  canvas: HTMLCanvasElement, plot: Plot, from: readonly Row[], columns: readonly Drawn[], snapshots: readonly number[], mark: number | null,
): void {
  const { clientWidth: width, clientHeight: height } = canvas
  const ratio = devicePixelRatio || 1
  ;[canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)]
  const pen = canvas.getContext('2d')!
  const inks = inksOf(canvas)
  pen.scale(ratio, ratio)
  axes(pen, plot, inks)
  pen.save()
  pen.beginPath()
  pen.rect(plot.box.left, plot.box.top, plot.box.width + 1, plot.box.height)
  pen.clip()
  for (const { column, dashed } of columns) line(pen, lineOf(plot, from, column), dashed ? inks.text : inks.accent, dashed)
  marks(pen, plot, snapshots, mark, inks)
  pen.restore()
}

function axes(pen: CanvasRenderingContext2D, plot: Plot, { muted, line: grid }: Inks): void {
  const { left, top, width, height } = plot.box
  pen.font = '10.5px system-ui, sans-serif'
  pen.textBaseline = 'middle'
  const rule = (x: number, y: number, wide: number, tall: number) => {
    pen.fillStyle = grid
    pen.fillRect(x, y, wide, tall)
    pen.fillStyle = muted
  }
  pen.textAlign = 'center'
  for (const step of ticks(plot.steps, width / 60).filter(Number.isInteger)) {
    rule(Math.round(across(plot, step)), top, 1, height)
    pen.fillText(compact(step), across(plot, step), top + height + 13)
  }
  pen.textAlign = 'right'
  for (const value of ticks(plot.values, height / 26)) {
    rule(left, Math.round(upward(plot, value)), width, 1)
    pen.fillText(compact(value), left - 7, upward(plot, value))
  }
}

function line(pen: CanvasRenderingContext2D, spots: readonly { x: number; y: number }[], ink: string, dashed = false): void {
  pen.strokeStyle = ink
  pen.lineWidth = 1.5
  pen.lineJoin = 'round'
  pen.setLineDash(dashed ? [5, 3] : [])
  pen.beginPath()
  spots.forEach(({ x, y }, i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)))
  pen.stroke()
}

function marks(pen: CanvasRenderingContext2D, plot: Plot, snapshots: readonly number[], mark: number | null, inks: Inks): void {
  const { top, height } = plot.box
  pen.fillStyle = inks.edge
  for (const step of snapshots) pen.fillRect(Math.round(across(plot, step)), top + height - 5, 1, 5)
  if (mark === null) return
  pen.fillStyle = inks.danger
  pen.fillRect(Math.round(across(plot, mark)) - 1, top, 2, height)
}
