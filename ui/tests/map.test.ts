import { describe, expect, it } from 'vitest'
import { boundsOf, fit, panBy, roundLength, seen, toMap, toScreen, zoomAt } from '../src/maths/camera'
import { cholesky, ellipseOf, grainOf, halfToFloat, projected, type Covariance } from '../src/maths/clouds'
import { classColours, pointColours } from '../src/map/colours'
import { fieldPixels, isHole, scaleOf, shareOf } from '../src/map/ground'
import { sample } from '../src/maths/fields'
import { contains, Picking } from '../src/map/picking'
import { axisNames, lattice, offOrigin, project, slide, through } from '../src/maths/planes'

const size = { width: 640, height: 480 }
const camera = { a: 1.5, b: -0.5, scale: 37 }
const close = (x: number, y: number) => expect(x).toBeCloseTo(y, 9)

describe('the camera', () => {
  it('goes there and back', () => {
    const { a, b } = toMap(camera, size, toScreen(camera, size, -2.25, 3.5))
    close(a, -2.25)
    close(b, 3.5)
  })
  it('draws b upwards', () => expect(toScreen(camera, size, 0, 1).y).toBeLessThan(toScreen(camera, size, 0, 0).y))
  it('zooms about the spot', () => {
    const spot = { x: 100, y: 333 }
    const [before, after] = [toMap(camera, size, spot), toMap(zoomAt(camera, size, spot, 2.5), size, spot)]
    close(after.a, before.a)
    close(after.b, before.b)
  })
  it('pans with the hand', () => {
    const spot = toScreen(panBy(camera, 20, -7), size, 1, 1)
    close(spot.x, toScreen(camera, size, 1, 1).x + 20)
    close(spot.y, toScreen(camera, size, 1, 1).y - 7)
  })
  it('fits a box into what is seen', () => {
    const view = seen(fit({ a0: -3, a1: 5, b0: 0, b1: 1 }, size), size)
    expect(view.a0).toBeLessThan(-3)
    expect(view.a1).toBeGreaterThan(5)
    close(view.a0 + view.a1, 2)
  })
  it('bounds leave out a stray point', () => {
    const xy = Float32Array.from({ length: 4000 }, (_, i) => (i % 2 ? 1 : -1) * ((i / 2) % 100) * 0.01)
    xy[0] = 1e6
    expect(boundsOf(xy)!.a1).toBeLessThan(1)
    expect(boundsOf(new Float32Array(0))).toBeNull()
  })
  it.each([[37, 100, 2], [1, 120, 100], [400, 120, 0.2], [90, 50, 0.5]])('a bar of at most %2$i px at scale %1$i', (scale, pixels, length) =>
    close(roundLength(scale, pixels), length))
})

describe('clouds', () => {
  const covariance: Covariance = [2, 0.6, 0.5]
  it('L Lᵀ = Σ', () => {
    const [l11, l21, l22] = cholesky(covariance)
    close(l11 * l11, 2)
    close(l11 * l21, 0.6)
    close(l21 * l21 + l22 * l22, 0.5)
  })
  it('a singular one stays real', () => expect(cholesky([1, 1, 1])).toEqual([1, 1, 0]))
  it("an ellipse's axes are the eigenvalues' roots", () => {
    const { major, minor, angle } = ellipseOf(covariance)
    close(major ** 2 + minor ** 2, 2.5)
    close((major * minor) ** 2, 2 * 0.5 - 0.36)
    const [c, s] = [Math.cos(angle), Math.sin(angle)]
    close(c * c * 2 + 2 * c * s * 0.6 + s * s * 0.5, major ** 2)
  })
  it('projects independent latents', () => {
    const [aa, ab, bb] = projected({ u: [1, 0, 0], v: [0, 0.6, 0.8], anchor: [0, 0, 0] }, [2, 1, 3])
    close(aa, 4)
    close(ab, 0)
    close(bb, 0.36 + 0.64 * 9)
  })
  it.each([[0x3c00, 1], [0xc000, -2], [0x0001, 2 ** -24], [0x7bff, 65504], [0x3555, 0.333251953125]])('half %i', (half, value) =>
    expect(halfToFloat(half)).toBe(value))
})

describe('planes', () => {
  const plane = { u: [0.6, 0.8, 0], v: [0, 0, 1], anchor: [0, 0, 0] }
  it('slides within the plane and keeps what lies off it', () => {
    const moved = slide(plane, [1, 1, 1], 5, -2)
    const { a, b } = project(plane, moved)
    close(a, 5)
    close(b, -2)
    close(offOrigin(plane, moved), offOrigin(plane, [1, 1, 1]))
  })
  it('through z: the same for every z on it', () => expect(through(plane, slide(plane, [1, 1, 1], 3, 3))).toEqual(through(plane, [1, 1, 1])))
  it('names axes', () => {
    expect(axisNames({ u: [0, 0, 1], v: [1, 0, 0], anchor: [] }, 'axes')).toEqual(['z2', 'z0'])
    expect(axisNames(plane, 'pca')).toEqual(['PC 1', 'z2'])
  })
  it("a lattice's cells are its middles, the top row first", () => {
    const codes = lattice({ u: [1, 0], v: [0, 1], anchor: [9, 9] }, { a0: 0, a1: 4, b0: 0, b1: 2 }, 2)
    expect(codes.map((code) => Array.from(code))).toEqual([[1, 1.5], [3, 1.5], [1, 0.5], [3, 0.5]])
    expect(lattice(plane, { a0: 0, a1: 1, b0: 0, b1: 1 }, 4, 1, 2)).toHaveLength(4)
  })
})

describe('picking', () => {
  const xy = Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i * 12.9898) * 3)
  const picking = new Picking(xy)
  it('finds what a search through all finds', () => {
    for (const [a, b] of [[0.2, 0.1], [-1, 2], [2.5, -2.5]] as const) {
      let [best, least] = [-1, 0.25]
      for (let i = 0; i < 1000; i++) {
        const far = (xy[2 * i]! - a) ** 2 + (xy[2 * i + 1]! - b) ** 2
        if (far < least) [best, least] = [i, far]
      }
      expect(picking.nearest(a, b, 0.5)).toBe(best)
    }
    expect(picking.nearest(50, 50, 1)).toBe(-1)
  })
  it('a lasso holds what lies in the polygon', () => {
    const polygon: [number, number][] = [[-1, -1], [2, -1], [0, 2]]
    const expected = Array.from({ length: 1000 }, (_, i) => i).filter((i) => contains(polygon, xy[2 * i]!, xy[2 * i + 1]!))
    expect(expected.length).toBeGreaterThan(10)
    expect(picking.inside(polygon)).toEqual(expected)
  })
})

describe('colours', () => {
  it.each([2, 8, 9, 10])('%i classes have as many colours', (n) => {
    for (const dark of [false, true]) expect(new Set(classColours(n, [], dark).map(String)).size).toBe(n)
  })
  it('beyond ten: grey, and never a colour twice', () => {
    const colours = classColours(30, [4, 7, 29], false)
    expect(new Set(colours.map(String)).size).toBe(4)
    expect(String(colours[4])).not.toBe(String(colours[0]))
  })
  it('fades with the distance from the plane', () => {
    const rgba = pointColours(Uint16Array.from([0, 65535]), Uint8Array.from([0, 255]), [[1, 2, 3]], false, true)
    expect(Array.from(rgba.slice(0, 4))).toEqual([1, 2, 3, 255])
    expect(rgba[7]).toBeLessThan(40)
  })
})

describe('fields', () => {
  const field = { width: 2, height: 2, low: 0, high: 3, threshold: 2, values: Float32Array.from([0, 1, 2, 3]) }
  it('is bilinear between the middles of its cells', () => {
    close(sample(field, 0.25, 0.25), 0)
    close(sample(field, 0.75, 0.75), 3)
    close(sample(field, 0.5, 0.5), 1.5)
    close(sample(field, 0, 1), 2)
  })
  it('holes lie above the threshold, and below it for support', () => {
    expect([isHole('holes', 2.1, 2), isHole('holes', 1.9, 2), isHole('support', 1.9, 2), isHole('density', 9, 2), isHole('holes', 9, NaN)])
      .toEqual([true, false, true, false, false])
  })
  it('hatches holes only, the first row at the bottom', () => {
    const plain = fieldPixels({ ...field, threshold: 9 }, 'holes', 40)
    const hatched = fieldPixels(field, 'holes', 40)
    const differs = (y: number) => Array.from({ length: 40 }, (_, x) => 4 * (y * 40 + x)).some((at) => plain[at] !== hatched[at])
    expect(differs(1)).toBe(true)
    expect(differs(38)).toBe(false)
  })
})

describe('what makes a map readable', () => {
  const halves = (value: number) => ({ 1: 0x3c00, 0.25: 0x3400, 0: 0 })[value]!
  const covs = (aa: number, bb: number, n = 40) => Uint16Array.from({ length: 3 * n }, (_, i) => halves([aa, 0, bb][i % 3]!))
  it('sums clouds up as coarsely as their lesser axes allow, between 2 and 12 pixels', () => {
    expect(grainOf(covs(1, 0.25), 20)).toBe(5)
    expect(grainOf(covs(1, 0.25), 3)).toBe(2)
    expect(grainOf(covs(1, 1), 1000)).toBe(12)
    expect(grainOf(covs(0, 0), 20)).toBe(2)
  })
  it('shows a density by its logarithm, three decades below its 99 % quantile', () => {
    const values = Float32Array.from({ length: 400 }, (_, i) => (i === 7 ? 1e6 : i % 2 ? 2 : 0))
    const field = { width: 20, height: 20, low: 0, high: 1e6, threshold: NaN, values }
    const scale = scaleOf(field, 'density')
    expect(scale).toEqual({ low: 0.002, high: 2, log: true })
    expect([0, 0.002, 2, 1e6].map((value) => shareOf(scale, value))).toEqual([0, 0, 1, 1])
    expect(shareOf(scale, 0.2)).toBeCloseTo(2 / 3)
    expect(scaleOf(field, 'speed')).toEqual({ low: 0, high: 1e6, log: false })
    expect(Number.isFinite(shareOf(scaleOf({ ...field, values: new Float32Array(4) }, 'density'), 0))).toBe(true)
  })
})
