package org.pmsi.mobile.demo.measure

import kotlin.math.abs
import kotlin.math.log10
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.runtime.Classifier
import org.pmsi.mobile.demo.runtime.isFinite
import org.pmsi.mobile.demo.runtime.top

/** One image: the classes that the training network and this device put first, and the largest difference. */
class SampleComparison(val expectedTop1: Int, val top1: Int, val confident: Boolean, val maxAbsDifference: Double)

/**
 * This device's probabilities against the training network's; shares are in 0..1.
 *
 * [sqnrDb]: signal to noise of the probabilities, null for no difference. [confidentAgreement]: equal first classes
 * where the training network is sure; null where it never is. [notFinite]: images on which an output is not a number,
 * or infinite.
 */
class Comparison(
    val samples: List<SampleComparison>,
    val maxAbsDifference: Double,
    val top1Agreement: Double,
    val sqnrDb: Double?,
    val confidentAgreement: Double?,
    val notFinite: Int
)

/** What the self-check found: [misses] says what is out of the gate's bounds. */
class SelfCheckResult(val gate: Gate, val comparison: Comparison, val misses: List<Sentence>) {
    val passed: Boolean get() = misses.isEmpty()
}

/** Runs the golden samples through the device's own runtime, and compares as pmsi-export does. */
object SelfCheck {
    /**
     * [pixelsOf]: decodes a PNG to R, G and B of each pixel. [progress]: called with the number of images done. Throws
     * what the runtime throws.
     */
    fun run(
        classifier: Classifier,
        golden: Golden,
        pixelsOf: (ByteArray) -> ByteArray,
        progress: (Int) -> Unit = {}
    ): SelfCheckResult {
        val outputs =
            golden.samples.mapIndexed { index, sample ->
                classifier.prepare(pixelsOf(sample.png))
                classifier.run().copyOf().also { progress(index + 1) }
            }
        return judge(classifier.contract, golden.samples.map(GoldenSample::probabilities), outputs)
    }

    /** Applies the contract's gate to probabilities of the same images. */
    fun judge(contract: Contract, expected: List<FloatArray>, outputs: List<FloatArray>): SelfCheckResult {
        val gate = Gate.of(contract.precision)
        val comparison = compare(expected, outputs, contract.topK != null)
        return SelfCheckResult(gate, comparison, gate.misses(comparison))
    }

    private fun compare(expected: List<FloatArray>, outputs: List<FloatArray>, topK: Boolean): Comparison {
        var signal = 0.0
        var noise = 0.0
        val samples =
            expected.zip(outputs) { reference, output ->
                val differences = differences(if (topK) largest(reference, output) else reference, output)
                signal += reference.sumOf { it.toDouble() * it }
                noise += differences.sumOf { it * it }
                val (first, second) = reference.top(2).padded()
                SampleComparison(
                    expectedTop1 = first.index,
                    top1 = output.top(1).first().index,
                    confident = first.value - second.value >= CONFIDENT_MARGIN,
                    maxAbsDifference = differences.max()
                )
            }
        return Comparison(
            samples = samples,
            maxAbsDifference = samples.maxOf { it.maxAbsDifference },
            top1Agreement = agreement(samples) ?: 1.0,
            sqnrDb = if (noise > 0) 10 * log10(signal / noise) else null,
            confidentAgreement = agreement(samples.filter { it.confident }),
            notFinite = outputs.count { !it.isFinite() }
        )
    }

    /** An output that is not a number, or infinite, counts as off by 1. */
    private fun differences(reference: FloatArray, output: FloatArray) = DoubleArray(reference.size) { index ->
        abs(output[index].toDouble() - reference[index]).let { if (it.isFinite()) it else 1.0 }
    }

    /** Of a top-k file: a class that it leaves out is off by what it has more than the least of those it gives. */
    private fun largest(reference: FloatArray, output: FloatArray): FloatArray {
        val least = reference.filterIndexed { index, _ -> output[index] > 0 }.minOrNull() ?: 0f
        return FloatArray(reference.size) { if (output[it] > 0) reference[it] else maxOf(reference[it] - least, 0f) }
    }

    private fun agreement(samples: List<SampleComparison>): Double? =
        if (samples.isEmpty()) null else samples.count { it.top1 == it.expectedTop1 }.toDouble() / samples.size

    /** A network of one class has no second one. */
    private fun List<IndexedValue<Float>>.padded() = this + IndexedValue(-1, 0f)
}
