package org.pmsi.mobile.demo.contract

import java.io.File
import java.io.RandomAccessFile

/**
 * The contract among an ONNX file's `metadata_props`, found by walking over the fields of the file's outermost message:
 * the graph, nearly all of the file, is stepped over. Source: onnx.proto, ModelProto and StringStringEntryProto.
 */
internal object OnnxMetadata {
    private const val CONTRACT = "pmsi.contract"

    /** The last entry: the SHA-256 of all bytes before it. */
    private const val DIGEST = "pmsi.sha256"

    private const val METADATA_PROPS = 14
    private const val KEY = 1
    private const val VALUE = 2
    private const val VARINT = 0
    private const val BYTES = 2
    private const val MAX_VARINT_BITS = 63
    private const val MAX_ENTRY = 1 shl 24

    private class Entry(val start: Long, val value: String)

    /** Null for a file without a contract. Throws [DamagedFile]. */
    fun extract(bytes: RandomAccessFile, file: File): Embedded? {
        val entries = entries(bytes)
        val contract = entries[CONTRACT] ?: return null
        val digest = entries[DIGEST]
        if (digest?.value !=
            sha256(file, digest?.start ?: 0)
        ) {
            throw DamagedFile("its bytes are not those that were written")
        }
        return Embedded(contract.value, contract.start)
    }

    private fun entries(file: RandomAccessFile): Map<String, Entry> = buildMap {
        file.fields(file.length()) { number, start, end ->
            if (number == METADATA_PROPS) {
                val texts = mutableMapOf<Int, String>()
                file.fields(end) { field, _, stop -> texts[field] = file.text(stop) }
                val key = texts[KEY] ?: throw DamagedFile("an entry of its metadata has no name")
                put(key, Entry(start, texts[VALUE].orEmpty()))
            }
            file.seek(end)
        }
    }

    /** Visits the fields from here to [limit]: a field's number, where it begins and where it ends. */
    private inline fun RandomAccessFile.fields(limit: Long, visit: (number: Int, start: Long, end: Long) -> Unit) {
        while (filePointer < limit) {
            val start = filePointer
            val tag = varint(limit)
            val value = varint(limit)
            val end =
                when ((tag and 7).toInt()) {
                    BYTES -> filePointer + value
                    VARINT -> filePointer
                    else -> throw DamagedFile("it is not an ONNX model")
                }
            if (end !in filePointer..limit) throw DamagedFile("a part of it is missing")
            visit((tag shr 3).toInt(), start, end)
        }
    }

    private fun RandomAccessFile.varint(limit: Long): Long {
        var value = 0L
        for (shift in 0..MAX_VARINT_BITS step 7) {
            if (filePointer >= limit) throw DamagedFile("a part of it is missing")
            val byte = read()
            value = value or ((byte and 127).toLong() shl shift)
            if (byte < 128) return value
        }
        throw DamagedFile("it is not an ONNX model")
    }

    private fun RandomAccessFile.text(end: Long): String {
        val length = end - filePointer
        if (length > MAX_ENTRY) throw DamagedFile("an entry of its metadata is too long")
        return ByteArray(length.toInt()).also(::readFully).decodeToString()
    }
}
