// A data address's picture as numbers, and parts of it as addresses. A report may load nothing, its own data included, but images.
import type { Sheet } from './embedded'

export async function pictureOf(address: string): Promise<HTMLImageElement> {
  const image = new Image()
  image.src = address
  await image.decode()
  return image
}

export function pixelsOf(image: HTMLImageElement): Uint8ClampedArray {
  const canvas = document.createElement('canvas')
  ;[canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight]
  const context = canvas.getContext('2d', { willReadFrequently: true })!
  context.drawImage(image, 0, 0)
  return context.getImageData(0, 0, canvas.width, canvas.height).data
}

function cutOut(image: CanvasImageSource, { columns, width, height }: Sheet, n: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  ;[canvas.width, canvas.height] = [width, height]
  canvas.getContext('2d')!.drawImage(image, (n % columns) * width, Math.floor(n / columns) * height, width, height, 0, 0, width, height)
  return canvas
}

/** The n-th picture of a sheet as an address of its own. */
export const cut = (image: CanvasImageSource, sheet: Sheet, n: number): string => cutOut(image, sheet, n).toDataURL('image/png')

/** And as pixels. */
export const piece = (image: CanvasImageSource, sheet: Sheet, n: number): Uint8ClampedArray =>
  cutOut(image, sheet, n).getContext('2d')!.getImageData(0, 0, sheet.width, sheet.height).data
