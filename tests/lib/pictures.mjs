// Pictures for tests: PNGs made of pixels, and the small files of other formats that the image fuzzer starts from.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { root } from './weir.mjs';

/** One of tests/fuzz/corpus/image/: jpeg, jpeg_exif, gif, webp_lossy, …: 3 x 2 pixels. */
export const sample = (name) => readFileSync(path.join(root, 'tests', 'fuzz', 'corpus', 'image', name));

const table = [...Array(256)].map((_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0; });
const crc = (bytes) => { let c = 0xffffffff; for (const byte of bytes) c = table[(c ^ byte) & 255] ^ (c >>> 8); return (c ^ 0xffffffff) >>> 0; };

function piece(type, data) {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  data.copy(out, 8);
  out.writeUInt32BE(crc(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
}

/** A PNG of one colour. claim: what its head says instead of the truth; text: a comment inside. */
export function png(width, height, { colour = [200, 80, 40], claim = [width, height], text = '' } = {}) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(claim[0], 0);
  head.writeUInt32BE(claim[1], 4);
  head.set([8, 2, 0, 0, 0], 8);
  const line = Buffer.concat([Buffer.from([0]), Buffer.alloc(width * 3, Buffer.from(colour))]);
  const pixels = zlib.deflateSync(Buffer.concat([...Array(height)].map(() => line)));
  const comment = text ? [piece('tEXt', Buffer.from(`Comment\0${text}`, 'latin1'))] : [];
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), piece('IHDR', head), ...comment, piece('IDAT', pixels), piece('IEND', Buffer.alloc(0))]);
}

/** What a PNG or JPEG is: { type, width, height }. */
export function look(bytes) {
  if (bytes.subarray(1, 4).toString('latin1') === 'PNG') return { type: 'png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return { type: 'unknown' };
  for (let at = 2; at + 9 < bytes.length;) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xc2) return { type: 'jpg', width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return { type: 'jpg' };
}
