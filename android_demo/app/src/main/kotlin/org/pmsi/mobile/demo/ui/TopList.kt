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

/**
 * The most likely classes with bars, and above them that the network is not sure. Shows camera frames: a row is touched
 * only when it changes.
 */
class TopList(context: Context, attributes: AttributeSet? = null) : LinearLayout(context, attributes) {
    private val doubt = TextView(context, null, 0, R.style.Text_Name)
    private var doubtful: String? = null
    private var alternative: String? = null
    private val rows = List(TOP) { Row(LayoutInflater.from(context).inflate(R.layout.guess, this, false)) }

    init {
        orientation = VERTICAL
        doubt.visibility = GONE
        // Names of any length leave the list below where it is; it has them in full.
        doubt.setLines(DOUBT_LINES)
        doubt.ellipsize = TextUtils.TruncateAt.END
        addView(doubt)
        for (row in rows) addView(row.view)
    }

    /**
     * Says "not sure" of the classes [first] and [second] where [probability], the first one's, is below [sureFrom];
     * null: nothing is known of that.
     */
    fun judge(sureFrom: Double?, first: String, probability: Float, second: String?) {
        val isSure = sureFrom == null || probability >= sureFrom
        // The list does not jump under the camera from one frame to the next.
        doubt.visibility =
            when {
                !isSure -> VISIBLE
                sureFrom != null -> INVISIBLE
                else -> GONE
            }
        if (isSure || doubtful === first && alternative === second) return
        doubtful = first
        alternative = second
        doubt.text =
            if (second == null) {
                resources.getString(R.string.not_sure_one, first)
            } else {
                resources.getString(R.string.not_sure, first, second)
            }
    }

    /** The class of rank [rank] (0 is the first); rows from the last one shown on stay empty. */
    fun show(rank: Int, name: String, probability: Float) =
        rows[rank].show(name, (probability * PER_MILLE).roundToInt())

    fun clearFrom(rank: Int) {
        if (rank == 0) doubt.visibility = GONE
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
        const val DOUBT_LINES = 2
    }
}
