/**
 * Compression of bodies, as kombu names it. A worker decompresses what others send, so the decompressed size is
 * bounded while it is decompressed, not after.
 */
import * as zlib from "node:zlib";
import { BadMessageError, quoted, RefusedContentError } from "./bad_message.ts";

interface Method {
  readonly names: readonly string[];
  readonly mime: string;
  readonly compress?: (bytes: Uint8Array) => Uint8Array;
  readonly decompress?: (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
}

/** Brotli's own default takes seconds for a megabyte; this level is nearly as tight. */
const QUICK_BROTLI = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } };

/** kombu's own "gzip" is the zlib format under gzip's name; `unzipSync` reads real gzip too. Node 20 has no zstd. */
const METHODS: readonly Method[] = [
  {
    names: ["zlib", "gzip"],
    mime: "application/x-gzip",
    compress: zlib.deflateSync,
    decompress: zlib.unzipSync,
  },
  {
    names: ["zstd", "zstandard"],
    mime: "application/zstd",
    compress: zlib.zstdCompressSync,
    decompress: zlib.zstdDecompressSync,
  },
  {
    names: ["brotli"],
    mime: "application/x-brotli",
    compress: (bytes) => zlib.brotliCompressSync(bytes, QUICK_BROTLI),
    decompress: zlib.brotliDecompressSync,
  },
  { names: ["bzip2", "bzip"], mime: "application/x-bz2" },
  { names: ["lzma", "xz"], mime: "application/x-lzma" },
];

const USABLE = METHODS.filter((method) => method.compress !== undefined).map((method) => method.names[0]);

/**
 * The content type that goes into the header `compression`.
 * @throws {RefusedContentError} For bzip2 and lzma, which no JavaScript runtime has, and for unknown names.
 */
export function mimeOf(name: string): string {
  return usable(name, (method) => method.names.includes(name) || method.mime === name).mime;
}

/** Compresses with a method of kombu's: `"zlib"`, `"gzip"`, `"zstd"` or `"brotli"`. @throws as {@linkcode mimeOf} */
export function compress(name: string, bytes: Uint8Array): Uint8Array {
  return usable(name, (method) => method.names.includes(name) || method.mime === name).compress!(bytes);
}

/**
 * Decompresses a body whose header `compression` is `mime`.
 * What was cut short may come out as its beginning (Zstandard and Brotli in Deno and Bun): serializers refuse that.
 * @throws {BadMessageError} When it is damaged, or would be larger than `maxBytes`.
 * @throws {RefusedContentError} When the method is not one that is read here.
 */
export function decompress(mime: string, bytes: Uint8Array, maxBytes: number): Uint8Array {
  const method = usable(mime, (method) => method.mime === mime || method.names.includes(mime));
  try {
    const body = method.decompress!(bytes, { maxOutputLength: maxBytes });
    // Deno gives nothing for what is no Brotli at all; no serializer writes nothing.
    if (body.length > 0) return body;
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE") {
      throw new BadMessageError("too large", { detail: `more than ${maxBytes} bytes decompressed`, cause });
    }
    throw new BadMessageError("wrong compression", { detail: `the body is not ${method.names[0]}`, cause });
  }
  throw new BadMessageError("wrong compression", { detail: `the body is not ${method.names[0]}` });
}

function usable(wanted: string, matches: (method: Method) => boolean): Method {
  const method = METHODS.find(matches);
  if (method?.compress !== undefined) return method;
  throw new RefusedContentError("refused compression", {
    detail: `${quoted(wanted)} is not available in this runtime: use ${USABLE.join(", ")}`,
  });
}
