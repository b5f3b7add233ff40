// Every key and every drag that the page knows, in the words of the help.

export interface Entry { keys: string[]; does: string; single?: boolean } // single: a key alone, which can be switched off

export const POINTING: Entry[] = [
  { keys: ['drag'], does: 'move the cursor: the image at that place is decoded as you go' },
  { keys: ['Space', 'drag'], does: 'move the map; two fingers do too' },
  { keys: ['wheel'], does: 'zoom at the pointer' },
  { keys: ['click'], does: 'on a point: select its image, in every model' },
  { keys: ['click'], does: 'on a class below the map: hide it, show it; a double click shows it alone' },
  { keys: ['Shift', 'drag'], does: 'a lasso: the images in it, their mean decoded, a table of them to save' },
  { keys: ['right click'], does: 'a path starts, or goes on, here' },
  { keys: ['drop'], does: 'a picture file: encode it and go there' },
]

export const ON_THE_MAP: Entry[] = [
  { keys: ['←', '↑', '↓', '→'], does: 'move the cursor; with Shift ten times as far, with Alt a tenth' },
  { keys: ['+', '−', '0'], does: 'zoom in, out, fit', single: true },
  { keys: ['V'], does: 'the images in view, as in a lasso', single: true },
  { keys: ['Enter'], does: 'pin the decoded image' },
]

export const ANYWHERE: Entry[] = [
  { keys: ['/'], does: 'find an image by id or label', single: true },
  { keys: ['[', ']'], does: 'previous, next image', single: true },
  { keys: ['A', 'B'], does: 'the path begins, ends at the cursor', single: true },
  { keys: ['P'], does: 'play the path, or pause', single: true },
  { keys: ['S'], does: 'draw new samples', single: true },
  { keys: ['C'], does: 'one model, or both side by side', single: true },
  { keys: ['H', 'D', 'G'], does: 'background: holes, density, decoded tiles', single: true },
  { keys: ['L'], does: 'clouds of the posteriors', single: true },
  { keys: ['T'], does: 'pictures on the map, where there is room', single: true },
  { keys: ['O'], does: 'points: hide, show', single: true },
  { keys: ['R'], does: 'cursor to the origin', single: true },
  { keys: ['Esc'], does: 'clear the selection; close a dialog' },
  { keys: ['Ctrl', 'Z'], does: 'undo' },
  { keys: ['?'], does: 'this help', single: true },
]

export const GROUNDS: [name: string, means: string][] = [
  ['density', 'the aggregate posterior q̂(z): where the codes of the data lie, each with its cloud'],
  ['decoded tiles', 'what the decoder makes of the places, laid over the map'],
  ['holes', 'decode, encode again: how far the code lands from where it came, in units of the mean σ (of the codes’ spread for an autoencoder). Hatched: farther than 99 % of held-out codes'],
  ['support', 'log q̂(z) − log p(z): low where the prior goes but the data never does. An autoencoder has no prior: there it is log q̂(z)'],
  ['speed', '√det JᵀJ: how fast the image changes with a step on the map'],
]
