// A picture at an address, as a tile of a given size: what a decoded one is compared with.
import type { Tile } from '../contract'

export async function pictureAt(address: string, width: number, height: number): Promise<Tile> {
  const image = new Image()
  image.src = address
  await image.decode()
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  const pen = canvas.getContext('2d', { willReadFrequently: true })
  if (!pen) throw new Error('this browser gives no canvas')
  pen.fillStyle = '#fff' // as the data are prepared: transparent pixels lie on white
  pen.fillRect(0, 0, width, height)
  pen.drawImage(image, 0, 0, width, height)
  return { width, height, rgba: pen.getImageData(0, 0, width, height).data, values: null, failed: null }
}
