package org.pmsi.mobile.demo.image

/** A picture as people see it, upright, read row by row. */
interface RgbRows {
    val width: Int
    val height: Int

    /**
     * Writes row [y] to [row]: R, G and B of each pixel from the left, 3 x width bytes. Rows are asked for in rising
     * order.
     */
    fun read(y: Int, row: ByteArray)
}
