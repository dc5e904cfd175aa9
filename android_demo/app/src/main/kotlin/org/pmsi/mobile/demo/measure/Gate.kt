package org.pmsi.mobile.demo.measure

import java.util.Locale

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
    /** What of [measured] is out of bounds, and by how much. */
    fun misses(measured: Comparison): List<String> = listOfNotNull(
        miss(measured.maxAbsDifference > (maxAbsDifference ?: Double.MAX_VALUE)) {
            "max abs difference %.2g > %.2g".format(Locale.ROOT, measured.maxAbsDifference, maxAbsDifference)
        },
        miss(measured.top1Agreement < (top1Agreement ?: 0.0)) {
            "top-1 agreement ${percent(measured.top1Agreement)} < ${percent(top1Agreement)}"
        },
        miss((measured.sqnrDb ?: Double.MAX_VALUE) < (sqnrDb ?: 0.0)) {
            "SQNR %.1f dB < %.0f dB".format(Locale.ROOT, measured.sqnrDb, sqnrDb)
        },
        miss((measured.confidentAgreement ?: 1.0) < (confidentAgreement ?: 0.0)) {
            "top-1 agreement where the network is sure ${percent(
                measured.confidentAgreement
            )} < ${percent(confidentAgreement)}"
        }
    )

    /** The bounds in words. */
    override fun toString(): String = listOfNotNull(
        maxAbsDifference?.let { "max abs difference <= %.2g".format(Locale.ROOT, it) },
        top1Agreement?.let { "top-1 agreement >= ${percent(it)}" },
        sqnrDb?.let { "SQNR >= %.0f dB".format(Locale.ROOT, it) },
        confidentAgreement?.let { "top-1 agreement where the margin is >= $CONFIDENT_MARGIN >= ${percent(it)}" }
    ).joinToString()

    private inline fun miss(missed: Boolean, text: () -> String): String? = if (missed) text() else null

    private fun percent(share: Double?) = "%.1f %%".format(Locale.ROOT, 100 * (share ?: 0.0))

    companion object {
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
