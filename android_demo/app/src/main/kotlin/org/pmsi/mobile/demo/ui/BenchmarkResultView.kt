package org.pmsi.mobile.demo.ui

import android.content.res.Resources
import android.view.View
import android.widget.TextView
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.measure.BenchmarkRequest
import org.pmsi.mobile.demo.measure.BenchmarkResult
import org.pmsi.mobile.demo.measure.Measurement
import org.pmsi.mobile.demo.measure.thisDevice

/** Shows what a benchmark found in the card `benchmark_result` under [root]. */
class BenchmarkResultView(root: View) {
    private val card = root.findViewById<View>(R.id.result)
    private val resources: Resources = card.resources
    private val measured = card.findViewById<View>(R.id.measured)
    private val facts = card.findViewById<TextView>(R.id.facts)
    private val histogram = card.findViewById<HistogramView>(R.id.histogram)
    private var shown: BenchmarkResult? = null

    /** Nothing for null. */
    fun show(result: BenchmarkResult?) {
        card.visibility = if (result == null) View.GONE else View.VISIBLE
        if (result == null || result === shown) return
        shown = result
        val measurement = result.measurement
        measured.visibility = if (measurement == null) View.GONE else View.VISIBLE
        facts.text = if (measurement == null) result.error?.text(resources) else facts(result.request, measurement)
        measurement?.let(::number)
    }

    private fun number(measurement: Measurement) {
        val sorted = measurement.latenciesNs.map { it / NS_PER_MS }.sorted().toDoubleArray()
        histogram.show(sorted)
        set(R.id.median, measurement.percentileMs(MEDIAN))
        set(R.id.fastest, sorted.first())
        set(R.id.p90, measurement.percentileMs(P90))
        set(R.id.p99, measurement.percentileMs(P99))
        set(R.id.slowest, sorted.last())
    }

    private fun set(id: Int, milliseconds: Double) {
        card.findViewById<TextView>(id).text = milliseconds(resources, milliseconds)
    }

    private fun facts(request: BenchmarkRequest, measurement: Measurement): String {
        val device = thisDevice()
        val lines =
            listOfNotNull(
                resources.getString(
                    R.string.benchmark_how,
                    request.runs,
                    request.warmup,
                    resources.getQuantityString(R.plurals.threads, request.threads, request.threads),
                    measurement.delegate.title
                ),
                measurement.delegateNote?.text(resources),
                resources.getString(
                    R.string.benchmark_load,
                    milliseconds(resources, measurement.loadMs),
                    milliseconds(resources, measurement.firstInferenceMs)
                ),
                memory(measurement),
                measurement.thermalStatusAfter?.let { thermal(measurement.thermalStatusBefore ?: it, it) },
                resources.getString(
                    R.string.benchmark_device,
                    device.manufacturer,
                    device.model,
                    device.android,
                    device.abi
                )
            )
        return lines.joinToString("\n")
    }

    private fun memory(measurement: Measurement): String? {
        val before = measurement.rssBeforeBytes
        val peak = measurement.rssPeakBytes
        if (before == null || peak == null) return null
        return resources.getString(R.string.benchmark_memory, before / BYTES_PER_MB, peak / BYTES_PER_MB)
    }

    private fun thermal(before: Int, after: Int): String {
        val names = resources.getStringArray(R.array.thermal)
        return resources.getString(R.string.benchmark_thermal, name(names, before), name(names, after))
    }

    /** A newer Android may have more of them. */
    private fun name(names: Array<String>, status: Int) = names.getOrElse(status) { it.toString() }

    private companion object {
        const val NS_PER_MS = 1e6
        const val BYTES_PER_MB = 1_000_000
        const val MEDIAN = 0.5
        const val P90 = 0.9
        const val P99 = 0.99
    }
}
