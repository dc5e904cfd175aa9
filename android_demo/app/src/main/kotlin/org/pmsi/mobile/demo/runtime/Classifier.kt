package org.pmsi.mobile.demo.runtime

import java.io.Closeable
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ModelProblem

/**
 * A loaded model. Its buffers are its own and are reused: for one thread at a time.
 *
 * [delegate]: what it runs on; how much of a file a delegate leaves to the processor the runtimes do not tell.
 * [note]: why that is not what was asked for; null when it is.
 */
class Classifier internal constructor(
    val contract: Contract,
    val runtime: InferenceRuntime,
    val delegate: Delegate,
    val note: Sentence?,
    private val input: InputTensor,
    private val graph: Graph
) : Closeable {
    private val probabilities = FloatArray(contract.classes.size)
    private val largest = FloatArray(contract.topK ?: 0)
    private val indices = IntArray(contract.topK ?: 0)
    private val score = FloatArray(if (contract.givesUnknownScore) 1 else 0)

    /** How little the last image is like any class; null of a file that does not give it. */
    val unknownScore: Float? get() = score.firstOrNull()

    /** Hands over an image of crop x crop pixels: R, G and B of each pixel, row by row. */
    fun prepare(pixels: ByteArray) = input.fill(pixels)

    /**
     * The probabilities of the image that was handed over, one for each class, in an array that the next run
     * overwrites. Of a top-k file those of the k most likely classes, and zeros. Where the unknown score is not a
     * number, or infinite, they are no numbers either. Throws what the runtime throws.
     */
    fun run(): FloatArray {
        if (indices.isEmpty()) {
            graph.run(probabilities, indices, score)
        } else {
            graph.run(largest, indices, score)
            probabilities.fill(0f)
            for (rank in indices.indices) probabilities[indices[rank]] = largest[rank]
        }
        if (!score.isFinite()) probabilities.fill(Float.NaN)
        return probabilities
    }

    /** Both steps. Throws [ModelProblem] for what are no probabilities: not numbers, or infinite. */
    fun classify(pixels: ByteArray): FloatArray {
        prepare(pixels)
        return run().also { requireProbabilities(it) }
    }

    /** Throws [ModelProblem] when one of [outputs] is not a number, or infinite. */
    fun requireProbabilities(outputs: FloatArray) {
        if (!outputs.isFinite()) throw ModelProblem(Sentence(R.string.model_not_finite, delegate.title))
    }

    override fun close() = graph.close()
}

/** Whether all of them are numbers, and none infinite. */
fun FloatArray.isFinite(): Boolean = all(Float::isFinite)

/** The [count] most likely classes, falling. */
fun FloatArray.top(count: Int): List<IndexedValue<Float>> = withIndex().sortedByDescending { it.value }.take(count)
