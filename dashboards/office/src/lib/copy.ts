/** Puts a text into the clipboard. If that fails, it stays selected, and a person presses the keys. */
export async function copied(text: string, select: () => void): Promise<boolean> {
  // Present only on https and localhost.
  if (isSecureContext && navigator.clipboard !== undefined) {
    if (await navigator.clipboard.writeText(text).then(() => true, () => false)) return true;
  }
  // Plain HTTP: the old way.
  select();
  try {
    return document.execCommand('copy');
  } catch {
    return false;
  }
}
