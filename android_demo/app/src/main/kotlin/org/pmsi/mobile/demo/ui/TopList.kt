package org.pmsi.mobile.demo.ui

import android.content.Context
import android.text.TextUtils
import android.util.AttributeSet
import android.view.LayoutInflater
import android.view.View
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import kotlin.math.roundToInt
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.TOP
import org.pmsi.mobile.demo.contract.Contract

/**
 * The most likely classes with bars, and above them that the network is not sure, or that it is none of them. Shows
 * camera frames: a row is touched only when it changes.
 */
class TopList(context: Context, attributes: AttributeSet? = null) : LinearLayout(context, attributes) {
    private val verdict = TextView(context, null, 0, R.style.Text_Name)
    private var doubtful: String? = null
    private var alternative: String? = null
    private val rows = List(TOP) { Row(LayoutInflater.from(context).inflate(R.layout.guess, this, false)) }

    init {
        orientation = VERTICAL
        verdict.visibility = GONE
        // Names of any length leave the list below where it is; it has them in full.
        verdict.setLines(VERDICT_LINES)
        verdict.ellipsize = TextUtils.TruncateAt.END
        addView(verdict)
        for (row in rows) addView(row.view)
    }

    /**
     * Says "none of these" where the picture shows none of the classes, else "not sure" of the classes [first] and
     * [second] where [probability], the first one's, is below what [contract] promises for.
     */
    fun judge(contract: Contract, isNone: Boolean, first: String, probability: Float, second: String?) {
        val isSure = contract.sureFrom == null || probability >= contract.sureFrom
        // The list does not jump under the camera from one frame to the next.
        verdict.visibility =
            when {
                isNone || !isSure -> VISIBLE
                contract.sureFrom != null || contract.unknown != null -> INVISIBLE
                else -> GONE
            }
        when {
            isNone -> say(null, null)
            !isSure -> say(first, second)
        }
    }

    /** "None of these" where there is no [first]. */
    private fun say(first: String?, second: String?) {
        if (verdict.text.isNotEmpty() && doubtful === first && alternative === second) return
        doubtful = first
        alternative = second
        verdict.text =
            when {
                first == null -> resources.getString(R.string.none_of_these)
                second == null -> resources.getString(R.string.not_sure_one, first)
                else -> resources.getString(R.string.not_sure, first, second)
            }
    }

    /** The class of rank [rank] (0 is the first); rows from the last one shown on stay empty. */
    fun show(rank: Int, name: String, probability: Float) =
        rows[rank].show(name, (probability * PER_MILLE).roundToInt())

    fun clearFrom(rank: Int) {
        if (rank == 0) verdict.visibility = GONE
        for (row in rows.drop(rank)) row.show("", -1)
    }

    private class Row(val view: View) {
        private val name = view.findViewById<TextView>(R.id.guess_name)
        private val percent = view.findViewById<TextView>(R.id.guess_percent)
        private val bar = view.findViewById<ProgressBar>(R.id.guess_bar)
        private var shown = Int.MIN_VALUE

        fun show(name: String, perMille: Int) {
            if (this.name.text !== name) this.name.text = name
            if (perMille == shown) return
            shown = perMille
            bar.progress = maxOf(perMille, 0)
            percent.text = if (perMille < 0) "" else view.resources.getString(R.string.percent, perMille / PER_CENT)
        }
    }

    private companion object {
        const val PER_MILLE = 1000f
        const val PER_CENT = 10.0
        const val VERDICT_LINES = 2
    }
}
