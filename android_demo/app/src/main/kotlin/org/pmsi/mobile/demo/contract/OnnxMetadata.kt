package org.pmsi.mobile.demo.contract

import java.io.File
import java.io.RandomAccessFile
import org.pmsi.mobile.demo.R

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

    private class Entry(val start: Long, val value: String)

    /** Null for a file without a contract. Throws [DamagedFile]. */
    fun extract(bytes: RandomAccessFile, file: File): Embedded? {
        val entries = entries(bytes)
        val contract = entries[CONTRACT] ?: return null
        val digest = entries[DIGEST]
        if (digest?.value != sha256(file, digest?.start ?: 0)) throw DamagedFile(R.string.damaged_bytes)
        return Embedded(contract.value, contract.start, sealed = true, labels = null)
    }

    private fun entries(file: RandomAccessFile): Map<String, Entry> = buildMap {
        file.fields(file.length()) { number, start, end ->
            if (number == METADATA_PROPS) {
                val places = mutableMapOf<Int, LongRange>()
                file.fields(end) { field, _, stop ->
                    places[field] = file.filePointer until stop
                    file.seek(stop)
                }
                val key = places[KEY]?.let { file.text(it) } ?: throw DamagedFile(R.string.damaged_nameless)
                // Others may be of any length.
                if (key == CONTRACT || key == DIGEST) {
                    val value = places[VALUE]?.let { file.text(it) }
                    put(key, Entry(start, value.orEmpty()))
                }
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
                    else -> throw DamagedFile(R.string.damaged_onnx)
                }
            if (end !in filePointer..limit) throw DamagedFile(R.string.damaged_part)
            visit((tag shr 3).toInt(), start, end)
        }
    }

    private fun RandomAccessFile.varint(limit: Long): Long {
        var value = 0L
        for (shift in 0..MAX_VARINT_BITS step 7) {
            if (filePointer >= limit) throw DamagedFile(R.string.damaged_part)
            val byte = read()
            value = value or ((byte and 127).toLong() shl shift)
            if (byte < 128) return value
        }
        throw DamagedFile(R.string.damaged_onnx)
    }

    private fun RandomAccessFile.text(place: LongRange): String {
        val length = place.last - place.first + 1
        if (length > MAX_CONTRACT) throw DamagedFile(R.string.damaged_too_long)
        seek(place.first)
        return ByteArray(length.toInt()).also(::readFully).decodeToString()
    }
}
