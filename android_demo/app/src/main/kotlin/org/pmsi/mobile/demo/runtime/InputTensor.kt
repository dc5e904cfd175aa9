package org.pmsi.mobile.demo.runtime

import java.nio.ByteBuffer
import java.nio.FloatBuffer
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.Dtype
import org.pmsi.mobile.demo.contract.Layout

/** Red, green and blue. */
const val CHANNELS = 3

/** The network's one input image, in memory that runtimes read where it is: the contract's layout and type. */
class InputTensor(contract: Contract) {
    private val side = contract.crop
    private val size = side * side * CHANNELS
    private val planes = contract.layout == Layout.NCHW

    // Arrays are filled much faster than buffers, which take them whole.
    private val stagedBytes = ByteArray(size)
    private val stagedFloats = FloatArray(if (contract.dtype == Dtype.FLOAT32) size else 0)

    /** [1, 3, H, W] or [1, H, W, 3]. */
    val shape: LongArray =
        side.toLong().let {
            if (planes) longArrayOf(1, CHANNELS.toLong(), it, it) else longArrayOf(1, it, it, CHANNELS.toLong())
        }

    /** The tensor's memory, in native order. */
    val bytes: ByteBuffer = directBuffer(if (contract.dtype == Dtype.FLOAT32) size * Float.SIZE_BYTES else size)

    /** The same memory as numbers; null for an input of bytes. */
    val floats: FloatBuffer? = if (contract.dtype == Dtype.FLOAT32) bytes.asFloatBuffer() else null

    /** Takes an image: R, G and B of each pixel, row by row. */
    fun fill(pixels: ByteArray) {
        require(pixels.size == size) { "${pixels.size} bytes are not $side x $side pixels" }
        val ordered = if (planes) inPlanes(pixels) else pixels
        if (floats == null) {
            bytes.put(ordered).toStart()
        } else {
            for (index in ordered.indices) stagedFloats[index] = (ordered[index].toInt() and 0xff).toFloat()
            floats.put(stagedFloats).toStart()
        }
    }

    private fun inPlanes(pixels: ByteArray): ByteArray {
        val plane = side * side
        var from = 0
        for (pixel in 0 until plane) {
            for (channel in 0 until CHANNELS) stagedBytes[channel * plane + pixel] = pixels[from++]
        }
        return stagedBytes
    }
}
