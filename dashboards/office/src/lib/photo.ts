// A picture from a phone's camera, made small enough to be sent from a cellar and kept for years; where it was taken goes with the rest.

/** What the gateway takes. */
const MOST_BYTES = 120 * 1024;
/** Digits on a dial can be read well below. */
const SIDES = [1280, 1024, 800];
const QUALITIES = [0.75, 0.6, 0.45];

/** The size of a picture whose longer side is at most `side`. */
export function fitted(width: number, height: number, side: number): { width: number; height: number } {
  const by = Math.min(1, side / Math.max(width, height, 1));
  return { width: Math.max(1, Math.round(width * by)), height: Math.max(1, Math.round(height * by)) };
}

/** A JPEG of it; null where the file is no picture, or cannot be made small enough. */
export async function small(file: Blob): Promise<Blob | null> {
  try {
    const picture = await createImageBitmap(file);
    const canvas = document.createElement('canvas');
    const paper = canvas.getContext('2d');
    for (const side of SIDES) {
      const size = fitted(picture.width, picture.height, side);
      Object.assign(canvas, size);
      paper?.drawImage(picture, 0, 0, size.width, size.height);
      for (const quality of QUALITIES) {
        const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/jpeg', quality));
        if (blob !== null && blob.size <= MOST_BYTES) return blob;
      }
    }
    return null;
  } catch {
    return null;
  }
}

/** Where the gateway keeps the picture of an entry. */
export const photoOf = (entry: number): string => `/api/v1/ledger/${entry}/photo`;
