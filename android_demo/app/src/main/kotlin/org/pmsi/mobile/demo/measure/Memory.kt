package org.pmsi.mobile.demo.measure

import java.io.File
import java.io.IOException

private const val KIBIBYTE = 1024L

/** Bytes of memory that this process holds now. */
fun residentBytes(): Long? = processStatus("VmRSS")

/** The most that it ever held. */
fun peakResidentBytes(): Long? = processStatus("VmHWM")

private fun processStatus(key: String): Long? = try {
    File("/proc/self/status")
        .readLines()
        .firstOrNull { it.startsWith("$key:") }
        ?.filter(Char::isDigit)
        ?.toLong()
        ?.times(KIBIBYTE)
} catch (_: IOException) {
    null
}
