package org.pmsi.mobile.demo.contract

import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence

/**
 * The zip archive behind a .tflite or .pte model: its last two entries, stored, are the labels and the contract.
 *
 * Read here and not by `java.util.zip`, which checks no sums and, depending on the version of Android, may want a zip
 * file to begin with an entry. Field positions are those of the ZIP specification (APPNOTE.TXT, 4.3).
 */
internal object ZipTail {
    private const val CONTRACT = "pmsi.json"
    private const val LABELS = "labels.txt"

    private const val END = 0x06054b50
    private const val END_SIZE = 22
    private const val END_ENTRIES = 10
    private const val END_DIRECTORY_SIZE = 12
    private const val END_DIRECTORY_START = 16

    private const val ENTRY = 0x02014b50
    private const val ENTRY_SIZE = 46
    private const val ENTRY_CRC = 16
    private const val ENTRY_LENGTH = 24
    private const val ENTRY_NAME_LENGTH = 28
    private const val ENTRY_EXTRA_LENGTH = 30
    private const val ENTRY_COMMENT_LENGTH = 32
    private const val ENTRY_START = 42

    private const val LOCAL = 0x04034b50
    private const val LOCAL_SIZE = 30
    private const val LOCAL_NAME_LENGTH = 26
    private const val LOCAL_EXTRA_LENGTH = 28

    /** Bytes of a directory: the names of a few dozen files. */
    private const val MAX_DIRECTORY = 1 shl 20

    private class Entry(val name: String, val start: Long, val length: Int, val crc: Int)

    /** Null for a file without a contract. Throws [DamagedFile]. */
    fun extract(file: RandomAccessFile): Embedded? = try {
        val added = directory(file).takeLast(2).associateBy { it.name }
        val labels = added[LABELS]
        val contract = added[CONTRACT]
        if (labels == null || contract == null) {
            null
        } else {
            Embedded(content(file, contract), labels.start, sealed = false, labels = content(file, labels))
        }
    } catch (_: IndexOutOfBoundsException) {
        throw DamagedFile(R.string.damaged_archive)
    }

    /** Empty for a file that does not end as a zip file does. */
    private fun directory(file: RandomAccessFile): List<Entry> {
        val end = if (file.length() < END_SIZE) null else file.bytes(file.length() - END_SIZE, END_SIZE)
        if (end?.getInt(0) != END) return emptyList()
        val directory = file.bytes(end.unsignedInt(END_DIRECTORY_START), end.getInt(END_DIRECTORY_SIZE), MAX_DIRECTORY)
        var position = 0
        return List(end.unsignedShort(END_ENTRIES)) {
            if (directory.getInt(position) != ENTRY) throw DamagedFile(R.string.damaged_archive)
            val nameLength = directory.unsignedShort(position + ENTRY_NAME_LENGTH)
            val entry =
                Entry(
                    name = String(directory.array(), position + ENTRY_SIZE, nameLength),
                    start = directory.unsignedInt(position + ENTRY_START),
                    length = directory.getInt(position + ENTRY_LENGTH),
                    crc = directory.getInt(position + ENTRY_CRC)
                )
            position += ENTRY_SIZE + nameLength +
                directory.unsignedShort(position + ENTRY_EXTRA_LENGTH) +
                directory.unsignedShort(position + ENTRY_COMMENT_LENGTH)
            entry
        }
    }

    private fun content(file: RandomAccessFile, entry: Entry): String {
        val local = file.bytes(entry.start, LOCAL_SIZE)
        val start =
            entry.start + LOCAL_SIZE + local.unsignedShort(LOCAL_NAME_LENGTH) + local.unsignedShort(LOCAL_EXTRA_LENGTH)
        val content = file.bytes(start, entry.length).array()
        val crc = CRC32().apply { update(content) }.value.toInt()
        val intact = local.getInt(0) == LOCAL && crc == entry.crc
        if (!intact) throw DamagedFile(Sentence(R.string.damaged_entry, entry.name))
        return String(content)
    }

    private fun ByteBuffer.unsignedShort(position: Int) = getShort(position).toInt() and 0xffff

    private fun ByteBuffer.unsignedInt(position: Int) = Integer.toUnsignedLong(getInt(position))

    private fun RandomAccessFile.bytes(start: Long, length: Int, most: Int = MAX_CONTRACT): ByteBuffer {
        if (length > most) throw DamagedFile(R.string.damaged_too_long)
        if (start < 0 || length < 0 || start > length() - length) throw DamagedFile(R.string.damaged_part)
        val bytes = ByteArray(length)
        seek(start)
        readFully(bytes)
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
    }
}
