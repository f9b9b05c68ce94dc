/** Which of a cluster's 16,384 slots a key belongs to; each slot is on one of its nodes. */

/** How many there are. */
export const SLOTS = 16_384;

const encoder = new TextEncoder();
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/** The slot of a key. Only what stands between its first braces counts, where something does: the hash tag. */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  const counted = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of encoder.encode(counted)) crc = ((crc << 8) ^ table[(crc >> 8) ^ byte]) & 0xffff;
  return crc % SLOTS;
}
