package org.pmsi.mobile.demo.contract

import java.io.File
import java.security.MessageDigest

private const val CHUNK = 1 shl 16

/** SHA-256 of the first [length] bytes of a file, in hexadecimal. */
fun sha256(file: File, length: Long = file.length()): String {
    val digest = MessageDigest.getInstance("SHA-256")
    val chunk = ByteArray(CHUNK)
    file.inputStream().use { stream ->
        var left = length
        while (left > 0) {
            val read = stream.read(chunk, 0, minOf(left, CHUNK.toLong()).toInt())
            if (read < 0) break
            digest.update(chunk, 0, read)
            left -= read
        }
    }
    return digest.digest().hexadecimal()
}

/** SHA-256 of [bytes], in hexadecimal. */
fun sha256(bytes: ByteArray): String = MessageDigest.getInstance("SHA-256").digest(bytes).hexadecimal()

private fun ByteArray.hexadecimal() = joinToString("") { "%02x".format(it) }
