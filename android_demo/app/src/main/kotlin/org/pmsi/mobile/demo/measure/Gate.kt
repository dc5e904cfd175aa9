package org.pmsi.mobile.demo.measure

import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence

/** The margin between the first and the second probability from which on the training network is sure. */
const val CONFIDENT_MARGIN = 0.3

/**
 * The bounds of a precision, as pmsi-export applies them; one that is null is not applied. Shares are in 0..1.
 *
 * [confidentAgreement]: equal first classes where the training network is sure.
 */
data class Gate(
    val maxAbsDifference: Double? = null,
    val top1Agreement: Double? = null,
    val sqnrDb: Double? = null,
    val confidentAgreement: Double? = null
) {
    /** What of [measured] is out of bounds, and by how much. Written so that only what compares true is within. */
    fun misses(measured: Comparison): List<Sentence> = listOfNotNull(
        miss(measured.notFinite == 0) {
            Sentence(R.string.miss_finite, measured.notFinite, measured.samples.size)
        },
        maxAbsDifference?.let {
            miss(measured.maxAbsDifference <= it) {
                Sentence(R.string.miss_difference, measured.maxAbsDifference, it)
            }
        },
        top1Agreement?.let {
            miss(measured.top1Agreement >= it) {
                Sentence(R.string.miss_same, percent(measured.top1Agreement), percent(it))
            }
        },
        between(measured.sqnrDb, sqnrDb) { found, least -> Sentence(R.string.miss_sqnr, found, least) },
        between(measured.confidentAgreement, confidentAgreement) { found, least ->
            Sentence(R.string.miss_sure, percent(found), percent(least))
        }
    )

    /** The bounds in words. */
    val bounds: List<Sentence>
        get() = listOfNotNull(
            maxAbsDifference?.let { Sentence(R.string.gate_difference, it) },
            top1Agreement?.let { Sentence(R.string.gate_same, percent(it)) },
            sqnrDb?.let { Sentence(R.string.gate_sqnr, it) },
            confidentAgreement?.let { Sentence(R.string.gate_sure, CONFIDENT_MARGIN, percent(it)) }
        )

    private inline fun miss(within: Boolean, words: () -> Sentence): Sentence? = if (within) null else words()

    /** Of a measure that there is not always: no difference, or no image on which the network is sure. */
    private inline fun between(found: Double?, least: Double?, words: (Double, Double) -> Sentence): Sentence? =
        if (found == null || least == null) null else miss(found >= least) { words(found, least) }

    private fun percent(share: Double) = Sentence(R.string.percent, PER_CENT * share)

    companion object {
        private const val PER_CENT = 100
        private val EXACT = Gate(maxAbsDifference = 1e-4, top1Agreement = 1.0)
        private val HALF = Gate(maxAbsDifference = 2e-2, top1Agreement = 0.995)
        private val COARSE = Gate(sqnrDb = 17.0, confidentAgreement = 0.98)

        /** Of a contract's precision. */
        fun of(precision: String): Gate = when (precision) {
            "fp32" -> EXACT
            "fp16" -> HALF
            else -> COARSE
        }
    }
}
