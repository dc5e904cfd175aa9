package org.pmsi.mobile.demo.contract

import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.runtime.CHANNELS

/** The longest side that an input may have, in pixels. */
const val MAX_SIDE = 4096

private val FORMATS = mapOf("tflite" to "tflite", "onnx" to "onnx", "pte" to "executorch")

/**
 * What of a contract contradicts itself or the file called [file] that it is in; null where nothing does. [input] and
 * [output]: the shapes that it gives.
 */
internal fun contradiction(contract: Contract, file: String, input: List<Int>, output: List<Int>): Sentence? {
    val (crop, resize, classes) = Triple(contract.crop, contract.resize, contract.classes.size)
    val given = contract.topK ?: classes
    return when {
        FORMATS[file.substringAfterLast('.')] != contract.format ->
            Sentence(R.string.contract_format, contract.format)
        crop !in 1..MAX_SIDE || resize !in crop..MAX_SIDE ->
            Sentence(R.string.contract_sizes, resize, crop, MAX_SIDE)
        input != inputShape(contract.layout, crop) ->
            Sentence(R.string.contract_input, input.toString(), crop)
        (contract.precision == "int8") != (contract.dtype == Dtype.UINT8) ->
            Sentence(R.string.contract_dtype, contract.precision, contract.dtype.name.lowercase())
        given !in 1..classes || output != listOf(1, given) ->
            Sentence(R.string.contract_output, output.toString(), given, classes)
        else -> null
    }
}

private fun inputShape(layout: Layout, side: Int) = when (layout) {
    Layout.NHWC -> listOf(1, side, side, CHANNELS)
    Layout.NCHW -> listOf(1, CHANNELS, side, side)
}
