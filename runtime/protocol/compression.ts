/**
 * Compression of bodies, as kombu names it. A worker decompresses what others send, so the decompressed size is
 * bounded while it is decompressed, not after.
 */
import type * as Zlib from "node:zlib";
import { BadMessageError, quoted, RefusedContentError } from "./bad_message.ts";

interface Method {
  readonly names: readonly string[];
  readonly mime: string;
  readonly compress: (bytes: Uint8Array) => Uint8Array;
  readonly decompress: (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
}

let loaded: typeof Zlib | undefined;

/** Loaded when a body is compressed at all: it would take as long as all the rest of an isolate's start. */
function zlib(): typeof Zlib {
  const { process } = globalThis as unknown as { process: { getBuiltinModule(id: string): typeof Zlib } };
  return loaded ??= process.getBuiltinModule("node:zlib");
}

/** Brotli's own default takes seconds for a megabyte; this level is nearly as tight. */
const BROTLI_QUALITY = 5;

/** kombu's own "gzip" is the zlib format under gzip's name; `unzipSync` reads real gzip too. Node 20 has no zstd. */
const METHODS: readonly Method[] = [
  {
    names: ["zlib", "gzip"],
    mime: "application/x-gzip",
    compress: (bytes) => zlib().deflateSync(bytes),
    decompress: (bytes, options) => zlib().unzipSync(bytes, options),
  },
  {
    names: ["zstd", "zstandard"],
    mime: "application/zstd",
    compress: (bytes) => zlib().zstdCompressSync(bytes),
    decompress: (bytes, options) => zlib().zstdDecompressSync(bytes, options),
  },
  {
    names: ["brotli"],
    mime: "application/x-brotli",
    compress: (bytes) =>
      zlib().brotliCompressSync(bytes, {
        params: { [zlib().constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY },
      }),
    decompress: (bytes, options) => zlib().brotliDecompressSync(bytes, options),
  },
];

/**
 * The content type that goes into the header `compression`.
 * @throws {RefusedContentError} For bzip2 and lzma, which no JavaScript runtime has, and for unknown names.
 */
export function mimeOf(name: string): string {
  return methodOf(name).mime;
}

/** Compresses with a method of kombu's: `"zlib"`, `"gzip"`, `"zstd"` or `"brotli"`. @throws as {@linkcode mimeOf} */
export function compress(name: string, bytes: Uint8Array): Uint8Array {
  return methodOf(name).compress(bytes);
}

/**
 * Decompresses a body whose header `compression` is `mime`.
 * What was cut short may come out as its beginning (Zstandard and Brotli in Deno and Bun): serializers refuse that.
 * @throws {BadMessageError} When it is damaged, or would be larger than `maxBytes`.
 * @throws {RefusedContentError} When the method is not one that is read here.
 */
export function decompress(mime: string, bytes: Uint8Array, maxBytes: number): Uint8Array {
  const method = methodOf(mime);
  try {
    const body = method.decompress(bytes, { maxOutputLength: maxBytes });
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

function methodOf(wanted: string): Method {
  const hasZstd = typeof zlib().zstdCompressSync === "function";
  const usable = METHODS.filter(({ names }) => names[0] !== "zstd" || hasZstd);
  const method = usable.find(({ names, mime }) => mime === wanted || names.includes(wanted));
  if (method !== undefined) return method;
  throw new RefusedContentError("refused compression", {
    detail: `${quoted(wanted)} is not available in this runtime: use ${
      usable.map(({ names }) => names[0]).join(", ")
    }`,
  });
}
