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

/** The n-th picture of a sheet as an address of its own. */
export function cut(image: CanvasImageSource, { columns, width, height }: Sheet, n: number): string {
  const canvas = document.createElement('canvas')
  ;[canvas.width, canvas.height] = [width, height]
  canvas.getContext('2d')!.drawImage(image, (n % columns) * width, Math.floor(n / columns) * height, width, height, 0, 0, width, height)
  return canvas.toDataURL('image/png')
}
