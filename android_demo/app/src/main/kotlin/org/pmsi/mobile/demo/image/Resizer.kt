package org.pmsi.mobile.demo.image

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.runtime.CHANNELS

/**
 * Stretches pictures to a fixed size, whatever their proportions are, and cuts out the middle: the contract's
 * preprocessing, bit by bit as Pillow's `resize(..., BILINEAR)` gives it, with which the network was trained.
 *
 * Unlike Android's own scaling it covers every pixel that it leaves out. Pictures that are much taller than wide Pillow
 * 13 shortens before it narrows them, which rounds otherwise here and there. Buffers and weights are kept: pictures of
 * one size after the other allocate nothing.
 */
class Resizer(
    private val stretchedWidth: Int,
    private val stretchedHeight: Int,
    private val width: Int,
    private val height: Int
) {
    /** To the input of the network with this contract. */
    constructor(contract: Contract) : this(contract.resize, contract.resize, contract.crop, contract.crop)

    private val stride = width * CHANNELS
    private val pixels = ByteArray(height * stride)
    private val sums = IntArray(stride)
    private var columns = Axis(stretchedWidth, stretchedWidth, width)
    private var rows = Axis(stretchedHeight, stretchedHeight, height)
    private var row = ByteArray(stretchedWidth * CHANNELS)
    private var narrowed = ByteArray(0)

    /** R, G and B of each pixel, row by row, in an array that the next call overwrites. */
    fun resize(picture: RgbRows): ByteArray {
        adapt(picture)
        for (y in rows.first until rows.end) {
            picture.read(y, row)
            narrow((y - rows.first) * stride)
        }
        for (y in 0 until height) shorten(y)
        return pixels
    }

    private fun adapt(picture: RgbRows) {
        if (columns.length != picture.width) {
            columns = Axis(picture.width, stretchedWidth, width)
            row = ByteArray(picture.width * CHANNELS)
        }
        if (rows.length != picture.height) rows = Axis(picture.height, stretchedHeight, height)
        val needed = (rows.end - rows.first) * stride
        if (narrowed.size < needed) narrowed = ByteArray(needed)
    }

    /** From one row of the picture to one of the final width. */
    private fun narrow(start: Int) {
        var to = start
        for (x in 0 until width) {
            var red = Axis.HALF
            var green = Axis.HALF
            var blue = Axis.HALF
            var from = columns.starts[x] * CHANNELS
            for (index in columns.offsets[x] until columns.offsets[x + 1]) {
                val weight = columns.weights[index]
                red += weight * (row[from++].toInt() and 0xff)
                green += weight * (row[from++].toInt() and 0xff)
                blue += weight * (row[from++].toInt() and 0xff)
            }
            narrowed[to++] = (red shr Axis.BITS).toByte()
            narrowed[to++] = (green shr Axis.BITS).toByte()
            narrowed[to++] = (blue shr Axis.BITS).toByte()
        }
    }

    /** From the narrowed rows to row [y] of the result. */
    private fun shorten(y: Int) {
        sums.fill(Axis.HALF)
        var from = (rows.starts[y] - rows.first) * stride
        for (index in rows.offsets[y] until rows.offsets[y + 1]) {
            val weight = rows.weights[index]
            for (position in 0 until stride) sums[position] += weight * (narrowed[from++].toInt() and 0xff)
        }
        for (position in 0 until stride) pixels[y * stride + position] = (sums[position] shr Axis.BITS).toByte()
    }
}

/**
 * Which pixels of one axis of [length] pixels, and how much of each, make up each of the [count] in the middle of
 * [stretched] new ones: a triangle over twice the distance of two new pixels.
 */
private class Axis(val length: Int, stretched: Int, count: Int) {
    /** The first pixel of each new one. */
    val starts = IntArray(count)

    /** Where the weights of each new pixel begin in [weights]; one more, for their end. */
    val offsets = IntArray(count + 1)

    /** Fixed-point numbers; those of a new pixel sum to 1. */
    val weights: IntArray

    /** The pixels that are needed: from [first] to before [end]. */
    val first: Int
    val end: Int

    init {
        val scale = length.toDouble() / stretched
        val support = max(scale, 1.0)
        // As torchvision's centre crop: halves go to the even neighbour.
        val margin = round((stretched - count) / 2.0).toInt()
        val all = mutableListOf<Int>()
        for (index in 0 until count) {
            val centre = (margin + index + 0.5) * scale
            val start = max((centre - support + 0.5).toInt(), 0)
            val stop = min((centre + support + 0.5).toInt(), length)
            val shares = DoubleArray(stop - start) { max(1 - abs((it + start - centre + 0.5) / support), 0.0) }
            val sum = shares.sum()
            shares.mapTo(all) { (it / sum * (1 shl BITS) + 0.5).toInt() }
            starts[index] = start
            offsets[index + 1] = all.size
        }
        weights = all.toIntArray()
        first = starts.first()
        end = starts.last() + offsets[count] - offsets[count - 1]
    }

    companion object {
        /** Of the fraction: a sum of weighted pixels then fits 31 bits. */
        const val BITS = 22
        const val HALF = 1 shl (BITS - 1)
    }
}
