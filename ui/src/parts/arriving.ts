/** An effect's question: the answer is put in place unless the effect has run again or its part is gone. Give back what it returns. */
export function arriving<T>(asked: Promise<T>, put: (found: T) => void, failed: (error: unknown) => void = () => {}): () => void {
  let here = true
  void asked.then((found) => { if (here) put(found) }, (error: unknown) => { if (here) failed(error) })
  return () => void (here = false)
}
