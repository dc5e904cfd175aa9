package org.pmsi.mobile.demo.image

import android.media.Image
import java.nio.ByteBuffer
import org.pmsi.mobile.demo.runtime.CHANNELS
import org.pmsi.mobile.demo.runtime.toStart

/**
 * What the numbers of Y, Cb and Cr mean (BT.601).
 *
 * [black]: Y of black. [lumaGain], [chromaGain]: to a scale of 0..255.
 */
enum class ColourRange(internal val black: Int, internal val lumaGain: Double, internal val chromaGain: Double) {
    /** All of 0..255, as in a JPEG: what Camera2 gives. */
    FULL(0, 1.0, 1.0),

    /** Y from 16 to 235, Cb and Cr from 16 to 240, as in a video. */
    LIMITED(16, 255.0 / 219, 255.0 / 224)
}

/**
 * A camera frame of format YUV_420_888, read upright and in RGB.
 *
 * Loading copies the planes, so that the camera has its buffers back at once. Frames of one size after the other
 * allocate nothing.
 */
class CameraFrame(range: ColourRange = ColourRange.FULL) : RgbRows {
    override var width = 0
        private set
    override var height = 0
        private set

    private val colours = Colours(range)
    private val luma = Plane()
    private val cb = Plane()
    private val cr = Plane()
    private var orientation = Orientation.UPRIGHT
    private var storedWidth = 0
    private var storedHeight = 0

    /** Takes a frame of the camera. [rotation]: by how many degrees it has to be turned clockwise to stand upright. */
    fun load(image: Image, rotation: Int) {
        place(image.width, image.height, rotation)
        image.planes.forEachIndexed { index, plane -> copy(index, plane.buffer, plane.rowStride, plane.pixelStride) }
    }

    /** The first half of [load]: the size of the frame that is copied next. */
    internal fun place(width: Int, height: Int, rotation: Int) {
        orientation = Orientation.ofDegrees(rotation)
        storedWidth = width
        storedHeight = height
        this.width = if (orientation.transposed) height else width
        this.height = if (orientation.transposed) width else height
    }

    /** The second half, once for each plane: Y, Cb and Cr. */
    internal fun copy(index: Int, bytes: ByteBuffer, rowStride: Int, pixelStride: Int) {
        val plane =
            when (index) {
                0 -> luma
                1 -> cb
                else -> cr
            }
        plane.copy(bytes, rowStride, pixelStride)
    }

    override fun read(y: Int, row: ByteArray) {
        val turned = orientation.transposed
        val column = if (turned) y else 0
        val line = if (turned) 0 else y
        var storedX = if (orientation.fromRight) storedWidth - 1 - column else column
        var storedY = if (orientation.fromBottom) storedHeight - 1 - line else line
        val stepX = if (turned) {
            0
        } else if (orientation.fromRight) {
            -1
        } else {
            1
        }
        val stepY = if (!turned) {
            0
        } else if (orientation.fromBottom) {
            -1
        } else {
            1
        }
        var to = 0
        while (to < width * CHANNELS) {
            colours.write(
                luma.at(storedX, storedY),
                cb.at(storedX / 2, storedY / 2),
                cr.at(storedX / 2, storedY / 2),
                row,
                to
            )
            to += CHANNELS
            storedX += stepX
            storedY += stepY
        }
    }
}

private class Plane {
    private var bytes = ByteArray(0)
    private var rowStride = 0
    private var pixelStride = 0

    fun copy(source: ByteBuffer, rowStride: Int, pixelStride: Int) {
        source.toStart()
        if (bytes.size < source.remaining()) bytes = ByteArray(source.remaining())
        source.get(bytes, 0, source.remaining())
        this.rowStride = rowStride
        this.pixelStride = pixelStride
    }

    fun at(x: Int, y: Int): Int = bytes[y * rowStride + x * pixelStride].toInt() and 0xff
}

/** From Y, Cb and Cr to R, G and B (BT.601, as JFIF gives it) by fixed-point tables, rounded as libjpeg does. */
private class Colours(range: ColourRange) {
    private val luma = table { (it - range.black) * range.lumaGain + 0.5 }
    private val redOfCr = table { 1.402 * range.chromaGain * (it - 128) }
    private val greenOfCb = table { -0.344136 * range.chromaGain * (it - 128) }
    private val greenOfCr = table { -0.714136 * range.chromaGain * (it - 128) }
    private val blueOfCb = table { 1.772 * range.chromaGain * (it - 128) }

    fun write(y: Int, cb: Int, cr: Int, row: ByteArray, to: Int) {
        row[to] = byte(luma[y] + redOfCr[cr])
        row[to + 1] = byte(luma[y] + greenOfCb[cb] + greenOfCr[cr])
        row[to + 2] = byte(luma[y] + blueOfCb[cb])
    }

    private fun byte(value: Int) = (value shr BITS).coerceIn(0, 255).toByte()

    private fun table(value: (Int) -> Double) = IntArray(256) { Math.round(value(it) * (1 shl BITS)).toInt() }

    private companion object {
        const val BITS = 16
    }
}
