package org.pmsi.mobile.demo.image

/**
 * How a stored picture has to be turned to stand upright; [exif] is the number that EXIF gives it.
 *
 * The stored pixel of the upright one in column x of row y is in column x of row y, with the two exchanged when
 * [transposed], then counted from the right when [fromRight], and from the bottom when [fromBottom].
 */
enum class Orientation(val exif: Int, val transposed: Boolean, val fromRight: Boolean, val fromBottom: Boolean) {
    UPRIGHT(1, transposed = false, fromRight = false, fromBottom = false),
    MIRRORED(2, transposed = false, fromRight = true, fromBottom = false),
    HALF_TURN(3, transposed = false, fromRight = true, fromBottom = true),
    FLIPPED(4, transposed = false, fromRight = false, fromBottom = true),
    TRANSPOSED(5, transposed = true, fromRight = false, fromBottom = false),
    QUARTER_TURN(6, transposed = true, fromRight = false, fromBottom = true),
    TRANSVERSE(7, transposed = true, fromRight = true, fromBottom = true),
    THREE_QUARTER_TURN(8, transposed = true, fromRight = true, fromBottom = false)
    ;

    companion object {
        /** Upright for a number that EXIF does not know. */
        fun ofExif(number: Int): Orientation = entries.firstOrNull { it.exif == number } ?: UPRIGHT

        /** To be turned clockwise by [degrees], a multiple of 90. */
        fun ofDegrees(degrees: Int): Orientation = when (Math.floorMod(degrees, 360)) {
            0 -> UPRIGHT
            90 -> QUARTER_TURN
            180 -> HALF_TURN
            270 -> THREE_QUARTER_TURN
            else -> throw IllegalArgumentException("a turn by $degrees degrees")
        }
    }
}
