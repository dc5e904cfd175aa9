package org.pmsi.mobile.demo.ui

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View
import org.pmsi.mobile.demo.R

/** The distribution of latencies: how many runs took how long, the median marked. */
class HistogramView(context: Context, attributes: AttributeSet? = null) : View(context, attributes) {
    private val bar = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.accent) }
    private val axis = Paint().apply { color = context.getColor(R.color.outline) }
    private val mark =
        Paint(Paint.ANTI_ALIAS_FLAG).apply {
            color = context.getColor(R.color.on_surface)
            strokeWidth = resources.getDimension(R.dimen.histogram_mark)
        }
    private val text =
        Paint(Paint.ANTI_ALIAS_FLAG).apply {
            color = context.getColor(R.color.secondary)
            textSize = resources.getDimension(R.dimen.histogram_text)
        }

    private var counts = IntArray(BINS)
    private var low = 0.0
    private var high = 0.0
    private var median = 0.0

    /** Latencies in milliseconds, rising. */
    fun show(sorted: DoubleArray) {
        low = sorted.first()
        high = maxOf(sorted.last(), low + SMALLEST_RANGE_MS)
        median = sorted[(sorted.size - 1) / 2]
        counts = IntArray(BINS)
        for (value in sorted) counts[bin(value)]++
        contentDescription =
            resources.getString(
                R.string.histogram_described,
                sorted.size,
                milliseconds(resources, low),
                milliseconds(resources, median),
                milliseconds(resources, sorted.last())
            )
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        if (high <= low) return
        val line = text.fontSpacing
        val floor = height - line - axis.strokeWidth - GAP_SHARE * line
        val ceiling = line * (1 + GAP_SHARE)
        val step = width.toFloat() / BINS
        val most = counts.max()
        for ((index, count) in counts.withIndex()) {
            val top = floor - (floor - ceiling) * count / most
            if (count > 0) canvas.drawRect(index * step + 1, top, (index + 1) * step - 1, floor, bar)
        }
        canvas.drawLine(0f, floor, width.toFloat(), floor, axis)
        val at = within(mark.strokeWidth, (width * (median - low) / (high - low)).toFloat())
        canvas.drawLine(at, ceiling, at, floor, mark)
        label(
            canvas,
            resources.getString(R.string.milliseconds_median, milliseconds(resources, median)),
            at,
            line * FIRST_BASELINE
        )
        label(canvas, milliseconds(resources, low), 0f, height - text.descent())
        label(canvas, milliseconds(resources, high), width.toFloat(), height - text.descent())
    }

    /** Centred on [x], as far as the view allows. */
    private fun label(canvas: Canvas, label: String, x: Float, baseline: Float) {
        val wide = text.measureText(label)
        canvas.drawText(label, within(wide / 2, x) - wide / 2, baseline, text)
    }

    /** [x], or the place nearest to it that has [half] on both sides; on the right alone where there is not so much. */
    private fun within(half: Float, x: Float) = x.coerceIn(half, maxOf(half, width - half))

    private fun bin(value: Double) = ((value - low) / (high - low) * BINS).toInt().coerceIn(0, BINS - 1)

    private companion object {
        const val BINS = 30
        const val SMALLEST_RANGE_MS = 0.01
        const val GAP_SHARE = 0.4f
        const val FIRST_BASELINE = 0.8f
    }
}
